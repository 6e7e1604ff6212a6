#pragma once

#include "cli/command.h"
#include "datasets/point_reference.h"

namespace holdfast::cli {

// `restore POINT --into CONNINFO` of an export: into a running server.
Result<int> run_restore_export(Invocation& invocation, Workspace& workspace, PointReference const& point);

}  // namespace holdfast::cli
