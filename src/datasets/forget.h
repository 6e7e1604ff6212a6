#pragma once

#include <set>

#include "datasets/workspace.h"
#include "repo/retention.h"

namespace holdfast {

struct ForgetOptions {
    std::vector<std::string> points;    // these, instead of what the retention lets go
    std::vector<std::string> datasets;  // by retention, only of these; empty: of all
    // Instead of the plan's retention, for every dataset.
    std::optional<RetentionRules> rules;
    bool dry_run = false;
    // Also a dataset's last point, when it is named.
    bool even_the_last = false;
};

// What happens to a point, or would.
struct ForgetVerdict {
    PointId id;
    std::string dataset;  // empty: the point is damaged, and nobody can say
    std::optional<Time> time, received;
    std::uint64_t bytes = 0;  // apparent
    bool keep = false;
    std::vector<std::string> reasons;
};
struct ForgetReport {
    std::vector<ForgetVerdict> points;   // by dataset, oldest first
    std::vector<std::string> untouched;  // datasets that no rule speaks of: everything stays
    std::uint64_t forgotten = 0, kept = 0;
    // Of those that are kept: they go when others agree, to these requests.
    std::uint64_t withheld = 0;
    std::set<std::string> requests;
};

// Drops the points that the retention of their tier does not keep, or those that are named. Nothing is
// dropped when any dataset would be left without a point (`unsafe`), or a hold or an append-only
// dataset forbids it. Where others have to agree (repo/approval.h), only what they agreed to goes, and they are asked
// for the rest. key_refused without an admin's key.
Result<ForgetReport> forget_points(Workspace& workspace, std::string_view repository,
                                   ForgetOptions const& options, std::stop_token stop);

}  // namespace holdfast
