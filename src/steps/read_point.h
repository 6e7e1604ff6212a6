#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "archive/progress.h"
#include "repo/point.h"
#include "repo/repository.h"

namespace holdfast::steps {

struct PointRead {
    std::uint64_t files = 0;
    std::uint64_t chunks = 0;  // opened, each id recomputed
    std::uint64_t bytes = 0;
    // Paths that cannot be had whole, with the reason: at most 100; `damaged_count` counts all.
    std::vector<std::string> damaged;
    std::uint64_t damaged_count = 0;
};

// Reads everything that the point holds out of the repository, checks each chunk, and keeps nothing. Memory is
// bounded for any point.
Result<PointRead> read_point(Repository& repository, RecoveryPoint const& point, ProgressCallback const& progress,
                             std::stop_token stop);

}  // namespace holdfast::steps
