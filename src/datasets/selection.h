#pragma once

#include <string>
#include <vector>

#include "datasets/instant.h"

namespace holdfast {

// What to take out of a database, in pg_dump's patterns: "public.users", "app.*".
struct Selection {
    std::string database;                 // of the cluster that is looked into; "" is the one that `into` names
    std::vector<std::string> tables;
    std::vector<std::string> schemas;     // neither: all of the database
    std::string into;                     // libpq's connection string, without a password
    std::string timeline = "latest";
};
struct SelectedRestore {
    PointReference point;
    std::string database;
    std::uint64_t dump_bytes = 0;
    Duration time_to_ready{};  // until the cluster could be asked
    Duration took{};
};

// Brings a part of a database, as of any moment, into a running one: the cluster is started on the recovery point itself
// (moment_cluster.h) below `scratch`, dumped, and what was dumped is restored in one
// transaction: all of it, or nothing. What exists there already is left as it is, and is an error. The dump is complete
// before anything is restored; every program's exit code counts (check_failed, with what it said). Leaves nothing behind.
Result<SelectedRestore> restore_selection(Workspace& workspace, std::string const& moment, Selection const& selection,
                                          std::filesystem::path const& scratch, ProgressCallback const& progress,
                                          Warn const& warn, std::stop_token stop);

}  // namespace holdfast
