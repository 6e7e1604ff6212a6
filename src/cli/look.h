#pragma once

#include "archive/tree.h"
#include "cli/command.h"
#include "datasets/point_reference.h"

namespace holdfast::cli {

// A point that is open for looking: what `ls`, `cat`, `diff` and `restore` begin with.
struct OpenedPoint {
    std::unique_ptr<Workspace> workspace;
    PointReference point;
    std::string path;  // behind the colon
    std::unique_ptr<Fetch> fetch;
    TreeReader tree() { return TreeReader(*fetch, point.info.point.tree); }
};
Result<OpenedPoint> open_point(Invocation& invocation, std::string_view text);

}  // namespace holdfast::cli
