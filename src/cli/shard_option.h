#pragma once

#include "cli/command.h"
#include "repo/shard.h"

namespace holdfast::cli {

// --shard I/N, or --shard N within a job array: then Kubernetes (JOB_COMPLETION_INDEX) or Slurm
// (SLURM_ARRAY_TASK_ID) says which one this is. One share of one without the option. `usage` on anything else.
Result<Shard> shard_option(Invocation const& invocation);
OptionSpec shard_option_spec();

}  // namespace holdfast::cli
