#pragma once

#include <cstdint>
#include <string_view>

namespace holdfast {

// One of several equal shares of a repository's objects: which one holds an object is told by its name alone,
// so that jobs on many machines divide the work without talking to each other.
struct Shard {
    std::uint32_t index = 0;  // 0 to count - 1
    std::uint32_t count = 1;
    bool holds(std::string_view key) const;
};

}  // namespace holdfast
