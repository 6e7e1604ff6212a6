#include "mount/readahead.h"

#include <algorithm>

namespace holdfast {
namespace {

constexpr std::uint64_t kFirstWindow = 2u << 20;
// The kernel's own read-ahead is answered by several threads: its requests overtake each other a little.
constexpr std::uint64_t kDisorder = 1u << 20;

}  // namespace

std::optional<AheadRange> Readahead::after(std::uint64_t begin, std::uint64_t end) {
    auto low = next_ > kDisorder ? next_ - kDisorder : 0;
    if (begin < low || begin > next_ + kDisorder) {
        next_ = end;
        ahead_ = end;
        window_ = 0;
        return {};
    }
    next_ = std::max(next_, end);
    if (window_ == 0) {
        window_ = std::min(kFirstWindow, window_max_);
        ahead_ = std::max(ahead_, next_);
    }
    // Asked for again only when half of the window is used up: batches are worth more than single chunks.
    if (ahead_ > next_ && ahead_ - next_ > window_ / 2) return {};
    AheadRange range{std::max(ahead_, next_), next_ + window_};
    window_ = std::min(window_ * 2, window_max_);
    if (range.end <= range.begin) return {};
    ahead_ = range.end;
    return range;
}

}  // namespace holdfast
