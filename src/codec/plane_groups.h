#pragma once

#include <span>
#include <vector>

#include "codec/huffman.h"

namespace holdfast {

// Which blocks are coded with one table. The numbers are the format's: 15 is a block of zeros.
inline constexpr std::size_t kPlaneGroupsMax = 15;
inline constexpr std::uint8_t kZeroBlock = 15;

struct PlaneGroups {
    std::size_t count = 0;
    std::vector<std::uint8_t> of_block;  // for each block its group, or kZeroBlock
    std::vector<ByteCounts> counts;      // for each group, of its bytes in the plane that was looked at
};

// Orders the blocks by their mean, cuts the order into runs of the same number of blocks, and joins
// neighbours as long as that makes the whole smaller. `sums` holds for each block the sum of its bytes in
// `plane`, or kNoBlock for one that is left out (all zero). Block i of those that are not left out lies
// at i * kPlaneBlock in `plane`. Integer arithmetic alone: the same on every machine.
inline constexpr std::uint32_t kNoBlock = ~std::uint32_t{0};
void group_blocks(std::span<std::uint32_t const> sums, std::uint8_t const* plane, PlaneGroups& groups);

// What `counts` would take if each byte took its entropy, in 1/4096 of a bit.
std::uint64_t entropy_cost(std::span<std::uint32_t const> counts);

}  // namespace holdfast
