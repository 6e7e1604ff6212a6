#pragma once

#include "steps/cluster_pool.h"

namespace holdfast::steps {

struct PostgresClusterOptions {
    // The cluster goes away afterwards: the extension amcheck may be added to it.
    bool throw_away = false;
};

// A restored PostgreSQL cluster, started where it can reach nothing (see sources/postgres/cluster.h, also for the
// errors).
Result<std::unique_ptr<RunningCluster>> start_postgres_cluster(std::filesystem::path const& data,
                                                               PostgresClusterOptions options,
                                                               std::stop_token stop);

}  // namespace holdfast::steps
