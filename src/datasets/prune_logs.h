#pragma once

#include "repo/repository.h"

namespace holdfast {

struct PruneLogsOptions {
    bool dry_run = false;
    // What was stored less long ago, by the store's clock, stays.
    Duration grace = std::chrono::hours(24);
};
struct PrunedLogs {
    std::uint64_t objects = 0, bytes = 0;  // that went, or with `dry_run` would go
    bool withheld = false;  // they stay: others would have to agree to what is deleted
};

// Removes log of PostgreSQL clusters that lies before every base backup that there is. What a base backup needs to
// recover to any moment behind it stays, whatever timeline that is on, and so does
//   the log of a system without any base backup, or with one that does not say where it begins,
//   a timeline later than those of all base backups: the one that will need it may be being made,
//   how timelines came to be.
// Oldest first: killed anywhere, what is left has no new gap. Needs an admin's key; points that can't be read are
// `damaged`, and nothing is removed. May run beside everything else.
Result<PrunedLogs> prune_logs(Repository& repository, PruneLogsOptions const& options, std::stop_token stop);

}  // namespace holdfast
