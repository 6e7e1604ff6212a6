#pragma once

#include "datasets/run_record.h"
#include "datasets/workspace.h"

namespace holdfast {

// Fewer digits of an id than this are not taken for one.
inline constexpr std::size_t kPrefixDigitsMin = 4;

// What people write for a point: an id or a unique prefix of one (kPrefixDigitsMin digits), NAME@latest,
// NAME@TIME (the newest point not after it; not after that second, when there is no fraction), NAME~2
// (the second before the latest); split at the last '@'. A bare dataset name means its latest, also where
// it looks like an id.
struct PointReference {
    std::string repository;  // where it was found
    PointInfo info;
    // Younger points of the dataset that are damaged, where not an id but a dataset was asked for: who
    // asked for the latest did not mean this one, and must be told. "KEY: what is wrong".
    std::vector<std::string> newer_damaged;
    bool by_name = false;  // a dataset was asked for, and not an id
    // By name: the newest point before this one that is not suspect.
    std::optional<PointKey> clean = {};
};
struct FindPointOptions {
    // Only points that are complete (no unreadable things); used where nobody looks.
    bool whole_only = false;
};
// not_found names what exists instead; usage on an ambiguous prefix.
Result<PointReference> find_point(Workspace& workspace, std::string_view text, FindPointOptions options,
                                  std::stop_token stop);

// The same for a point that was found otherwise: the dataset's damaged points that are younger, and not after `until`.
std::vector<std::string> find_newer_damaged(Repository const& repository, std::vector<DamagedPoint> const& damaged,
                                            PointInfo const& info, std::optional<Time> until = {});

// What everybody has to say who works with a point that a dataset's name stood for: that it stands in for a damaged one,
// a line for each of these; that it is suspect.
std::vector<std::string> stand_in_warnings(PointReference const& point);
void warn_of_stand_in(PointReference const& point, Warn const& warn);

// "POINT:PATH" → point and path: split at the colon behind the first "@latest", "@TIME" or "~N" of the
// point; without one, at the first colon that does not belong to the kind of an ad hoc dataset ("files:").
std::pair<std::string, std::string> split_point_path(std::string_view text);

}  // namespace holdfast
