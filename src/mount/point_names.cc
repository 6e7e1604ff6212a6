#include "mount/point_names.h"

namespace holdfast {

std::string directory_name(std::string_view dataset) {
    std::string name;
    for (char c : dataset) {
        if (c == '/') name += "%2F";
        else if (c == '%') name += "%25";
        else if (c == '\0') name += "%00";
        else if (c == '.' && name.empty()) name += "%2E";
        else name += c;
    }
    return name;
}

std::map<std::string, PointInfo const*> point_names(std::span<PointInfo const* const> points) {
    std::map<std::string, PointInfo const*> names;
    for (auto const* info : points) {
        auto name = to_rfc3339(std::chrono::floor<std::chrono::seconds>(info->point.time));
        if (names.contains(name)) name += "-" + info->id.brief();
        names.emplace(std::move(name), info);
    }
    return names;
}

}  // namespace holdfast
