#include "store/memory_store.h"

#include <cassert>

#include "store/errors.h"

namespace holdfast {

using store_errors::check;
using store_errors::missing;

Result<void> MemoryStore::put(ObjectKey const& key, std::span<ByteView const> parts,
                              std::stop_token stop) {
    TRY(check(stop));
    Bytes bytes;
    for (auto part : parts)
        bytes.insert(bytes.end(), part.begin(), part.end());
    std::lock_guard lock(mutex_);
    auto at = objects_.find(key.text());
    if (at == objects_.end()) {
        objects_.emplace(key.text(), Object{std::move(bytes), clock_.now()});
    } else if (at->second.bytes != bytes) {
        return store_errors::taken(key);
    }
    return {};
}

Result<void> MemoryStore::replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) {
    TRY(check(stop));
    std::lock_guard lock(mutex_);
    objects_.insert_or_assign(key.text(), Object{Bytes(bytes.begin(), bytes.end()), clock_.now()});
    return {};
}

Result<Bytes> MemoryStore::get(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    std::lock_guard lock(mutex_);
    auto at = objects_.find(key.text());
    if (at == objects_.end())
        return missing(key);
    return at->second.bytes;
}

Result<Bytes> MemoryStore::get_range(ObjectKey const& key, std::uint64_t offset,
                                     std::uint64_t length, std::stop_token stop) {
    TRY(check(stop));
    std::lock_guard lock(mutex_);
    auto at = objects_.find(key.text());
    if (at == objects_.end())
        return missing(key);
    auto const& bytes = at->second.bytes;
    if (!store_errors::in_range(bytes.size(), offset, length)) {
        return store_errors::too_short(key, bytes.size(), offset, length);
    }
    auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
    return Bytes(begin, begin + static_cast<std::ptrdiff_t>(length));
}

Result<ObjectInfo> MemoryStore::head(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    std::lock_guard lock(mutex_);
    auto at = objects_.find(key.text());
    if (at == objects_.end())
        return missing(key);
    return ObjectInfo{key, at->second.bytes.size(), at->second.modified};
}

Result<void> MemoryStore::list(std::string_view prefix,
                               std::function<Result<void>(ObjectInfo const&)> const& visit,
                               std::stop_token stop) {
    assert(is_object_key(std::string(prefix) + "x"));
    TRY(check(stop));
    // `visit` may call the store: nothing is held while it runs.
    std::vector<ObjectInfo> found;
    {
        std::lock_guard lock(mutex_);
        for (auto at = objects_.lower_bound(prefix);
             at != objects_.end() && at->first.starts_with(prefix); ++at) {
            found.push_back({ObjectKey(at->first), at->second.bytes.size(), at->second.modified});
        }
    }
    for (auto const& object : found) {
        TRY(check(stop));
        TRY(visit(object));
    }
    return {};
}

Result<void> MemoryStore::remove(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    std::lock_guard lock(mutex_);
    objects_.erase(key.text());
    return {};
}

}  // namespace holdfast
