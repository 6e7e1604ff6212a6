#include "archive/path_filter.h"

#include <algorithm>

#include "base/text.h"

namespace holdfast {

PathFilter::PathFilter(std::vector<std::string> const& patterns) {
    for (auto pattern : patterns) {
        while (pattern.size() > 1 && pattern.ends_with('/')) pattern.pop_back();
        if (pattern.find('/') == std::string::npos) {
            names_.push_back(std::move(pattern));
        } else if (pattern.starts_with('/') || pattern.starts_with("**")) {
            paths_.push_back(std::move(pattern));
        } else {
            paths_.push_back("**/" + pattern);
        }
    }
}

bool PathFilter::excludes(std::string_view path) const {
    auto name = path.substr(path.rfind('/') + 1);
    auto fits = [](std::string_view text) {
        return [text](std::string const& pattern) { return glob_match(pattern, text); };
    };
    return std::any_of(names_.begin(), names_.end(), fits(name)) ||
           std::any_of(paths_.begin(), paths_.end(), fits(path));
}

}  // namespace holdfast
