#pragma once

#include <map>
#include <vector>

#include "repo/wal_object.h"

namespace holdfast {

// What the repository has of one stream, by the names of its objects. What a removed key put there after its
// removal is left out.
struct WalTimeline {
    std::vector<WalRangeName> ranges;  // by first byte, the longer before the shorter
    std::vector<WalHistoryName> histories;
    std::uint64_t stored = 0;  // bytes of all objects

    // What its ranges cover together: ascending, with a gap between each two.
    std::vector<WalSpan> covered() const;
    // How far the log goes on from `position` without a gap; `position` itself when nothing holds it.
    std::uint64_t contiguous_from(std::uint64_t position) const;
};
struct WalLog {
    WalStream stream;
    std::map<std::uint32_t, WalTimeline> timelines;
};
// The logs of a dataset, of every system that was behind it. Any key will do.
Result<std::vector<WalLog>> list_wal(Repository& repository, std::string_view dataset, std::stop_token stop);
// The log of one stream; empty when there is none.
Result<WalLog> list_wal(Repository& repository, WalStream const& stream, std::stop_token stop);

// A stretch of a log as it was put together of its objects.
struct WalStretch {
    Bytes bytes;                  // from the position that was asked for, without a gap
    Time known;                   // the sender's clock when it had written no more; zero when there are none
    std::vector<Error> damaged;   // objects that could not be used
};
// Reads bytes first … end − 1, or as many of them as follow each other from `first`. Every object that holds
// a part of them is opened: where two hold the same bytes they must agree (`damaged`, naming the position:
// two systems wrote one log). A damaged or missing object is left out and named; what others hold of it
// counts. Needs a reader's key.
Result<WalStretch> read_wal(Repository& repository, WalLog const& log, std::uint32_t timeline, std::uint64_t first,
                            std::uint64_t end, std::stop_token stop);

// How a timeline came to be, as its server told; not_found when it is not known here, `damaged` when two
// writers tell different stories or none can be opened.
Result<Bytes> read_wal_history(Repository& repository, WalLog const& log, std::uint32_t timeline,
                               std::stop_token stop);

}  // namespace holdfast
