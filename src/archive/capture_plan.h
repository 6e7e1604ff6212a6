#pragma once

#include <map>
#include <string>

#include "archive/back_up.h"
#include "archive/path_filter.h"

namespace holdfast {

// A directory on the way to what was asked for, or that itself.
struct CaptureNode {
    std::map<std::string, CaptureNode> children;
    bool wanted = false;  // asked for: captured whole, whatever the exclusions say of itself
    std::string named;    // the path as it was asked for
};

// Where the walk begins and what it takes.
struct CapturePlan {
    std::string base;  // absolute path of the directory at the top; symlinks in it are followed
    CaptureNode top;
    std::vector<Problem> missing;
};

// Resolves the paths of the options. not_found when none of them exists, `unsafe` when something
// forbidden lies in what would be captured or around it; nothing is read before.
Result<CapturePlan> plan_capture(BackUpOptions const& options, PathFilter const& filter);

}  // namespace holdfast
