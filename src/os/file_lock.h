#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "os/fd.h"

namespace holdfast {

// Waits until no other process or thread holds the lock of this file (created when missing, mode
// 0600), and takes it (flock(2)). Closing the descriptor, or the end of the process, releases it.
// For short critical sections between our own processes on one machine.
Result<Fd> lock_file(std::string const& path);
// The same without waiting: nothing when somebody else holds it. For what there may be one of.
Result<std::optional<Fd>> try_lock_file(std::string const& path);

}  // namespace holdfast
