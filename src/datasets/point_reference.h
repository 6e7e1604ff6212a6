#pragma once

#include "datasets/workspace.h"

namespace holdfast {

// What people write for a point: an id or a unique prefix of one, NAME@latest, NAME@TIME (the newest
// point not after it), NAME~2 (the second before the latest); split at the last '@'. A bare dataset
// name means its latest.
struct PointReference {
    std::string repository;  // where it was found
    PointInfo info;
    // Younger points of the dataset that are damaged, where not an id but a dataset was asked for: who
    // asked for the latest did not mean this one, and must be told. "KEY: what is wrong".
    std::vector<std::string> newer_damaged;
};
struct FindPointOptions {
    // Only points that are complete (no unreadable things); used where nobody looks.
    bool whole_only = false;
};
// not_found names what exists instead; usage on an ambiguous prefix.
Result<PointReference> find_point(Workspace& workspace, std::string_view text, FindPointOptions options,
                                  std::stop_token stop);

// "POINT:PATH" → point and path: split at the colon behind the first "@latest", "@TIME" or "~N"; without
// one, at the first colon that does not belong to the kind of an ad hoc dataset ("files:").
std::pair<std::string, std::string> split_point_path(std::string_view text);

}  // namespace holdfast
