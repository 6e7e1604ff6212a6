#pragma once

#include <optional>

#include "archive/source.h"
#include "datasets/run_record.h"
#include "datasets/suspicion.h"

namespace holdfast {

struct BackedUp {
    std::string repository;
    PointInfo point;
    IngestStatistics statistics;
    Duration took{};
    std::vector<Problem> problems;
    std::uint64_t problem_count = 0;
    std::vector<Finding> findings;
    std::optional<Suspicion> suspicion;  // the point is suspect
    std::set<PackId> relied_on;          // the packs that the point needs
    std::optional<Time> locked_until;    // all of it, where the plan locks
    std::string cache_warning;  // why the next capture can't build upon this one; mostly empty
};

// Makes a recovery point of the dataset in the repository `name`, notes it in the catalog (a catalog
// that can't be written does not fail the backup: `warn` hears of it).
Result<BackedUp> back_up(Workspace& workspace, plan::Dataset const& dataset, std::string_view repository,
                         ProgressCallback const& progress,
                         Warn const& warn, std::stop_token stop);

}  // namespace holdfast
