#include "drill/recovery.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/operator.h"
#include "cli/workspace_options.h"
#include "runbook/timeline.h"

namespace holdfast::cli {
namespace {

int show_dry_run(Output& output, runbook::DryRun const& dry) {
    auto waves = nlohmann::json::array();
    std::size_t number = 0;
    for (auto const& wave : dry.waves) {
        auto steps = nlohmann::json::array();
        output.line(fmt::format("{}.", ++number));
        for (auto const& step : wave) {
            output.line(fmt::format("   {} ({}){}", output.styled(Style::strong, step.name), step.kind,
                                    step.when.empty() ? "" : ", when " + step.when));
            for (auto const& line : split(step.what, '\n')) output.line("      " + printable(line));
            steps.push_back({{"step", step.name},
                             {"kind", step.kind},
                             {"what", printable(step.what)},
                             {"after", step.after},
                             {"idempotent", step.idempotent}});
        }
        waves.push_back(steps);
    }
    auto problems = nlohmann::json::array();
    for (auto const& problem : dry.problems) {
        output.error(problem);
        problems.push_back(printable(problem.message));
    }
    output.document(nlohmann::json{{"event", "dry-run"}, {"waves", waves}, {"problems", problems}}.dump());
    return dry.problems.empty() ? kDone : exit_code(dry.problems.front().kind);
}

Result<int> run_recover(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    drill::RecoveryRequest request{.name = invocation.argument("SCENARIO")};
    request.parameters = TRY(settings(invocation, "set"));
    if (auto to = invocation.value("to")) request.parameters["to"] = *to;
    request.outage = TRY(invocation.time("outage"));
    request.declared = TRY(invocation.time("declared"));
    auto& output = invocation.output;
    auto warn = warn_to(output);
    if (invocation.has("dry-run")) {
        auto dry = TRY(drill::plan_recovery(*workspace, request, warn, invocation.stop));
        return show_dry_run(output, dry);
    }
    RunView view(output);
    drill::Operator people{.decide = ask_on_terminal(output),
                           .assume_yes = invocation.has("yes"),
                           .observer = &view};
    auto outcome = TRY(drill::recover(*workspace, request, people, warn, invocation.stop));
    output.end_progress();
    return show_outcome(output, outcome);
}

Result<int> run_resume(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    runbook::ResumeRequest request;
    request.run = TRY(runbook::find_run(workspace->state(), invocation.argument("RUN")));
    auto decisions = TRY(settings(invocation, "decide"));
    for (auto const& [step, text] : decisions) {
        auto choice = TRY(runbook::parse_choice(text).within("--decide " + step));
        request.decisions[step] = {.choice = choice};
    }
    auto& output = invocation.output;
    RunView view(output);
    drill::Operator people{.decide = ask_on_terminal(output),
                           .assume_yes = invocation.has("yes"),
                           .observer = &view};
    auto outcome = TRY(drill::resume(*workspace, request, people, warn_to(output), invocation.stop));
    output.end_progress();
    return show_outcome(output, outcome);
}

}  // namespace

Command recover_command() {
    return {.name = "recover",
            .summary = "run the runbook of a scenario, prove what came back, leave evidence",
            .details =
                "Every step's start, effects and end are in a durable journal before the next begins, so a run that is "
                "killed anywhere goes on with resume. RPO and RTO are measured, the RTO twice: from the outage and from "
                "the declaration. Exit code 3: it waits for a decision; 7: something is not proven; 8: an objective is "
                "missed.",
            .arguments = {{"SCENARIO", "a scenario or a runbook of the plan"}},
            .options = {{.flag = "--to", .value = "MOMENT", .help = "sets the runbook's parameter 'to'"},
                        {.flag = "--set", .value = "NAME=VALUE", .help = "sets another parameter", .many = true},
                        {.flag = "--outage", .value = "TIME", .help = "when the service was lost (default: declared)"},
                        {.flag = "--declared", .value = "TIME", .help = "when recovery was decided (default: now)"},
                        {.flag = "-n,--dry-run", .help = "show exactly what would happen, touch nothing"},
                        {.flag = "-y,--yes", .help = "manual steps and approvals count as confirmed"}},
            .run = run_recover};
}

Command resume_command() {
    return {.name = "resume",
            .summary = "go on with a run that was killed, stopped, or waits for a decision",
            .details = "Finished steps are not run again. A step that is not idempotent and was cut off is never run "
                       "twice by itself: say what to do with --decide STEP=redo, done or skip.",
            .arguments = {{"RUN", "the run's id, or its beginning (default: the newest that can go on)", true}},
            .options = {{.flag = "--decide", .value = "STEP=CHOICE",
                         .help = "redo, done, skip, approve or refuse", .many = true},
                        {.flag = "-y,--yes", .help = "manual steps and approvals count as confirmed"}},
            .run = run_resume};
}

}  // namespace holdfast::cli
