#pragma once

#include <memory>
#include <optional>

#include "datasets/point_reference.h"
#include "sources/postgres/recovery_log.h"

namespace holdfast {

// A moment of a dataset that can be brought back: a point and, where the repository has the log of a PostgreSQL
// cluster, what brings the point to it.
struct Moment {
    PointReference point;
    std::optional<postgres::LogPlan> log = {};
    // The time whose state it is: of the target, or the server's clock at the end of the log; the point's without log.
    Time time = {};
};
struct MomentOptions {
    // Which course of a cluster's history: "latest", "current" (that of its newest point), or a number.
    std::string timeline = "latest";
    // The id of the point that a restore which goes on began with; empty: the best one.
    std::string point = {};
};
// What people write for a moment: all that find_point() knows, and NAME@lsn:X/Y, NAME@xid:N, NAME@name:LABEL. With a
// log, NAME@latest (and NAME) is its end, NAME@TIME exactly that time; an id and NAME~2 are a point without any log.
// Needs a reader's key for a PostgreSQL dataset.
//
// not_found when the log does not reach the moment (the message says how far it goes), or holds no such transaction or
// restore point; `damaged` when a part that is needed is missing; else as find_point().
Result<Moment> find_moment(Workspace& workspace, std::string_view text, MomentOptions const& options,
                           std::stop_token stop);

// Every base backup of a PostgreSQL dataset on a course of its history, oldest first, each with the log that follows it
// (to its end, or to what is missing: LogPlan::reach; none where there is none). `usage` for other datasets; else as
// find_point(). Needs a reader's key.
Result<std::vector<Moment>> find_stretches(Workspace& workspace, std::string const& dataset, MomentOptions const& options,
                                           std::stop_token stop);

}  // namespace holdfast
