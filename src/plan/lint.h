#pragma once

#include <optional>
#include <vector>

#include "plan/load.h"

namespace holdfast::plan {

struct LintOptions {
    // Of each interval, what making and uploading a point is expected to take on top of it.
    double upload_margin = 0.10;
    std::optional<Time> now;  // without it, an overdue review is not looked for
};

// Checks a plan against its own objectives: what is not covered, what cannot be met. In the order
// of the file. Meant for plans that loaded without errors; does no harm with others.
std::vector<Fault> lint(LoadedPlan const& loaded, LintOptions const& options = {});

}  // namespace holdfast::plan
