#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/ladder.h"
#include "datasets/locks.h"

namespace holdfast::cli {
namespace {

std::string age(Standing::Rung const& rung, Time now) {
    return rung.time ? format_duration(now - *rung.time) : "never";
}

std::string duration_or_dash(std::optional<Duration> duration) {
    return duration ? format_duration(*duration) : "-";
}

Result<int> run_status(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto all = TRY(standings(*workspace, invocation.stop));
    auto now = workspace->clock().now();
    auto& output = invocation.output;
    Table table({"dataset", "tier", "points", "RPO", "achieved", "stored", "hashed", "restored", "validated", ""});
    for (std::size_t column : {2, 3, 4, 5, 6, 7, 8}) table.align_right(column);
    auto json = nlohmann::json::array();
    bool missed = false;
    for (auto const& standing : all) {
        auto style = Style::plain;
        switch (standing.state) {
            case Standing::State::met: style = Style::good; break;
            case Standing::State::at_risk: style = Style::warning; break;
            case Standing::State::missed: style = Style::bad; break;
            case Standing::State::unknown: break;
        }
        missed = missed || standing.state == Standing::State::missed;
        auto verdict = std::string(name(standing.state));
        if (!standing.reason.empty()) verdict += ": " + standing.reason;
        table.row({printable(standing.dataset), standing.tier.empty() ? "-" : standing.tier,
                   std::to_string(standing.points), duration_or_dash(standing.objective),
                   duration_or_dash(standing.achieved), age(standing.stored, now), age(standing.hashed, now),
                   age(standing.restored, now), age(standing.validated, now), output.styled(style, verdict)});
        json.push_back(to_json(standing));
    }
    auto alarms = lock_alarms(*workspace, invocation.stop);
    for (auto const& alarm : alarms) output.warning(alarm);
    output.line(all.empty() ? "no datasets and no points yet" : table.text());
    output.document(nlohmann::json{{"time", to_rfc3339(now)}, {"datasets", json}, {"locks", alarms}}.dump());
    return missed ? kObjectiveMissed : kDone;
}

}  // namespace

Command status_command() {
    return {.name = "status",
            .summary = "objectives against reality, now",
            .details =
                "For each dataset the ages of the newest point on each rung: stored (it is there), hashed (every byte "
                "was read back), restored (it was brought back whole), validated (the application's checks passed). "
                "The achieved RPO counts verified points only, and the streamed log that goes on from one. Exit code 8 when an objective is missed.",
            .arguments = {},
            .options = {},
            .run = run_status};
}

}  // namespace holdfast::cli
