#pragma once

#include <map>
#include <string>

#include "plan/placeholder.h"
#include "runbook/run_state.h"

namespace holdfast::runbook {

// The value of every parameter: as given, or its default. `usage` names all that are missing or not
// known.
Result<std::map<std::string, std::string>> resolve_parameters(
    plan::Runbook const& runbook, std::map<std::string, std::string> const& given);

// The arguments with everything filled in. Fails with `usage` when a step left no such output.
Result<Value> resolve_arguments(RunState const& state, plan::Step const& step);
// The same before anything has run: outputs of steps that have not succeeded stay placeholders.
Result<Value> preview_arguments(RunState const& state, plan::Step const& step);

// Whether the step's condition holds; a step without one always runs. What a skipped step did not
// leave is empty.
Result<bool> resolve_condition(RunState const& state, plan::Step const& step);
// The same before anything has run: nothing when it depends on a step that has not ended.
Result<std::optional<bool>> preview_condition(RunState const& state, plan::Step const& step);

// Outputs of `step` that arguments of steps which are not settled name and `outputs` does not have,
// as
// "'b' needs '${a.x}'".
std::vector<std::string> missing_outputs(RunState const& state, std::string_view step,
                                         Value const& outputs);

}  // namespace holdfast::runbook
