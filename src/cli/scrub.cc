#include "repo/scrub.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/shard_option.h"
#include "cli/workspace_options.h"
#include "datasets/verify_points.h"
#include "repo/pack.h"

namespace holdfast::cli {
namespace {

// What the damage touches takes a reader's key to say.
Result<nlohmann::json> show_affected(Workspace& workspace, Invocation& invocation, std::string const& name,
                                     ScrubReport const& report) {
    auto files = nlohmann::json::array();
    VerifyPointsOptions options;
    for (auto const& item : report.damaged) {
        auto pack = pack_of(ObjectKey(item.key));
        if (pack && !item.mended) options.suspects.insert(*pack);
    }
    auto& output = invocation.output;
    if (options.suspects.empty()) return files;
    if (!workspace.has_credentials()) {
        output.line("which points and files that touches: scrub again with a reader's key or the password, or "
                    "holdfast verify --data");
        return files;
    }
    auto verified = TRY(verify_points(workspace, name, options, output.progress("affected"), warn_to(output),
                                      invocation.stop));
    output.end_progress();
    for (auto const& file : verified.files) {
        files.push_back({{"dataset", printable(file.dataset)},
                         {"point", file.point.hex()},
                         {"path", printable(file.path)}});
        output.line(fmt::format("affected {} ({}): {}", printable(file.dataset), file.point.brief(),
                                printable(file.path)));
    }
    if (verified.files.empty()) output.line("no file of any point is affected");
    return files;
}

Result<int> run_scrub(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto name = invocation.argument("REPOSITORY");
    if (name.empty()) name = TRY(workspace->default_repository());
    auto shard = TRY(shard_option(invocation));
    ScrubOptions options{.shard = shard, .repair = invocation.has("repair"), .dry_run = invocation.has("dry-run")};
    auto store = TRY(workspace->open_store_of(name, {.stop = invocation.stop}));
    auto& output = invocation.output;
    auto bar = output.progress("scrub");
    auto hear = [&](ScrubProgress const& at) {
        bar({.what = "reading", .current = at.current, .files = at.objects, .files_total = at.objects_total,
             .bytes = at.bytes, .bytes_total = at.bytes_total});
    };
    auto report = TRY(scrub(*store, workspace->executor(), options, hear, invocation.stop));
    output.end_progress();

    auto damage = nlohmann::json::array();
    std::size_t mended = 0;
    for (auto const& item : report.damaged) {
        mended += item.mended ? 1 : 0;
        auto verdict = item.mended ? output.styled(Style::good, "mended ") : output.styled(Style::bad, "damaged ");
        auto help = item.mendable && !item.mended ? " (scrub --repair mends it)" : "";
        output.line(verdict + fmt::format("{}: {}{}", printable(item.key), printable(item.error.message), help));
        damage.push_back({{"object", printable(item.key)},
                          {"message", printable(item.error.message)},
                          {"mendable", item.mendable},
                          {"mended", item.mended}});
    }
    for (auto const& key : report.unknown) {
        damage.push_back({{"object", printable(key)}, {"message", "unknown"}, {"mendable", false}, {"mended", false}});
        output.line(output.styled(Style::bad, "unknown ") + printable(key));
    }
    auto files = TRY(show_affected(*workspace, invocation, name, report));
    auto share = shard.count > 1 ? fmt::format("share {} of {}: ", shard.index + 1, shard.count) : "";
    auto verdict = report.whole() && mended == 0 ? std::string("whole")
                                                 : fmt::format("{} damaged, {} of them mended",
                                                               report.damaged.size() + report.unknown.size(), mended);
    output.line(output.styled(report.whole() ? Style::good : Style::bad,
                              fmt::format("{}{} objects, {} packs, {} read: {}", share, report.objects, report.packs,
                                          format_bytes(report.bytes), verdict)));
    output.document(nlohmann::json{{"event", "scrubbed"},
                                   {"ok", report.whole()},
                                   {"shard", shard.index + 1},
                                   {"shards", shard.count},
                                   {"objects", report.objects},
                                   {"packs", report.packs},
                                   {"bytes_read", report.bytes},
                                   {"damage", damage},
                                   {"files", files}}
                        .dump());
    return report.whole() ? kDone : kDamaged;
}

}  // namespace

Command scrub_command() {
    return {.name = "scrub",
            .summary = "read everything and check its sums, without any key",
            .details =
                "Checks packs by the sums of their sectors, and packs, index segments and points by the hash that is "
                "their name: what a disk or a store may do to them by accident. It needs no key, so it can run next to "
                "the data. Malice, and what is missing, are found by verify. With --repair, packs are mended "
                "by their parity, and holdfast.json and key objects by their copies, each in one step: a crash "
                "leaves the old object or the whole new one. When a reader's key or the password is given, too, the files "
                "and points are named that damaged packs touch. Exit code 6 names what is damaged and was not mended.",
            .arguments = {{"REPOSITORY", "a repository of the plan, also a copy", true}},
            .options = {{.flag = "--repair", .value = "", .help = "mend what can be mended"},
                        {.flag = "--dry-run", .value = "", .help = "with --repair: only say what would be mended"},
                        shard_option_spec()},
            .run = run_scrub};
}

}  // namespace holdfast::cli
