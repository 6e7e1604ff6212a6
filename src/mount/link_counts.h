#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <unordered_map>

#include "archive/tree.h"

namespace holdfast {

// How many names each hard-linked file of a point has. A tree does not say; all of it is walked once, when
// somebody first looks at such a file. Directories that can't be read count as empty. Thread-safe.
class LinkCounts {
  public:
    Result<std::uint32_t> of(std::uint64_t link_group, Fetch& fetch, Content const& tree, std::stop_token stop);

  private:
    std::mutex mutex_;
    std::optional<std::unordered_map<std::uint64_t, std::uint32_t>> counts_;
};

}  // namespace holdfast
