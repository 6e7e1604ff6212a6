#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "os/clock.h"
#include "os/executor.h"
#include "store/store.h"

namespace holdfast {

struct ReplicateOptions {
    std::uint64_t bytes_per_second = 0;  // at most; 0: as fast as it goes
    // Objects that both have are read from both and compared, and not only their sizes.
    bool compare = false;
    bool dry_run = false;
    // Object Lock of the copy: when a quarter of this has passed since the last time, all that both have is locked there
    // again. What garbage collection removed from the source is not, so it can go from the copy one day.
    std::optional<Duration> lock = {};
};

struct ReplicateProgress {
    std::uint64_t objects = 0, objects_total = 0;
    std::uint64_t bytes = 0, bytes_total = 0;
    std::string current;  // the object at hand
};
// Called from one thread at a time.
using ReplicateCallback = std::function<void(ReplicateProgress const&)>;

// What a replication did, or with `dry_run` would have done.
struct Replication {
    std::uint64_t present = 0;  // objects that the copy had already
    std::uint64_t copied = 0, bytes_copied = 0;
    std::vector<std::string> healed;  // objects of the copy that were damaged, and are whole now
    struct Damaged {
        std::string key;
        Error error;
    };
    // Objects that could not be copied because they are damaged in the source, or differ and neither
    // can be told to be right.
    std::vector<Damaged> damaged;
    // How far behind the copy was when this began: since when the oldest point that it lacked has been
    // there, by the points' own times. Nothing when it lacked none.
    std::optional<Duration> lag;
    std::uint64_t points = 0;  // that it lacked
    std::uint64_t locked = 0;  // objects of the copy that were locked again
};

// Makes `to` a copy of the repository in `from`, or brings one up to date: an object that is missing is
// copied, nothing is removed. It needs no key. Each object is checked as far as one can without: packs by
// their sector sums and their name, index segments by their name, everything by the bytes that the
// destination is known to have taken. A damaged pack or segment of the copy is replaced.
//
// The copy is a repository at every moment: what a point needs is there before the point. Running it
// again goes on where it was interrupted.
//
// With `lock`: `usage` where `to` cannot lock. `unsafe` when `to` holds another repository, not_found when `from` holds none. Not from an executor's
// task.
Result<Replication> replicate(Store& from, Store& to, Executor& executor, Clock& clock,
                              ReplicateOptions const& options, ReplicateCallback const& progress,
                              std::stop_token stop);

}  // namespace holdfast
