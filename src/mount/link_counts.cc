#include "mount/link_counts.h"

namespace holdfast {

Result<std::uint32_t> LinkCounts::of(std::uint64_t link_group, Fetch& fetch, Content const& tree,
                                     std::stop_token stop) {
    std::lock_guard lock(mutex_);
    if (!counts_) {
        std::unordered_map<std::uint64_t, std::uint32_t> counts;
        auto visit = [&](std::string const&, Entry const& entry) -> Result<bool> {
            if (entry.link_group != 0) ++counts[entry.link_group];
            return true;
        };
        auto pass_over = [](std::string const&, Error const&) -> Result<void> { return {}; };
        TRY(TreeReader(fetch, tree).walk("", visit, pass_over, stop));
        counts_ = std::move(counts);
    }
    auto found = counts_->find(link_group);
    return found == counts_->end() ? 1 : found->second;
}

}  // namespace holdfast
