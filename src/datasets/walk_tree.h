#pragma once

#include "repo/verify.h"

namespace holdfast {

// Everything below a point's root that has a content: what the repository needs to know of trees.
Result<void> walk_tree(Fetch& fetch, RecoveryPoint const& point, TreeVisitor const& visitor, std::stop_token stop);

}  // namespace holdfast
