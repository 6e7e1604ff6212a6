#pragma once

#include "datasets/workspace.h"
#include "sources/postgres/wal_receive.h"

namespace holdfast {

// The repository that a dataset's log goes to: a position is acknowledged when it is durable in one place; copies follow
// by `replicate`.
Result<std::string> log_repository(Workspace const& workspace, plan::Dataset const& dataset);

// Receives the log of a PostgreSQL dataset into its repository, as receive_wal() says. The connection, the dataset's name, its key
// pair and the place of the spool (none with 0 bytes) are filled in. Needs a writer's key.
Result<void> receive_log(Workspace& workspace, plan::Dataset const& dataset, postgres::WalReceiveOptions options,
                         std::stop_token stop);

// Whether the newest base backup is cut off from the end of the stored log, so that only another one makes use of what
// comes in: a part behind it is missing, or the log began later. False without any base backup or log. Goes by names
// alone, so a writer's key is enough; what happened right at the border of two timelines it does not see.
Result<bool> log_is_cut_off(Repository& repository, std::string_view dataset, std::stop_token stop);

}  // namespace holdfast
