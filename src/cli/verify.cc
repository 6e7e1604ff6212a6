#include "datasets/verify_points.h"

#include <fmt/format.h>

#include <charconv>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"

namespace holdfast::cli {
namespace {

// "10%" of what is stored, or a size.
Result<void> read_budget(std::string const& text, VerifyPointsOptions& options) {
    if (!text.ends_with('%')) {
        options.budget_bytes = TRY(parse_bytes(text).within("--budget"));
        return {};
    }
    double percent = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, percent);
    if (error != std::errc() || end != text.data() + text.size() - 1 || !(percent > 0 && percent <= 100)) {
        return fail(ErrorKind::usage, fmt::format("--budget {}: must be a size, or up to 100%", printable(text)));
    }
    options.budget_share = percent / 100;
    return {};
}

Result<int> run_verify(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    VerifyPointsOptions options{.data = invocation.has("data") || invocation.has("restore"),
                          .restore = invocation.has("restore"),
                          .scratch = invocation.value("scratch").value_or("")};
    options.older_than = TRY(invocation.duration("older-than"));
    if (auto budget = invocation.value("budget")) TRY(read_budget(*budget, options));
    options.data = options.data || options.older_than || options.budget_bytes || options.budget_share;
    auto& output = invocation.output;
    auto report = TRY(verify_points(*workspace, name, options, output.progress("verify"), warn_to(output),
                                    invocation.stop));
    output.end_progress();

    auto damage = nlohmann::json::array();
    for (auto const& item : report.damage) {
        damage.push_back({{"object", printable(item.object)}, {"message", printable(item.message)}});
        output.line(output.styled(Style::bad, "damaged ") +
                    fmt::format("{}: {}", printable(item.object), printable(item.message)));
    }
    auto files = nlohmann::json::array();
    for (auto const& file : report.files) {
        files.push_back({{"dataset", printable(file.dataset)},
                         {"point", file.point.hex()},
                         {"path", printable(file.path)}});
        output.line(fmt::format("affected {} ({}): {}", printable(file.dataset), file.point.brief(),
                                printable(file.path)));
    }
    auto restored = nlohmann::json::array();
    for (auto const& item : report.restored) {
        restored.push_back({{"dataset", printable(item.dataset)},
                            {"point", item.point.hex()},
                            {"files", item.files},
                            {"bytes", item.bytes},
                            {"differences", item.differences}});
        auto verdict = item.differences == 0 ? output.styled(Style::good, "equal to its point")
                                             : output.styled(Style::bad, fmt::format("{} faults", item.differences));
        output.line(fmt::format("restored {} ({}): {} files, {}: {}", printable(item.dataset), item.point.brief(),
                                item.files, format_bytes(item.bytes), verdict));
    }
    auto sealed = nlohmann::json::array();
    for (auto const& [point, why] : report.sealed) {
        sealed.push_back({{"point", point.hex()}, {"message", printable(why)}});
        output.line(fmt::format("not opened point {}: {}", point.brief(), printable(why)));
    }
    auto summary = fmt::format("{} points, {} packs, {} chunks, {} read: {}", report.points, report.packs,
                               report.chunks, format_bytes(report.bytes_read),
                               report.whole() ? "whole"
                                              : fmt::format("{} damaged objects, {} files affected",
                                                            report.damage.size(), report.file_count));
    output.line(output.styled(report.whole() ? Style::good : Style::bad, summary));
    if (options.data && report.proven_since) {
        output.line(fmt::format("proven by reading: {} of {} packs, the first of them on {}", report.packs_proven,
                                report.packs, to_rfc3339(*report.proven_since)));
    }
    output.document(nlohmann::json{{"event", "verified"},
                                   {"ok", report.whole()},
                                   {"data", options.data},
                                   {"points", report.points},
                                   {"packs", report.packs},
                                   {"chunks", report.chunks},
                                   {"bytes_read", report.bytes_read},
                                   {"packs_proven", report.packs_proven},
                                   {"proven_since", report.proven_since ? nlohmann::json(to_rfc3339(*report.proven_since))
                                                                        : nlohmann::json()},
                                   {"damage", damage},
                                   {"files", files},
                                   {"file_count", report.file_count},
                                   {"restored", restored},
                                   {"sealed", sealed}}
                        .dump());
    return report.whole() ? kDone : kDamaged;
}

}  // namespace

Command verify_command() {
    return {.name = "verify",
            .summary = "prove that the repository holds what its points need",
            .details =
                "Without options: every point opens, is signed by a known writer, stands in its writer's log, and "
                "everything that it needs is in the index and in a pack of the right size. With --data every byte of "
                "every object is read, opened and compared with its id. Exit code 6 names what is damaged and which "
                "files of which points that touches.",
            .arguments = {},
            .options = {{.flag = "--data", .help = "read everything"},
                        {.flag = "--budget", .value = "SHARE",
                         .help = "read so much, what was proven longest ago first: 10% or 50GiB; once a day covers everything"},
                        {.flag = "--older-than", .value = "TIME",
                         .help = "read what nobody has proven for so long: 30d"},
                        {.flag = "--restore",
                         .help = "and restore the latest point of each dataset into a scratch directory, compare, validate"},
                        {.flag = "--scratch", .value = "DIR", .help = "where --restore writes (default: below the state)"}},
            .run = run_verify};
}

}  // namespace holdfast::cli
