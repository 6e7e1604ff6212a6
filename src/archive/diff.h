#pragma once

#include <filesystem>
#include <functional>

#include "archive/tree.h"

namespace holdfast {

// One path that is not the same; each path at most once. A directory that was added or removed is told
// with all that is below it.
struct Difference {
    enum class Change { added, removed, content, metadata, type };
    Change change;
    std::string path;    // below the root, "" for the root itself
    std::string detail;  // "mode 0644 → 0600, mtime", for people
};
std::string_view name(Difference::Change change);
using DifferenceVisit = std::function<Result<void>(Difference const&)>;

// What changed from tree `a` to tree `b` of two points; equal directories are not read. Content counts as
// changed when it is made of other chunks.
Result<void> diff_trees(Fetch& fetch, Content const& a, Content const& b, DifferenceVisit const& visit,
                        std::stop_token stop);
// What is different in the live directory (drift). Content is compared byte for byte (by chunk id); where
// the point has a hole and the disk has zeros, or the other way round, nothing is different. What can't be
// read is a difference in content. Names beside an incomplete directory of the point are not added ones.
// not_found when there is no live directory.
struct CompareOptions {
    bool owners = true;
    bool times = true;
    bool special_bits = true;  // setuid, setgid and capabilities of files: a restore may leave them out
    std::vector<std::string> exclude = {};  // as BackUpOptions::exclude
    std::string captured_root = {};  // the path whose names `exclude` is against; empty: the live directory's
};
Result<void> diff_live(Fetch& fetch, Content const& tree, std::filesystem::path const& live,
                       CompareOptions const& options, DifferenceVisit const& visit, std::stop_token stop);

}  // namespace holdfast
