#pragma once

#include "base/result.h"
#include "plan/plan.h"
#include "runbook/decision.h"

// A runbook as a tree of values, so that a run can go on when the plan has changed or is gone.
namespace holdfast::runbook {

plan::Value to_value(plan::Runbook const& runbook);
// `damaged` when it is not what to_value() makes.
Result<plan::Runbook> runbook_from(plan::Value const& value);

plan::Value to_value(Error const& error);
plan::Value to_value(Decision const& decision, Question::About about);
Error error_from(plan::Value const& value);

}  // namespace holdfast::runbook
