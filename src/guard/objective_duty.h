#pragma once

#include <memory>

#include "datasets/workspace.h"
#include "guard/duty.h"
#include "guard/streamed_log.h"

namespace holdfast::guard {

// Holds the age of each dataset's newest point against its RPO: says so from 80 % of it on, whatever kept a point from
// being made. It looks at what is stored, since the guard's key may be unable to read; `status` says what is verified.
// Of a dataset whose log is streamed (`logs` outlive it) it counts up to when the log is complete.
std::unique_ptr<Duty> make_objective_duty(Workspace& workspace, Duration every, StreamedLogs const& logs);

}  // namespace holdfast::guard
