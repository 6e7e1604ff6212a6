#include "catalog/catalog.h"
#include "catalog/state.h"

namespace holdfast::catalog {
namespace {

Result<Drill> read_drill(Statement& row) {
    Drill drill;
    drill.run = row.text();
    drill.name = row.text();
    drill.started = row.time();
    drill.ended = row.optional_time();
    drill.passed = row.integer() != 0;
    drill.rpo = row.optional_duration();
    drill.rto_from_outage = row.optional_duration();
    drill.rto_from_declaration = row.optional_duration();
    return drill;
}

Result<Evidence> read_evidence(Statement& row) {
    Evidence evidence;
    evidence.run = row.text();
    evidence.path = row.text();
    evidence.sha256 = row.text();
    evidence.previous = row.text();
    evidence.time = row.time();
    return evidence;
}

Result<std::string> head(Database& database) {
    auto rows = TRY(database.prepare("SELECT sha256 FROM evidence ORDER BY position DESC LIMIT 1"));
    bool found = TRY(rows.next());
    return found ? rows.text() : std::string();
}

Error unknown_run(Error error, std::string const& run) {
    if (error.kind != ErrorKind::not_found)
        return error;
    return {ErrorKind::not_found, "catalog: no run '" + run + "'", {}};
}

}  // namespace

Result<void> Catalog::note_drill(Drill const& drill) {
    std::lock_guard lock(state_->mutex);
    auto insert = TRY(state_->database.prepare(
        "INSERT INTO drills (run, name, started, ended, passed, rpo, rto_from_outage,"
        " rto_from_declaration) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET name = excluded.name, started = excluded.started,"
        " ended = excluded.ended, passed = excluded.passed, rpo = excluded.rpo,"
        " rto_from_outage = excluded.rto_from_outage,"
        " rto_from_declaration = excluded.rto_from_declaration"));
    insert.bind(drill.run).bind(drill.name).bind(drill.started).bind(drill.ended);
    insert.bind(std::int64_t{drill.passed}).bind(drill.rpo).bind(drill.rto_from_outage);
    insert.bind(drill.rto_from_declaration);
    auto noted = insert.run();
    if (!noted.has_value())
        return fail(unknown_run(std::move(noted).error(), drill.run));
    return {};
}

Result<std::vector<Drill>> Catalog::drills(DrillFilter const& filter) {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(
        "SELECT run, name, started, ended, passed, rpo, rto_from_outage, rto_from_declaration"
        " FROM drills WHERE ?1 = '' OR name = ?1 ORDER BY started DESC, rowid DESC LIMIT ?2"));
    rows.bind(filter.name).bind(std::uint64_t{filter.limit});
    return collect<Drill>(rows, read_drill);
}

Result<std::string> Catalog::evidence_head() {
    std::lock_guard lock(state_->mutex);
    return head(state_->database);
}

Result<void> Catalog::append_evidence(Evidence const& evidence) {
    std::lock_guard lock(state_->mutex);
    auto& database = state_->database;
    auto transaction = TRY(Transaction::begin(database));
    auto newest = TRY(head(database));
    if (newest != evidence.previous) {
        return fail(
            ErrorKind::exists,
            "evidence '" + evidence.path + "': other evidence was appended since it was begun",
            "write it again on the new head of the chain");
    }
    auto insert = TRY(database.prepare(
        "INSERT INTO evidence (run, path, sha256, previous, time) VALUES (?, ?, ?, ?, ?)"));
    insert.bind(evidence.run).bind(evidence.path).bind(evidence.sha256).bind(evidence.previous);
    insert.bind(evidence.time);
    auto noted = insert.run();
    if (!noted.has_value())
        return fail(unknown_run(std::move(noted).error(), evidence.run));
    return transaction.commit();
}

Result<std::vector<Evidence>> Catalog::evidence() {
    std::lock_guard lock(state_->mutex);
    auto rows = TRY(state_->database.prepare(
        "SELECT run, path, sha256, previous, time FROM evidence ORDER BY position"));
    return collect<Evidence>(rows, read_evidence);
}

}  // namespace holdfast::catalog
