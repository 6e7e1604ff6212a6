#include "repo/repair.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/verify_points.h"

namespace holdfast::cli {
namespace {

nlohmann::json show_scrubbed(Output& output, RepairReport const& report, bool dry_run) {
    auto mended = nlohmann::json::array();
    for (auto const& item : report.scrubbed) {
        if (!item.mended && !(dry_run && item.mendable)) continue;
        mended.push_back({{"object", printable(item.key)}, {"message", printable(item.error.message)}});
        output.line(output.styled(Style::good, dry_run ? "would mend " : "mended ") +
                    fmt::format("{}: {}", printable(item.key), printable(item.error.message)));
    }
    return mended;
}

// What is lost is named exactly: by file and point.
Result<nlohmann::json> show_lost(Workspace& workspace, Invocation& invocation, std::string const& name,
                                 RepairReport const& report) {
    auto files = nlohmann::json::array();
    auto& output = invocation.output;
    if (report.damaged.empty()) return files;
    VerifyPointsOptions options;
    options.suspects = report.suspects;
    auto verified = TRY(verify_points(workspace, name, options, output.progress("affected"), warn_to(output),
                                      invocation.stop));
    output.end_progress();
    for (auto const& file : verified.files) {
        files.push_back({{"dataset", printable(file.dataset)},
                         {"point", file.point.hex()},
                         {"path", printable(file.path)}});
        output.line(output.styled(Style::bad, "lost ") +
                    fmt::format("{} ({}): {}", printable(file.dataset), file.point.brief(), printable(file.path)));
    }
    if (verified.files.empty()) output.line("no file of any point is lost");
    return files;
}

Result<int> run_repair(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto dry_run = invocation.has("dry-run");
    auto* repository = TRY(workspace->repository(name, Role::reader, invocation.stop));
    auto& output = invocation.output;
    auto bar = output.progress("repair");
    auto hear = [&](ScrubProgress const& at) {
        bar({.what = "reading", .current = at.current, .files = at.objects, .files_total = at.objects_total,
             .bytes = at.bytes, .bytes_total = at.bytes_total});
    };
    auto report = TRY(repair_repository(*repository, {.dry_run = dry_run}, hear, invocation.stop));
    output.end_progress();

    auto mended = show_scrubbed(output, report, dry_run);
    if (report.packs_named > 0) output.line(fmt::format("packs named in the index again: {}", report.packs_named));
    for (auto const& key : report.segments_removed) output.line("removed, for it could not be read: " + printable(key));
    if (report.chunks_salvaged > 0) output.line(fmt::format("chunks stored again: {}", report.chunks_salvaged));
    for (auto const& key : report.packs_given_up) {
        output.line(output.styled(Style::good, "replaced ") + printable(key) + ": all that it held lies elsewhere");
    }
    auto damage = nlohmann::json::array();
    for (auto const& item : report.damaged) {
        damage.push_back({{"object", printable(item.key)}, {"message", printable(item.error.message)}});
        output.line(output.styled(Style::bad, "damaged ") +
                    fmt::format("{}: {}", printable(item.key), printable(item.error.message)));
    }
    auto files = TRY(show_lost(*workspace, invocation, name, report));
    auto verdict = report.whole() ? std::string(dry_run ? "would be whole" : "whole")
                                  : fmt::format("{} objects stay damaged, {} chunks are lost; the next backup stores "
                                                "again what its sources still have",
                                                report.damaged.size(), report.lost.size());
    output.line(output.styled(report.whole() ? Style::good : Style::bad, verdict));
    output.document(nlohmann::json{{"event", "repaired"},
                                   {"ok", report.whole()},
                                   {"dry_run", dry_run},
                                   {"mended", mended},
                                   {"packs_named", report.packs_named},
                                   {"segments_removed", report.segments_removed},
                                   {"chunks_salvaged", report.chunks_salvaged},
                                   {"packs_given_up", report.packs_given_up},
                                   {"chunks_lost", report.lost.size()},
                                   {"damage", damage},
                                   {"files", files}}
                        .dump());
    return report.whole() ? kDone : kDamaged;
}

}  // namespace

Command repair_command() {
    return {.name = "repair",
            .summary = "mend what can be mended, and name what is lost",
            .details =
                "Packs are mended by their parity; holdfast.json and key objects by their copies; the index is made "
                "again out of the packs themselves; what still opens in a pack that is beyond its parity is "
                "stored again, frame by frame. What is lost is named by file and point, everything else restores, and "
                "the next backup stores again what its sources still have. It needs a key that reads and writes (the "
                "password), may run beside backups, and when it is interrupted, the next one goes on. Exit code 6 "
                "names what stays damaged.",
            .arguments = {},
            .options = {{.flag = "--dry-run", .value = "", .help = "say what would be done"}},
            .run = run_repair};
}

}  // namespace holdfast::cli
