#pragma once

#include <filesystem>
#include <set>
#include <string>

#include "base/result.h"

namespace holdfast::steps {

// The limits of an isolated run (a drill): nothing outside its place is touched or asked. The drill rewrites
// the runbook so that nothing tries; the steps refuse all the same.
struct Isolation {
    std::filesystem::path place;
    // Names of steps that the plan's author calls safe in drills.
    std::set<std::string> safe_steps = {};

    // unsafe when a step that reaches outside is not marked as safe.
    Result<void> allow_step(std::string const& step, std::string const& kind) const;
    // unsafe when `target` is not below the place; links are not followed, because the place is ours alone.
    Result<void> allow_target(std::filesystem::path const& target) const;
};

}  // namespace holdfast::steps
