#pragma once

#include "sources/exports/load_export.h"

namespace holdfast::postgres {

// Makes a cluster of its own for an export: `data` (missing or empty; `unsafe` otherwise) becomes a data directory with
// everything that was exported, every row counted (check_failed otherwise), stopped cleanly. Until that is complete it stands beside it, at "<data>.loading", which
// is removed first when an earlier attempt left it. Tablespaces come to lie in `tablespaces`, by number.
//
// The cluster is of the version that was exported, or of the next later one that is on this machine. As root it belongs
// to the user postgres. While it is loaded it is isolated (cluster.h). `mark` can be asked for later, by holds_export().
struct NewClusterOptions {
    std::filesystem::path data;
    std::filesystem::path tablespaces;
    std::string mark;
    unsigned jobs = 2;
};
Result<std::vector<Finding>> load_into_new_cluster(ExportFiles const& files, NewClusterOptions const& options,
                                                   ProgressCallback const& progress, std::stop_token stop);

// Whether the data directory was made by load_into_new_cluster() with that mark.
bool holds_export(std::filesystem::path const& data, std::string_view mark);

}  // namespace holdfast::postgres
