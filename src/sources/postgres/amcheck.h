#pragma once

#include "archive/source.h"
#include "sources/postgres/cluster.h"

namespace holdfast::postgres {

struct AmcheckOptions {
    // Create the extension amcheck where it is missing: on throw-away clusters alone.
    bool install_missing = false;
    int jobs = 2;
};

// Checks the structure of every table and B-tree index of every database by pg_amcheck: one finding a
// database. A database without the extension, and a machine without the program, are not_verified; any
// way in which pg_amcheck ends that is not known is not_verified, too, never a success.
Result<std::vector<Finding>> run_amcheck(IsolatedCluster const& cluster, AmcheckOptions options, std::stop_token stop);

}  // namespace holdfast::postgres
