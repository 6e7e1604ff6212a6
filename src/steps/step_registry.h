#pragma once

#include "runbook/registry.h"
#include "steps/step_world.h"

namespace holdfast::steps {

// All kinds of steps that this version runs. What `world` refers to, and the workspace's plan, outlive the
// registry and every run. Kinds that the plan knows and that are not here are named by the engine before anything
// runs. `usage` without a plan.
Result<runbook::StepRegistry> make_step_registry(StepWorld const& world);

}  // namespace holdfast::steps
