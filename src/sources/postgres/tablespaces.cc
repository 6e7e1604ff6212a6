#include "sources/postgres/tablespaces.h"

#include <fmt/format.h>

#include <charconv>
#include <set>

#include "base/text.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kTablespacePrefix = "tablespace.";

bool is_or_lies_in(fs::path const& path, fs::path const& directory) {
    auto relative = path.lexically_normal().lexically_relative(directory.lexically_normal());
    return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

Result<std::map<std::uint32_t, std::string>> original_tablespaces(RecoveryPoint const& point) {
    std::map<std::uint32_t, std::string> locations;
    for (auto const& [key, location] : point.attributes) {
        if (!key.starts_with(kTablespacePrefix)) continue;
        auto digits = std::string_view(key).substr(kTablespacePrefix.size());
        std::uint32_t oid = 0;
        auto end = digits.data() + digits.size();
        auto parsed = std::from_chars(digits.data(), end, oid);
        if (parsed.ec != std::errc{} || parsed.ptr != end || oid == 0)
            return fail(ErrorKind::damaged, fmt::format("the point names a tablespace '{}'", printable(digits)));
        if (location.starts_with('/')) locations[oid] = location;
    }
    return locations;
}

Result<std::map<std::uint32_t, std::string>> plan_tablespaces(RecoveryPoint const& point,
                                                              std::map<std::string, std::string> const& mapping,
                                                              fs::path const& target) {
    auto locations = TRY(original_tablespaces(point));
    std::set<std::string> used;
    for (auto& [oid, location] : locations) {
        auto found = mapping.find(fmt::format("{}", oid));
        if (found == mapping.end()) found = mapping.find(location);
        if (found == mapping.end()) continue;
        used.insert(found->first);
        location = found->second;
    }
    for (auto const& [key, location] : mapping)
        if (!used.contains(key))
            return fail(ErrorKind::usage, fmt::format("the point has no tablespace '{}'", printable(key)),
                        "name it by its oid or by the directory where it was");
    auto data = fs::absolute(target);
    for (auto const& [oid, location] : locations) {
        if (!location.starts_with('/'))
            return fail(ErrorKind::usage, fmt::format("tablespace {}: '{}' is not an absolute path", oid, printable(location)));
        if (is_or_lies_in(location, data) || is_or_lies_in(data, location))
            return fail(ErrorKind::usage,
                        fmt::format("tablespace {}: '{}' and the data directory lie in each other", oid, printable(location)),
                        "map the tablespace to a place of its own");
        for (auto const& [other, other_location] : locations)
            if (other != oid && is_or_lies_in(location, other_location))
                return fail(ErrorKind::usage, fmt::format("tablespaces {} and {} lie in each other", oid, other),
                            "map each tablespace to a place of its own");
    }
    return locations;
}

}  // namespace holdfast::postgres
