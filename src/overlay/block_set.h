#pragma once

#include <cstdint>
#include <vector>

namespace holdfast {

// A run of blocks.
struct BlockRun {
    std::uint64_t first = 0, count = 0;
    bool operator==(BlockRun const&) const = default;
};

// Which of a file's blocks are in it: a bit for each.
class BlockSet {
  public:
    BlockSet() = default;
    explicit BlockSet(std::uint64_t blocks) : words_((blocks + 63) / 64), blocks_(blocks) {}

    std::uint64_t blocks() const { return blocks_; }
    // How many are in it.
    std::uint64_t count() const { return count_; }
    bool contains(std::uint64_t block) const { return words_[block / 64] >> (block % 64) & 1; }
    // Blocks beyond blocks() are passed over.
    void add(BlockRun const& run);
    // The first run of blocks in [from, end) that are not in it (or: that are); count 0 when there is none.
    BlockRun next_missing(std::uint64_t from, std::uint64_t end) const { return next(from, end, false); }
    BlockRun next_held(std::uint64_t from, std::uint64_t end) const { return next(from, end, true); }

  private:
    BlockRun next(std::uint64_t from, std::uint64_t end, bool held) const;

    std::vector<std::uint64_t> words_;
    std::uint64_t blocks_ = 0, count_ = 0;
};

}  // namespace holdfast
