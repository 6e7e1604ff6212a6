#pragma once

#include <string>

#include "plan/plan.h"

namespace holdfast::plan {

// The JSON Schema (draft 7) of plan files, for editors and checkers. It says no to every fault of
// form; names that refer to nothing and objectives that cannot be met are beyond a schema.
std::string schema();

// The whole plan with its defaults, as JSON that the schema accepts.
std::string to_json(Plan const& plan);

}  // namespace holdfast::plan
