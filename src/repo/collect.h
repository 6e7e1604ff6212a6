#pragma once

#include "repo/live_set.h"
#include "repo/prune.h"

namespace holdfast {

// One look at everything there is, and what follows from it: deletes what an earlier run doomed, copies, dooms. What points
// need goes into `known`, for a run that follows soon. Errors are those of prune_repository().
Result<Pruned> collect_once(Repository& repository, PruneOptions const& options, WalkTree const& walk,
                            PruneCallback const& progress, KnownLive& known, std::stop_token stop);

// `cancelled` when it is stopped.
Result<void> pause_for(Repository& repository, Duration duration, std::stop_token stop);

}  // namespace holdfast
