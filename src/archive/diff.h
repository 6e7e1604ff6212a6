#pragma once

#include <filesystem>
#include <functional>

#include "archive/tree.h"

namespace holdfast {

struct Difference {
    enum class Change { added, removed, content, metadata, type };
    Change change;
    std::string path;
    std::string detail;  // "mode 0644 → 0600, mtime", for people
};
using DifferenceVisit = std::function<Result<void>(Difference const&)>;

// What changed from tree `a` to tree `b` of two points; equal directories are not read.
Result<void> diff_trees(Fetch& fetch, Content const& a, Content const& b, DifferenceVisit const& visit,
                        std::stop_token stop);
// What is different in the live directory (drift). Content is compared byte for byte (by chunk id).
// `ignore` names differences in metadata that do not count.
struct CompareOptions {
    bool owners = true;
    bool times = true;
    std::vector<std::string> exclude;
};
Result<void> diff_live(Fetch& fetch, Content const& tree, std::filesystem::path const& live,
                       CompareOptions const& options, DifferenceVisit const& visit, std::stop_token stop);

}  // namespace holdfast
