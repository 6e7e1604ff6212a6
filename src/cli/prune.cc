#include "repo/prune.h"

#include <charconv>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/approvals.h"
#include "datasets/prune_logs.h"
#include "datasets/walk_tree.h"

namespace holdfast::cli {
namespace {

// "5%", "12.5 %", or a bare fraction of it all: "0.05".
Result<double> parse_share(std::string_view text) {
    auto percent = text.ends_with('%');
    if (percent) text.remove_suffix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    double value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (percent) value /= 100;
    if (error != std::errc() || end != text.data() + text.size() || !(value >= 0 && value <= 1)) {
        return fail(ErrorKind::usage, fmt::format("--max-unused: '{}' is no share of the whole", printable(text)),
                    "say 5%, or 0% to leave nothing");
    }
    return value;
}

std::string packs(std::uint64_t count, std::uint64_t bytes) {
    return fmt::format("{} pack{} ({})", count, count == 1 ? "" : "s", format_bytes(bytes));
}

void show(Output& output, Pruned const& done, bool dry_run) {
    auto would = [&](char const* now, char const* then) { return dry_run ? then : now; };
    output.line(fmt::format("{} points need {} chunks; there {} {}", done.points, done.chunks,
                            would("were", "are"), packs(done.packs, done.bytes)));
    if (done.deleted > 0) {
        output.line(fmt::format("{} {}", would("deleted", "would delete"), packs(done.deleted, done.deleted_bytes)));
    }
    if (done.repacked > 0) {
        output.line(fmt::format("{} what is needed of {}{}", would("copied", "would copy"),
                                packs(done.repacked, done.repacked_bytes),
                                dry_run ? "" : fmt::format(": {} stored", format_bytes(done.copied_bytes))));
    }
    if (done.doomed > 0) {
        output.line(fmt::format("{} {}", would("doomed", "would doom"), packs(done.doomed, done.doomed_bytes)));
    }
    if (done.waiting > 0) output.line(fmt::format("{} wait, doomed before", packs(done.waiting, done.waiting_bytes)));
    if (done.sealed > 0 || done.sealed_points > 0) {
        output.line(fmt::format("{} packs and {} points are sealed to key pairs that this key does not hold: those packs stay",
                                done.sealed, done.sealed_points));
    }
    for (auto const& id : done.requests) {
        output.line(fmt::format("{} packs wait until others agree: holdfast approve {}", done.withheld, id.substr(0, 8)));
    }
    if (done.postponed_bytes > 0) {
        output.line(fmt::format("{} more would be copied without --max-repack: run it again", format_bytes(done.postponed_bytes)));
    }
    if (done.young > 0) output.line(fmt::format("{} packs that nothing needs yet are too young to go", done.young));
    if (done.segments != done.segments_before) {
        output.line(fmt::format("index: {} segments, {} before", done.segments, done.segments_before));
    }
    if (done.due) {
        output.line(fmt::format("a run after {} deletes what is doomed",
                                to_rfc3339(std::chrono::ceil<std::chrono::seconds>(*done.due))));
    }
    for (auto const& id : done.given_up) {
        output.line(fmt::format("point {} was given up by its writer, and lacks what it needs", id.brief()));
    }
    for (auto const& item : done.damaged) {
        output.line(output.styled(Style::bad, "damaged ") +
                    fmt::format("{}: {}; it stays", printable(item.key), printable(item.error.message)));
    }
}

void show_logs(Output& output, PrunedLogs const& logs, bool dry_run) {
    if (logs.withheld)
        output.line("log that no base backup needs stays: others would have to agree to what is deleted");
    if (logs.objects > 0)
        output.line(fmt::format("{} {} of log ({} objects) that no base backup needs", dry_run ? "would remove" : "removed",
                                format_bytes(logs.bytes), logs.objects));
}

nlohmann::json pruned_json(Pruned const& done, bool dry_run) {
    auto damaged = nlohmann::json::array();
    for (auto const& item : done.damaged) {
        damaged.push_back({{"object", printable(item.key)}, {"message", printable(item.error.message)}});
    }
    auto given_up = nlohmann::json::array();
    for (auto const& id : done.given_up) given_up.push_back(id.hex());
    return {{"event", "pruned"},
            {"dry_run", dry_run},
            {"points", done.points},
            {"chunks", done.chunks},
            {"packs", done.packs},
            {"bytes", done.bytes},
            {"deleted", done.deleted},
            {"deleted_bytes", done.deleted_bytes},
            {"doomed", done.doomed},
            {"doomed_bytes", done.doomed_bytes},
            {"waiting", done.waiting},
            {"waiting_bytes", done.waiting_bytes},
            {"due", done.due ? nlohmann::json(to_rfc3339(*done.due)) : nlohmann::json()},
            {"repacked", done.repacked},
            {"repacked_bytes", done.repacked_bytes},
            {"copied_bytes", done.copied_bytes},
            {"unused_bytes", done.unused_bytes},
            {"postponed_bytes", done.postponed_bytes},
            {"young", done.young},
            {"segments_before", done.segments_before},
            {"segments", done.segments},
            {"swept", done.swept},
            {"writers", done.writers},
            {"withheld", done.withheld},
            {"requests", done.requests},
            {"sealed", done.sealed},
            {"sealed_points", done.sealed_points},
            {"given_up", given_up},
            {"damaged", damaged}};
}

Result<int> run_prune(Invocation& invocation) {
    PruneOptions options{.dry_run = invocation.has("dry-run"), .now = invocation.has("now")};
    if (auto text = invocation.value("max-unused")) options.limits.unused_max = TRY(parse_share(*text));
    if (auto text = invocation.value("max-repack")) {
        options.limits.repack_bytes_max = TRY(parse_bytes(*text).within("--max-repack"));
    }
    options.grace = TRY(invocation.duration("grace")).value_or(options.grace);
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(name, Role::admin, invocation.stop));
    TRY(check_planned_approvals(*workspace, name, *repository, invocation.stop));
    options.shape.parity_percent = workspace->parity_percent(name);
    auto& output = invocation.output;
    auto bar = output.progress("prune");
    auto hear = [&](PruneProgress const& at) {
        bar({.what = at.stage, .current = "", .files = at.done, .files_total = at.total, .bytes = 0, .bytes_total = 0});
    };
    auto done = TRY(prune_repository(*repository, options, walk_tree, hear, invocation.stop)
                        .within(fmt::format("prune '{}'", printable(name))));
    auto logs = TRY(prune_logs(*repository, {.dry_run = options.dry_run, .grace = options.grace}, invocation.stop)
                        .within(fmt::format("logs in '{}'", printable(name))));
    output.end_progress();
    show(output, done, options.dry_run);
    show_logs(output, logs, options.dry_run);
    auto json = pruned_json(done, options.dry_run);
    json["logs"] = {{"objects", logs.objects}, {"bytes", logs.bytes}, {"withheld", logs.withheld}};
    output.document(json.dump());
    return done.damaged.empty() ? kDone : kDamaged;
}

}  // namespace

Command prune_command() {
    return {.name = "prune",
            .summary = "free the space of what no recovery point needs",
            .details =
                "Works beside any number of backups, without locks, in two phases: what no point needs is doomed; a "
                "run after the longest silence of a writer (6 hours) looks again and deletes what still nothing "
                "needs. So run it every day, or twice. Packs that are partly dead are copied as far as they live "
                "until at most --max-unused of all bytes is dead. Killed, the next run goes on. On a full disk it "
                "uses the repository's reserve. --now does both phases at once: what is acknowledged stays whole, "
                "but backups and restores that run may have to begin again. Where others have to agree (see approvals set), "
                "what they did not agree to yet waits, doomed. Needs an admin's key that reads: the "
                "password. Exit code 6: something is damaged, and stays.",
            .arguments = {},
            .options = {{.flag = "-n,--dry-run", .help = "only show what would be done"},
                        {.flag = "--max-unused", .value = "SHARE", .help = "dead bytes that may stay in packs (5%)"},
                        {.flag = "--max-repack", .value = "BYTES", .help = "copy out of packs of so much at most"},
                        {.flag = "--grace", .value = "TIME",
                         .help = "keep what an interrupted backup stored so long (24h)"},
                        {.flag = "--now", .help = "delete at once, without waiting for writers and readers"}},
            .run = run_prune};
}

}  // namespace holdfast::cli
