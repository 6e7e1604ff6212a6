#include "datasets/walk_tree.h"

#include "archive/tree.h"

namespace holdfast {

Result<void> walk_tree(Fetch& fetch, RecoveryPoint const& point, TreeVisitor const& visitor, std::stop_token stop) {
    TreeReader tree(fetch, point.tree);
    auto visit = [&](std::string const& path, Entry const& entry) -> Result<bool> {
        if (entry.type != EntryType::file && entry.type != EntryType::directory) return true;
        return visitor.content(path, entry.content);
    };
    return tree.walk("", visit, visitor.damaged, stop);
}

}  // namespace holdfast
