#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "archive/progress.h"
#include "datasets/cluster_check.h"
#include "datasets/moment.h"

namespace holdfast {

struct BisectOptions {
    std::string dataset;
    ClusterCheck check;
    std::string timeline = "latest";
    // Clusters that are started at most; at least 2.
    std::size_t probes = 64;
    std::filesystem::path scratch;
};

// A state of a cluster that can be brought back.
struct BisectState {
    PointReference point;  // the base backup that leads to it
    std::string moment;    // what to write to `restore`
    Time time = {};        // of the last commit in it; of a base backup, or the log's end, its own
    Lsn lsn;               // where that commit stands in the log, or where the base backup ended, or the log
    std::optional<std::uint32_t> transaction;  // that commit's, where it is known
};
struct BisectProbe {
    BisectState state;
    CheckAnswer answer;
    std::size_t number = 0;  // from 1
    Duration took{};
};
struct Bisected {
    BisectState held;    // the last state at which the check held
    BisectState failed;  // the first one at which it did not
    CheckAnswer answer;  // there
    std::size_t probes = 0;
    // Why there may be more between the two; empty: nothing is, they are one commit apart.
    std::string between;
};

// Finds a moment at which a check ceased to hold: bisects over base backups, then over the commits in the log behind the last
// one at which it held, each time with a cluster of its own that stays at the moment (moment_cluster.h). Where the check
// ceased to hold several times, one of them is found.
//
// not_found when it holds at the newest moment that can be reached, or fails at the oldest one already; errors of the check as
// ask(); of a part of the log that is damaged, as place_log().
Result<Bisected> bisect(Workspace& workspace, BisectOptions const& options, std::function<void(BisectProbe const&)> const& on_probe,
                        ProgressCallback const& progress, Warn const& warn, std::stop_token stop);

}  // namespace holdfast
