#include "repo/reserve.h"

#include <fmt/format.h>

namespace holdfast {
namespace {

Result<std::vector<ObjectKey>> list_reserve(Store& store, std::stop_token stop) {
    std::vector<ObjectKey> keys;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        keys.push_back(info.key);
        return {};
    };
    TRY(store.list(kReservePrefix, visit, stop));
    return keys;
}

}  // namespace

Result<void> keep_reserve(Store& store, Random& random, std::stop_token stop) {
    if (!store.room_ends())
        return {};
    if (!TRY(list_reserve(store, stop)).empty())
        return {};
    // Noise: a file system that compresses would keep no room for zeros.
    Bytes noise(kReserveBytes);
    random.fill(noise);
    auto name = ByteView(noise).first(8);
    auto stored = store.put(ObjectKey(std::string(kReservePrefix) + to_hex(name)), noise, stop);
    if (!stored && stored.error().kind != ErrorKind::no_space)
        return stored;
    return {};
}

Result<bool> give_back_reserve(Store& store, std::stop_token stop) {
    auto keys = TRY(list_reserve(store, stop));
    for (auto const& key : keys)
        TRY(store.remove(key, stop));
    return !keys.empty();
}

Result<void> put_from_reserve(Store& store, ObjectKey const& key, ByteView object, std::stop_token stop) {
    auto stored = store.put(key, object, stop);
    if (stored || stored.error().kind != ErrorKind::no_space)
        return stored;
    if (!TRY(give_back_reserve(store, stop)))
        return stored;
    return store.put(key, object, stop);
}

}  // namespace holdfast
