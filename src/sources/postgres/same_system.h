#pragma once

#include "repo/wal_log.h"

namespace holdfast::postgres {

// The stream of a cluster's log under a dataset.
WalStream cluster_log(KeyBundle const& keys, std::string_view dataset, std::uint64_t system_identifier);

// One name, one system: a restore must never find two clusters' points or logs under one dataset. `unsafe` when
// the repository holds any of another system; `where` is the server, for the message.
Result<void> check_same_system(Repository& repository, std::string const& dataset, std::uint64_t system_identifier,
                               std::string const& where, std::stop_token stop);

}  // namespace holdfast::postgres
