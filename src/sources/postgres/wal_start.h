#pragma once

#include <map>
#include <vector>

#include "formats/pg_timeline_history.h"
#include "repo/wal_log.h"

namespace holdfast::postgres {

// Where a receiver goes on.
struct WalStart {
    std::uint32_t timeline = 0;
    // Positions up to which the repository has that timeline without a gap, ascending: the first that the server
    // can still go on from is the right one. (Several parts of the log are in flight at a time: after a crash a later
    // one may be there and an earlier one not.) Empty: the repository has nothing of it.
    std::vector<Lsn> from;
    bool operator==(WalStart const&) const = default;
};

// `before`: the timelines by which the server came to `current`, and where it left each. What the repository has
// last of these is gone on with; when it has all of that timeline, the next one from its beginning.
WalStart choose_start(WalLog const& log, std::vector<TimelineBranch> const& before, std::uint32_t current);

}  // namespace holdfast::postgres
