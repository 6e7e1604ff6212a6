#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "repo/ids.h"

namespace holdfast {

// How long the points of a dataset are kept: a point stays when any rule keeps it.
struct RetentionRules {
    std::optional<Duration> within = std::nullopt;  // every point that is younger
    // The newest point of so many hours, days, ISO weeks, months, years (UTC) that have one; `last`:
    // so many of the newest points.
    std::uint32_t last = 0, hourly = 0, daily = 0, weekly = 0, monthly = 0, yearly = 0;

    bool keeps_something() const {
        return within.value_or(Duration(0)) > Duration(0) ||
               (last | hourly | daily | weekly | monthly | yearly) != 0;
    }
};

// A point as retention sees it. The time that a client stated does not count: only when an admin
// received the point.
struct RetentionPoint {
    PointId id;
    std::optional<Time> received = std::nullopt;
    bool confirmed = true;  // its writer's log names it
    bool whole = true;      // nothing was unreadable
    std::string hold;       // what holds it; empty: nothing
};

struct RetentionVerdict {
    PointId id;
    bool keep = false;
    std::vector<std::string> reasons;  // why it stays, or the one why it goes
};

// How long a point whose log entry is missing may still get it.
inline constexpr Duration kUnconfirmedGrace = std::chrono::hours(24);

// Judges the points of one dataset, which come in the order in which they were made; the verdicts are
// in the same order.
//
// Safe against clocks: a point without a receipt stays; one whose receipt is in the future of `now`
// stays (this clock is behind, or that one was ahead); ages are counted from the newest receipt that
// is not in the future, so that a clock that jumps ahead makes nothing old. The newest whole point
// always stays. `usage` when the rules keep nothing.
Result<std::vector<RetentionVerdict>> judge(RetentionRules const& rules,
                                            std::span<RetentionPoint const> points, Time now);

}  // namespace holdfast
