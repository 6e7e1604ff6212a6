#pragma once

#include "archive/progress.h"
#include "datasets/point_reference.h"
#include "datasets/run_record.h"

namespace holdfast {

struct VerifyPointsOptions {
    bool data = false;     // open every frame and recompute every chunk id
    bool restore = false;  // and restore each dataset's latest point into a scratch directory, compare, validate
    std::string scratch;   // where; empty: under the state directory
    std::set<PackId> suspects = {};  // packs that are read in full even without `data`
    // With `data`, only a part: see VerifyRepositoryOptions.
    std::optional<Duration> older_than = {};
    std::optional<std::uint64_t> budget_bytes = {};
    std::optional<double> budget_share = {};
};

struct DamageReport {
    std::string object;   // "pack 3f2a…", "points/…", "index/…"
    std::string message;
};
struct DamagedFile {
    std::string dataset;
    PointId point;
    std::string path;
};
struct VerifyRestored {
    std::string dataset;
    PointId point;
    std::uint64_t files = 0, bytes = 0;
    std::uint64_t differences = 0;  // what did not come back as it was: each is in `damage`
};
struct VerifyReport {
    std::string repository;
    std::uint64_t points = 0, packs = 0, chunks = 0, bytes_read = 0;
    std::uint64_t packs_proven = 0;      // by a reader, now or before
    std::optional<Time> proven_since;    // when the one of them was read that was read longest ago
    std::vector<DamageReport> damage;
    std::vector<DamagedFile> files;  // at most 1,000
    std::uint64_t file_count = 0;
    std::vector<VerifyRestored> restored;  // what was restored for real
    // Points that the key at hand may not open, with why: nothing is known of what they hold.
    std::vector<std::pair<PointId, std::string>> sealed;
    bool whole() const { return damage.empty() && file_count == 0; }
};

// Proves a repository, and moves its points up the ladder in the catalog.
Result<VerifyReport> verify_points(Workspace& workspace, std::string_view repository,
                                   VerifyPointsOptions const& options, ProgressCallback const& progress,
                                   Warn const& warn,
                                   std::stop_token stop);

}  // namespace holdfast
