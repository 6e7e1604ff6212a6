#pragma once

#include <filesystem>
#include <stop_token>
#include <vector>

#include "archive/source.h"

namespace holdfast::postgres {

// Proves a restored data directory before its first start, without the repository:
// - sizes and CRC-32C of all files against the backup manifest, and that nothing is missing or extra;
// - the checksum of every page of every relation, where the cluster has them;
// - pg_verifybackup of the same version, where it is installed (it also reads the log through).
// What can't be proven is `not_verified`, never left out. A cluster that was started since can't be
// compared with its manifest any more; one that was shut down cleanly has its pages checked.
// not_found when there is no cluster at `target`; `usage` for a version that is not known.
Result<std::vector<Finding>> validate_data_directory(std::filesystem::path const& target, std::stop_token stop);

}  // namespace holdfast::postgres
