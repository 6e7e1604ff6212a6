#include "overlay/block_set.h"

#include <algorithm>
#include <bit>

namespace holdfast {

void BlockSet::add(BlockRun const& run) {
    auto end = run.first > blocks_ ? run.first : run.first + std::min(run.count, blocks_ - run.first);
    for (auto block = run.first; block < end;) {
        auto bits = std::min<std::uint64_t>(64 - block % 64, end - block);
        auto mask = (bits == 64 ? ~0ull : (1ull << bits) - 1) << (block % 64);
        auto& word = words_[block / 64];
        count_ += static_cast<std::uint64_t>(std::popcount(mask & ~word));
        word |= mask;
        block += bits;
    }
}

BlockRun BlockSet::next(std::uint64_t from, std::uint64_t end, bool held) const {
    end = std::min(end, blocks_);
    // The first block from `at` on that is (`wanted`) or is not in the set; `end` when there is none.
    auto find = [&](std::uint64_t at, bool wanted) {
        while (at < end) {
            auto word = wanted ? words_[at / 64] : ~words_[at / 64];
            auto rest = word >> (at % 64);
            if (rest != 0) return std::min(end, at + static_cast<std::uint64_t>(std::countr_zero(rest)));
            at = (at / 64 + 1) * 64;
        }
        return end;
    };
    auto first = find(from, held);
    if (first >= end) return {end, 0};
    return {first, find(first, !held) - first};
}

}  // namespace holdfast
