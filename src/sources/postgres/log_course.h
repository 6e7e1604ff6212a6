#pragma once

#include <vector>

#include "formats/pg_timeline_history.h"
#include "repo/wal_log.h"

namespace holdfast::postgres {

// One timeline of the way to a target: it is followed from `begin` to `end`.
struct LogPart {
    std::uint32_t timeline = 0;
    Lsn begin;
    Lsn end{UINT64_MAX};  // the last part has no end
    bool operator==(LogPart const&) const = default;
};
// From the first timeline to `timeline`, by its history.
std::vector<LogPart> course_of(std::uint32_t timeline, std::vector<TimelineBranch> const& before);

// How far a log goes on from a base backup without a gap.
struct LogReach {
    Lsn end;                  // one behind its last byte; where it begins when there is none
    std::size_t part = 0;     // of the course: where it ends
    bool gap = false;         // there is more behind `end`, and something between is missing
    Lsn beyond = {};          // where that begins
};
// `part`: of the course, where the backup was made; `from`: its end.
LogReach reach_of(WalLog const& log, std::vector<LogPart> const& course, std::size_t part, Lsn from,
                  std::uint32_t segment_bytes);

// A run of the log that lies in one segment file, as it is read and written at once.
struct LogUnit {
    std::uint32_t timeline = 0;
    Lsn first;
    Lsn end;          // as far as the log goes
    Lsn segment;      // where its segment begins
};
// What to read from the segment of `from` to the reach's end. As PostgreSQL chooses: a segment in which the course
// goes over to the next timeline is the next one's, which begins with what the former had.
std::vector<LogUnit> units_of(std::vector<LogPart> const& course, std::size_t part, Lsn from, LogReach const& reach,
                              std::uint32_t segment_bytes);

}  // namespace holdfast::postgres
