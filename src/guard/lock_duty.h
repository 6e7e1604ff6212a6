#pragma once

#include <memory>

#include "datasets/workspace.h"
#include "guard/duty.h"

namespace holdfast::guard {

// Says so when the locks of a repository with `lock` end soon, have ended, or are not there: backups lock what they
// need again, so that something keeps them from it.
std::unique_ptr<Duty> make_lock_duty(Workspace& workspace, Duration every);

}  // namespace holdfast::guard
