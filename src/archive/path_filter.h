#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace holdfast {

// Exclusion by globs: a pattern without '/' is matched against names, one that begins with '/' against
// absolute paths, one with '/' inside against the ends of paths ("build/*.o" as "/**/build/*.o").
class PathFilter {
  public:
    explicit PathFilter(std::vector<std::string> const& patterns);
    // `path` is absolute; bytes.
    bool excludes(std::string_view path) const;

  private:
    std::vector<std::string> names_, paths_;
};

}  // namespace holdfast
