#include "mount/file_map.h"

#include <algorithm>

namespace holdfast {

Result<FileMap> FileMap::load(Fetch& fetch, Content const& content, std::stop_token stop) {
    FileMap map;
    auto take = [&](std::span<Extent const> run) -> Result<void> {
        for (auto const& extent : run) {
            map.extents_.push_back(extent);
            map.begins_.push_back(map.size_);
            map.size_ += extent.length;
            if (extent.chunk) map.data_bytes_ += extent.length;
        }
        return {};
    };
    TRY(fetch.extents(content, take, stop));
    return map;
}

std::size_t FileMap::find(std::uint64_t offset) const {
    if (offset >= size_) return count();
    auto behind = std::upper_bound(begins_.begin(), begins_.end(), offset);
    return static_cast<std::size_t>(behind - begins_.begin()) - 1;
}

std::optional<std::uint64_t> FileMap::next_data(std::uint64_t offset) const {
    for (auto at = find(offset); at < count(); ++at) {
        if (extents_[at].chunk) return std::max(offset, begins_[at]);
    }
    return {};
}

std::optional<std::uint64_t> FileMap::next_hole(std::uint64_t offset) const {
    auto at = find(offset);
    if (at == count()) return {};
    for (; at < count(); ++at) {
        if (!extents_[at].chunk) return std::max(offset, begins_[at]);
    }
    return size_;
}

}  // namespace holdfast
