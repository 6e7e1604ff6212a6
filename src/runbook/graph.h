#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"

namespace holdfast::runbook {

// The steps, by their position in the runbook, in waves: each step is in the first wave in which
// all that it comes after is behind it. `usage` on a step that does not exist or a circle.
Result<std::vector<std::vector<std::size_t>>> waves(plan::Runbook const& runbook);

}  // namespace holdfast::runbook
