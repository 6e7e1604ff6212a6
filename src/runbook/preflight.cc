#include "runbook/preflight.h"

#include <fmt/format.h>

#include "base/text.h"
#include "runbook/graph.h"
#include "runbook/resolve.h"

namespace holdfast::runbook {
namespace {

Result<void> preflight_step(RunState const& state, plan::Step const& step,
                            StepRegistry const& registry, std::stop_token stop) {
    auto condition = TRY(preview_condition(state, step));
    if (condition == false)
        return {};
    auto arguments = TRY(preview_arguments(state, step));
    auto object = registry.make(step.kind);
    try {
        return object->preflight(arguments, stop);
    } catch (std::exception const& error) {
        return fail(ErrorKind::internal, fmt::format("preflight threw: {}", error.what()));
    }
}

}  // namespace

bool is_idempotent(StepRegistry const& registry, plan::Step const& step) {
    if (step.idempotent)
        return *step.idempotent;
    auto object = registry.make(step.kind);
    return object && object->idempotent();
}

Result<void> check_runbook(plan::Runbook const& runbook, StepRegistry const& registry) {
    TRY(registry.check(runbook));
    TRY(waves(runbook));
    std::vector<Error> faults;
    for (auto const& step : runbook.steps) {
        auto what = fmt::format("step '{}'", step.name);
        if (!step.when.empty()) {
            auto condition = plan::parse_condition(step.when);
            if (!condition.has_value())
                faults.push_back(std::move(condition).error().within(what));
        }
        if (step.retries.count > 0 && !is_idempotent(registry, step)) {
            faults.push_back(
                {ErrorKind::usage,
                 fmt::format("{}: it has retries, but '{}' must not be repeated unasked", what,
                             step.kind),
                 "say `idempotent: true` if doing it twice does no harm, or take the retries out"});
        }
    }
    return as_one(std::move(faults), fmt::format("runbook '{}'", runbook.name));
}

std::vector<Error> preflight(RunState const& state, StepRegistry const& registry,
                             std::stop_token stop) {
    std::vector<Error> problems;
    for (auto const& step : state.runbook.steps) {
        auto const* status = state.find(step.name);
        if (status && status->settled())
            continue;
        if (stop.stop_requested()) {
            problems.push_back({ErrorKind::cancelled, "stopped before anything was run", {}});
            return problems;
        }
        auto ready = preflight_step(state, step, registry, stop);
        if (ready.has_value())
            continue;
        problems.push_back(std::move(ready).error().within(fmt::format("step '{}'", step.name)));
    }
    return problems;
}

Result<void> as_one(std::vector<Error> errors, std::string_view what) {
    if (errors.empty())
        return {};
    if (errors.size() == 1)
        return fail(std::move(errors.front()).within(what));
    std::vector<std::string> lines;
    for (auto const& error : errors) {
        lines.push_back("  " + error.message + (error.hint.empty() ? "" : " (" + error.hint + ")"));
    }
    return fail(errors.front().kind,
                fmt::format("{}: {} problems\n{}", what, errors.size(), join(lines, "\n")));
}

}  // namespace holdfast::runbook
