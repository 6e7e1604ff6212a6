#pragma once

#include "cli/command.h"
#include "datasets/point_reference.h"

namespace holdfast::cli {

// `restore --tensor`: takes tensors out of the model file at `path` of the point, and says what was written.
Result<int> run_restore_tensors(Invocation& invocation, Workspace& workspace, PointReference const& point, std::string path);

}  // namespace holdfast::cli
