#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "formats/ustar.h"
#include "os/fd.h"

namespace holdfast::postgres {

// Takes an entry of a data directory, as the server would have sent it. A file is open at its beginning and may
// grow, shrink and change while it is read.
using VisitClusterFile = std::function<Result<void>(UstarEntry const& entry, Fd const* file)>;

// Walks what belongs into a base backup, depth first, as the server chooses it (PostgreSQL documentation,
// "Streaming Replication Protocol", BASE_BACKUP; basebackup.c of 15):
//
// - left out are what the running server alone needs (postmaster.pid, caches, statistics' temporary files, other
//   backups' labels), temporary files and relations, and all but the init fork of unlogged relations;
// - pg_replslot, pg_notify, pg_wal and such come as empty directories;
// - links are not followed; files that are gone when their turn comes are passed over, as the log removes them, too;
// - global/pg_control comes last, as it is read last.
//
// `directory`: the data directory. Tablespaces come by walk_tablespace().
Result<void> walk_data_directory(int directory, VisitClusterFile const& visit, std::stop_token stop);
// The directory of this major version in a tablespace's location.
Result<void> walk_tablespace(int location, int major, VisitClusterFile const& visit, std::stop_token stop);

}  // namespace holdfast::postgres
