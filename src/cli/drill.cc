#include "drill/drill.h"

#include <cstdlib>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/operator.h"
#include "cli/workspace_options.h"

namespace holdfast::cli {
namespace {

Result<int> run_drill(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto& output = invocation.output;
    RunView view(output);
    drill::DrillOptions options{.in = invocation.value("in").value_or(""),
                                .observer = &view,
                                .warn = warn_to(output)};
    options.parameters = TRY(settings(invocation, "set"));
    options.outage = TRY(invocation.time("outage"));
    auto done = TRY(drill::run_drill(*workspace, invocation.argument("DRILL"), options, invocation.stop));
    output.end_progress();
    for (auto const& swept : done.swept) output.line(swept);
    auto code = show_evidence(output, done.evidence, done.saved);
    if (!done.stuck.empty()) {
        output.warning("steps did not stop in time: " + join(done.stuck, ", "));
        // Their threads still run: nothing that they use may be destroyed.
        std::_Exit(kCheckFailed);
    }
    return done.failure ? exit_code(done.failure->kind) : code;
}

}  // namespace

Command drill_command() {
    return {.name = "drill",
            .summary = "rehearse a recovery for real, in isolation, and leave evidence",
            .details =
                "Restores into a private place, starts restored databases on a Unix socket with no way out, runs the "
                "plan's checks and its own (page checksums, pg_amcheck, model files, comparison with the point), measures "
                "RPO and RTO, removes everything and proves that it did. Production is never touched: steps that reach "
                "outside are left out and named. Without DRILL: the restore of every dataset. Exit code 7: something is "
                "not proven; 8: an objective is missed.",
            .arguments = {{"DRILL", "a drill of the plan", true}},
            .options = {{.flag = "--in", .value = "DIR", .help = "where the isolated place is made"},
                        {.flag = "--set", .value = "NAME=VALUE", .help = "sets a parameter of its runbooks", .many = true},
                        {.flag = "--outage", .value = "TIME", .help = "the outage that is assumed (default: now)"}},
            .run = run_drill};
}

}  // namespace holdfast::cli
