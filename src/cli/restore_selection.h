#pragma once

#include "cli/command.h"
#include "datasets/workspace.h"

namespace holdfast::cli {

// `restore MOMENT --into CONNINFO` of a cluster: a part of it, into a running server.
Result<int> run_selection(Invocation& invocation, Workspace& workspace);

}  // namespace holdfast::cli
