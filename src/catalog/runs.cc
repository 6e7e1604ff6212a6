#include "catalog/catalog.h"
#include "catalog/state.h"
#include "os/machine.h"

namespace holdfast::catalog {
namespace {

constexpr std::string_view kRunColumns =
    "id, kind, subject, started, ended, outcome, error, files, bytes, stored";

Result<Run> read_run(Statement& row) {
    Run run;
    run.id = row.text();
    run.kind = TRY(from_text(row.text(), kRunKinds));
    run.subject = row.text();
    run.started = row.time();
    run.ended = row.optional_time();
    run.outcome = TRY(from_text(row.text(), kRunOutcomes));
    run.error = row.text();
    run.files = row.count();
    run.bytes = row.count();
    run.stored = row.count();
    return run;
}

Error unknown_run(std::string const& id) {
    return {ErrorKind::not_found, "catalog: no run '" + id + "'", {}};
}

}  // namespace

Result<void> Catalog::begin_run(std::string const& id, RunKind kind, std::string const& subject) {
    std::lock_guard lock(state_->mutex);
    auto& database = state_->database;
    auto now = state_->clock.now();
    auto transaction = TRY(Transaction::begin(database));
    auto insert = TRY(database.prepare(
        "INSERT INTO runs (id, kind, subject, started, outcome, process, host, boot)"
        " VALUES (?, ?, ?, ?, 'running', ?, ?, ?)"));
    insert.bind(id).bind(to_text(kind)).bind(subject).bind(now);
    insert.bind(process_name()).bind(host_name()).bind(boot_id());
    TRY(insert.run().within("note run '" + id + "'"));
    auto last = TRY(database.prepare(
        "INSERT INTO last_runs (kind, subject, run, attempted, outcome) VALUES (?, ?, ?, ?, "
        "'running')"
        " ON CONFLICT DO UPDATE SET run = excluded.run, attempted = excluded.attempted,"
        " outcome = excluded.outcome"));
    last.bind(to_text(kind)).bind(subject).bind(id).bind(now);
    TRY(last.run());
    return transaction.commit();
}

Result<void> Catalog::end_run(std::string const& id, RunEnd const& end) {
    std::lock_guard lock(state_->mutex);
    auto& database = state_->database;
    auto transaction = TRY(Transaction::begin(database));
    auto update = TRY(database.prepare(
        "UPDATE runs SET ended = ?, outcome = ?, error = ?, files = ?, bytes = ?, stored = ?"
        " WHERE id = ?"));
    update.bind(state_->clock.now()).bind(to_text(end.outcome)).bind(end.error);
    update.bind(end.files).bind(end.bytes).bind(end.stored).bind(id);
    TRY(update.run());
    if (database.changes() == 0) {
        return fail(unknown_run(id));
    }
    auto last = TRY(database.prepare("UPDATE last_runs SET outcome = ? WHERE run = ?"));
    last.bind(to_text(end.outcome)).bind(id);
    TRY(last.run());
    if (end.outcome == RunOutcome::done) {
        // Also when another attempt has begun meanwhile.
        auto success = TRY(database.prepare(
            "UPDATE last_runs SET succeeded = max(coalesce(succeeded, runs.started), runs.started)"
            " FROM runs WHERE runs.id = ? AND runs.kind = last_runs.kind"
            " AND runs.subject = last_runs.subject"));
        success.bind(id);
        TRY(success.run());
    }
    return transaction.commit();
}

Result<void> Catalog::resume_run(std::string const& id) {
    std::lock_guard lock(state_->mutex);
    auto& database = state_->database;
    auto transaction = TRY(Transaction::begin(database));
    auto update = TRY(database.prepare(
        "UPDATE runs SET ended = NULL, outcome = 'running', error = '', process = ?, host = ?,"
        " boot = ? WHERE id = ?"));
    update.bind(process_name()).bind(host_name()).bind(boot_id()).bind(id);
    TRY(update.run());
    if (database.changes() == 0) {
        return fail(unknown_run(id));
    }
    auto last = TRY(database.prepare("UPDATE last_runs SET outcome = 'running' WHERE run = ?"));
    last.bind(id);
    TRY(last.run());
    return transaction.commit();
}

Result<std::optional<Run>> Catalog::run(std::string const& id) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(
        state_->database.prepare("SELECT " + std::string(kRunColumns) + " FROM runs WHERE id = ?"));
    rows.bind(id);
    return first<Run>(rows, read_run);
}

Result<std::vector<Run>> Catalog::runs(RunFilter const& filter) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(
        "SELECT " + std::string(kRunColumns) +
        " FROM runs WHERE (?1 = '' OR kind = ?1) AND (?2 = '' OR subject = ?2)"
        " ORDER BY started DESC, rowid DESC LIMIT ?3"));
    rows.bind(filter.kind ? to_text(*filter.kind) : "").bind(filter.subject);
    rows.bind(std::uint64_t{filter.limit});
    return collect<Run>(rows, read_run);
}

Result<std::vector<std::string>> Catalog::close_abandoned_runs() {
    std::lock_guard lock(state_->mutex);
    auto& database = state_->database;
    auto transaction = TRY(Transaction::begin(database));
    auto rows = TRY(database.prepare(
        "SELECT id, process, host, boot FROM runs WHERE outcome = 'running' ORDER BY started"));
    struct Running {
        std::string id, process, host, boot;
    };
    auto running = TRY(collect<Running>(rows, [](Statement& row) -> Result<Running> {
        Running one;
        one.id = row.text();
        one.process = row.text();
        one.host = row.text();
        one.boot = row.text();
        return one;
    }));
    std::vector<std::string> gone;
    for (auto const& one : running) {
        if (one.host != host_name())
            continue;
        bool rebooted = !one.boot.empty() && !boot_id().empty() && one.boot != boot_id();
        if (!rebooted && process_may_live(one.process))
            continue;
        auto update = TRY(database.prepare(
            "UPDATE runs SET outcome = 'interrupted', error = 'the process ended without a word'"
            " WHERE id = ?"));
        update.bind(one.id);
        TRY(update.run());
        auto last =
            TRY(database.prepare("UPDATE last_runs SET outcome = 'interrupted' WHERE run = ?"));
        last.bind(one.id);
        TRY(last.run());
        gone.push_back(one.id);
    }
    TRY(transaction.commit());
    return gone;
}

Result<std::optional<LastRun>> Catalog::last_run(RunKind kind, std::string const& subject) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(
        "SELECT run, attempted, outcome, succeeded FROM last_runs WHERE kind = ? AND subject = ?"));
    rows.bind(to_text(kind)).bind(subject);
    return first<LastRun>(rows, [](Statement& row) -> Result<LastRun> {
        LastRun last;
        last.run = row.text();
        last.attempted = row.time();
        last.outcome = TRY(from_text(row.text(), kRunOutcomes));
        last.succeeded = row.optional_time();
        return last;
    });
}

Result<std::size_t> Catalog::drop_runs(Time before) {
    std::lock_guard lock(state_->mutex);
    auto drop = TRY(
        state_->database.prepare("DELETE FROM runs WHERE started < ? AND outcome <> 'running'"
                                 " AND NOT EXISTS (SELECT 1 FROM drills WHERE run = runs.id)"
                                 " AND NOT EXISTS (SELECT 1 FROM evidence WHERE run = runs.id)"));
    drop.bind(before);
    TRY(drop.run());
    return static_cast<std::size_t>(state_->database.changes());
}

}  // namespace holdfast::catalog
