#pragma once

#include <memory>

#include "datasets/workspace.h"
#include "guard/duty.h"
#include "guard/streamed_log.h"

namespace holdfast::guard {

// Streams the log of a PostgreSQL dataset into its repository, until the guard is stopped. The receiver itself goes on
// through restarts of server, network and repository; what ends it is tried again. Alarms: no log for 30 seconds; lost log
// (until a base backup is made behind it, which `log` makes the back-up duty do at once); the repository takes none; the spool
// fills; the server has to keep much. `log` outlives it.
std::unique_ptr<Duty> make_log_duty(Workspace& workspace, plan::Dataset dataset, std::string repository, StreamedLog& log);

}  // namespace holdfast::guard
