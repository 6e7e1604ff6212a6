#pragma once

#include <memory>

#include "runbook/step.h"
#include "steps/step_world.h"

namespace holdfast::steps {

// `sql.check`: asks the database that a step restored (started for the question, isolated), or one that runs,
// in a session that can only read. What was expected and found stands in the step's effects, as `checked`, also
// when the check fails.
std::unique_ptr<runbook::Step> make_sql_check_step(StepWorld const& world);

}  // namespace holdfast::steps
