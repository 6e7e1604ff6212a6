#include "steps/cluster_pool.h"

#include <cassert>

namespace holdfast::steps {

Result<ClusterPool::Handle> ClusterPool::use(std::filesystem::path const& data, std::stop_token stop) {
    return take(data.lexically_normal(), false, stop);
}

Result<ClusterPool::Handle> ClusterPool::keep(std::filesystem::path const& data, std::stop_token stop) {
    return take(data.lexically_normal(), true, stop);
}

Result<ClusterPool::Handle> ClusterPool::take(std::filesystem::path const& data, bool keep,
                                              std::stop_token stop) {
    std::lock_guard const lock(mutex_);
    auto found = entries_.find(data);
    if (found == entries_.end()) {
        auto started = TRY(start_(data, stop));
        found = entries_.emplace(data, Entry{std::move(started)}).first;
    }
    auto& entry = found->second;
    entry.kept = entry.kept || keep;
    ++entry.users;
    return Handle(entry.cluster.get(), [this, data](RunningCluster*) { release(data); });
}

void ClusterPool::release(std::filesystem::path const& data) {
    std::lock_guard const lock(mutex_);
    auto const found = entries_.find(data);
    assert(found != entries_.end() && found->second.users > 0);
    if (--found->second.users == 0 && !found->second.kept) entries_.erase(found);
}

void ClusterPool::stop_all() {
    std::lock_guard const lock(mutex_);
    for (auto entry = entries_.begin(); entry != entries_.end();) {
        entry->second.kept = false;
        entry = entry->second.users == 0 ? entries_.erase(entry) : std::next(entry);
    }
}

}  // namespace holdfast::steps
