#pragma once

#include <map>
#include <span>
#include <string>

#include "repo/point.h"

namespace holdfast {

inline constexpr char kLatestName[] = "latest";

// A dataset's name as that of a directory: '/' and '%' become %2F and %25, and so does a first '.'.
// "files:/etc" is "files:%2Fetc". Two datasets never share a name.
std::string directory_name(std::string_view dataset);

// What the points of one dataset (oldest first) are called in its directory: their time to the second, as
// `points` shows it. Where two are of one second the younger ones carry the beginning of their id, too.
std::map<std::string, PointInfo const*> point_names(std::span<PointInfo const* const> points);

}  // namespace holdfast
