#pragma once

#include "datasets/run_record.h"

namespace holdfast {

// How much is known of a recovery point: each rung includes those below it.
//   stored     its object stands and is signed by a known writer
//   hashed     every chunk that it needs was opened and its id recomputed
//   restored   it was brought back whole into a directory
//   validated  the application's own checks passed on what came back
struct Standing {
    std::string dataset, tier, kind;
    std::optional<Duration> objective = {};  // RPO
    std::optional<Duration> interval = {};   // how often a point is due
    // Newest point on each rung: its time (what would come back) and when the rung was reached.
    struct Rung {
        std::optional<PointId> point;
        std::optional<Time> time;     // the state that would come back
        std::optional<Time> reached;
    };
    Rung stored = {}, hashed = {}, restored = {}, validated = {};
    std::uint64_t points = 0;
    // PostgreSQL: up to when the log is stored that goes on from the newest point at `hashed` or above.
    std::optional<Time> log = {};
    // RPO counts only what is known to come back: age of the newest point at `hashed` or above, or of the end of its log.
    std::optional<Duration> achieved = {};
    enum class State { met, at_risk, missed, unknown };  // at_risk: 80 % of the objective is used up
    State state = State::unknown;
    std::string reason = {};  // why not met, for people
};
std::string_view name(Standing::State state);

// Objectives against reality, now: every dataset of the plan, and what else the repository holds.
Result<std::vector<Standing>> standings(Workspace& workspace, std::stop_token stop);

}  // namespace holdfast
