#pragma once

#include <cstdint>
#include <optional>

namespace holdfast {

// A run of a file that should be fetched before somebody asks for it.
struct AheadRange {
    std::uint64_t begin = 0, end = 0;
    bool operator==(AheadRange const&) const = default;
};

// Decides how far ahead of a reader to fetch. Who reads on where he stopped gets a window that doubles up
// to its bound; who jumps gets nothing, so that random reads cost no bandwidth. Not thread-safe.
class Readahead {
  public:
    explicit Readahead(std::uint64_t window_max) : window_max_(window_max) {}
    // After a read of [begin, end): what to fetch now, if anything.
    std::optional<AheadRange> after(std::uint64_t begin, std::uint64_t end);

  private:
    std::uint64_t const window_max_;
    std::uint64_t next_ = 0;    // where a sequential reader goes on
    std::uint64_t ahead_ = 0;   // asked for up to here
    std::uint64_t window_ = 0;  // 0: the last read was a jump
};

}  // namespace holdfast
