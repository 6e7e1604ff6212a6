#include "datasets/forget.h"

#include <charconv>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"

namespace holdfast::cli {
namespace {

std::string second_of(std::optional<Time> time) {
    return time ? to_rfc3339(std::chrono::floor<std::chrono::seconds>(*time)) : "-";
}

// --keep-daily and its kind; nothing when none is given.
Result<std::optional<RetentionRules>> rules_of(Invocation& invocation) {
    RetentionRules rules;
    bool any = false;
    struct {
        char const* option;
        std::uint32_t RetentionRules::*field;
    } const counts[] = {{"keep-last", &RetentionRules::last},       {"keep-hourly", &RetentionRules::hourly},
                        {"keep-daily", &RetentionRules::daily},     {"keep-weekly", &RetentionRules::weekly},
                        {"keep-monthly", &RetentionRules::monthly}, {"keep-yearly", &RetentionRules::yearly}};
    for (auto const& [option, field] : counts) {
        auto number = TRY(invocation.number(option));
        if (!number) continue;
        if (*number > 1'000'000) return fail(ErrorKind::usage, fmt::format("--{}: {} is too many", option, *number));
        rules.*field = static_cast<std::uint32_t>(*number);
        any = true;
    }
    rules.within = TRY(invocation.duration("keep-within"));
    if (!any && !rules.within) return std::optional<RetentionRules>();
    if (!rules.keeps_something()) {
        return fail(ErrorKind::usage, "these rules keep nothing", "say how many: --keep-daily 7");
    }
    return std::optional(rules);
}

Result<int> run_forget(Invocation& invocation) {
    ForgetOptions options{.points = invocation.arguments("POINT"),
                          .datasets = invocation.all("dataset"),
                          .rules = TRY(rules_of(invocation)),
                          .dry_run = invocation.has("dry-run"),
                          .even_the_last = invocation.has("even-the-last")};
    if (!options.points.empty() && (options.rules || !options.datasets.empty())) {
        return fail(ErrorKind::usage, "points that are named go whatever the rules say",
                    "name points, or give rules, not both");
    }
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto report = TRY(forget_points(*workspace, name, options, invocation.stop));

    auto& output = invocation.output;
    auto points = nlohmann::json::array();
    Table table({"", "id", "dataset", "time", "received", "because"});
    for (auto const& point : report.points) {
        auto reasons = nlohmann::json::array();
        std::string because;
        for (auto const& reason : point.reasons) {
            reasons.push_back(printable(reason));
            because += (because.empty() ? "" : ", ") + printable(reason);
        }
        auto or_null = [](std::optional<Time> time) {
            return time ? nlohmann::json(to_rfc3339(*time)) : nlohmann::json();
        };
        points.push_back({{"id", point.id.hex()},
                          {"dataset", printable(point.dataset)},
                          {"time", or_null(point.time)},
                          {"received", or_null(point.received)},
                          {"keep", point.keep},
                          {"reasons", reasons}});
        table.row({point.keep ? "stays" : options.dry_run ? "would go" : "gone", point.id.brief(),
                   printable(point.dataset), second_of(point.time), second_of(point.received), because});
    }
    if (!report.points.empty()) output.line(table.text());
    for (auto const& dataset : report.untouched) {
        output.line(fmt::format("'{}': no retention speaks of it, everything stays", printable(dataset)));
    }
    output.line(fmt::format("{} {}, {} stay{}", report.forgotten, options.dry_run ? "would be forgotten" : "forgotten",
                            report.kept,
                            report.forgotten > 0 && !options.dry_run ? "; holdfast prune frees their space" : ""));
    auto requests = nlohmann::json::array();
    for (auto const& id : report.requests) {
        requests.push_back(id);
        output.line(fmt::format("others have to agree: holdfast approve {}, with another key; then repeat this",
                                id.substr(0, 8)));
    }
    auto untouched = nlohmann::json::array();
    for (auto const& dataset : report.untouched) untouched.push_back(printable(dataset));
    output.document(nlohmann::json{{"event", "forgotten"},
                                   {"dry_run", options.dry_run},
                                   {"forgotten", report.forgotten},
                                   {"kept", report.kept},
                                   {"withheld", report.withheld},
                                   {"requests", requests},
                                   {"points", points},
                                   {"untouched", untouched}}
                        .dump());
    return report.withheld > 0 && !options.dry_run ? kUnsafe : kDone;
}

}  // namespace

Command forget_command() {
    return {.name = "forget",
            .summary = "drop recovery points that the retention lets go",
            .details =
                "Without arguments: the plan's retention, tier by tier. Ages are counted from when an admin received "
                "a point, never from a client's clock. The newest whole point of a dataset, points that are held, and "
                "those without a receipt always stay. --dry-run shows what would go, and why each other point stays. "
                "The space is freed by prune. Where others have to agree (see approvals set), only what they agreed to goes, and "
                "they are asked for the rest: exit code 10. Needs an admin's key.",
            .arguments = {{"POINT", "ids of points that go whatever the rules say", true, true}},
            .options = {{.flag = "-n,--dry-run", .help = "only show what would be done"},
                        {.flag = "--dataset", .value = "NAME", .help = "only points of this dataset", .many = true},
                        {.flag = "--keep-within", .value = "DURATION", .help = "instead of the plan: all that are younger"},
                        {.flag = "--keep-last", .value = "N", .help = "so many of the newest"},
                        {.flag = "--keep-hourly", .value = "N", .help = "the newest of so many hours"},
                        {.flag = "--keep-daily", .value = "N", .help = "of so many days"},
                        {.flag = "--keep-weekly", .value = "N", .help = "of so many weeks"},
                        {.flag = "--keep-monthly", .value = "N", .help = "of so many months"},
                        {.flag = "--keep-yearly", .value = "N", .help = "of so many years"},
                        {.flag = "--even-the-last", .help = "also when no point of the dataset is left (with POINT)"}},
            .run = run_forget};
}

}  // namespace holdfast::cli
