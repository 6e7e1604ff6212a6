#pragma once

#include <stop_token>
#include <vector>

#include "runbook/registry.h"
#include "runbook/run_state.h"

namespace holdfast::runbook {

// Whether the step may be run again without asking: the plan's word, else its kind's.
bool is_idempotent(StepRegistry const& registry, plan::Step const& step);

// Everything that is wrong with a runbook in itself: unknown kinds, order, conditions, retries of
// steps that must not be repeated. Touches nothing.
Result<void> check_runbook(plan::Runbook const& runbook, StepRegistry const& registry);

// Asks every step that is not settled, and whose condition does not fail already, whether it can
// work. Returns what keeps them from it.
std::vector<Error> preflight(RunState const& state, StepRegistry const& registry,
                             std::stop_token stop);

// Several errors as one, of the first one's kind.
Result<void> as_one(std::vector<Error> errors, std::string_view what);

}  // namespace holdfast::runbook
