#pragma once

#include <memory>

#include "runbook/step.h"
#include "steps/step_world.h"

namespace holdfast::steps {

// `verify`: reads a recovery point in full and checks every chunk of it; restores nothing. Of a dataset it is the
// point that the run chose for it, else its newest.
std::unique_ptr<runbook::Step> make_verify_step(StepWorld const& world);

}  // namespace holdfast::steps
