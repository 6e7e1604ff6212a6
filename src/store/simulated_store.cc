#include "store/simulated_store.h"

#include <algorithm>
#include <cassert>

#include "store/errors.h"

namespace holdfast {

std::uint64_t SimulatedObjects::bytes() const {
    std::uint64_t sum = 0;
    for (auto const& [key, object] : objects) {
        if (!object.until) sum += object.bytes->size();
    }
    return sum;
}

std::vector<std::string> SimulatedObjects::keys(std::string_view prefix) const {
    std::vector<std::string> found;
    for (auto at = objects.lower_bound(prefix); at != objects.end() && at->first.starts_with(prefix); ++at) {
        if (!at->second.until) found.push_back(at->first);
    }
    return found;
}

template <typename Value, typename Run>
Result<Value> SimulatedStore::run(Operation operation, std::string_view key, std::stop_token const& stop,
                                  Run const& run) {
    TRY(store_errors::check(stop));
    std::optional<Fault> fault;
    auto number = operations_++;
    if (before) fault = before(number, operation, key);
    if (!fault) return run();
    if (fault->effect == Effect::done) (void)run();
    return fail(fault->kind, "a fault was injected");
}

SimulatedObjects::Object const* SimulatedStore::find(ObjectKey const& key) const {
    auto found = world_.objects.find(key.text());
    return found == world_.objects.end() || found->second.until ? nullptr : &found->second;
}

bool SimulatedStore::is_listed(SimulatedObjects::Object const& object) const {
    auto seen = clock_.elapsed();
    if (random != nullptr && lag > Duration(0)) {
        seen -= Duration(static_cast<std::int64_t>((*random)() % static_cast<std::uint64_t>(lag.count() + 1)));
    }
    return object.since <= seen && (!object.until || *object.until > seen);
}

Result<void> SimulatedStore::put(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token stop) {
    return run<void>(Operation::put, key.text(), stop, [&]() -> Result<void> {
        Bytes bytes;
        for (auto part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
        if (auto const* found = find(key)) {
            if (*found->bytes == bytes) return {};
            return store_errors::taken(key);
        }
        if (world_.capacity != UINT64_MAX && world_.bytes() + bytes.size() > world_.capacity) {
            return fail(ErrorKind::no_space, "the simulated store is full");
        }
        world_.objects.insert_or_assign(
            key.text(), SimulatedObjects::Object{std::make_shared<Bytes const>(std::move(bytes)), clock_.now(),
                                                 clock_.elapsed(), {}});
        return {};
    });
}

Result<void> SimulatedStore::replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) {
    return run<void>(Operation::put, key.text(), stop, [&]() -> Result<void> {
        world_.objects.insert_or_assign(
            key.text(), SimulatedObjects::Object{std::make_shared<Bytes const>(bytes.begin(), bytes.end()),
                                                 clock_.now(), clock_.elapsed(), {}});
        return {};
    });
}

Result<Bytes> SimulatedStore::get(ObjectKey const& key, std::stop_token stop) {
    return run<Bytes>(Operation::get, key.text(), stop, [&]() -> Result<Bytes> {
        auto const* found = find(key);
        if (found == nullptr) return store_errors::missing(key);
        return *found->bytes;
    });
}

Result<Bytes> SimulatedStore::get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                                        std::stop_token stop) {
    return run<Bytes>(Operation::get, key.text(), stop, [&]() -> Result<Bytes> {
        auto const* found = find(key);
        if (found == nullptr) return store_errors::missing(key);
        if (!store_errors::in_range(found->bytes->size(), offset, length)) {
            return store_errors::too_short(key, found->bytes->size(), offset, length);
        }
        auto begin = found->bytes->begin() + static_cast<std::ptrdiff_t>(offset);
        return Bytes(begin, begin + static_cast<std::ptrdiff_t>(length));
    });
}

Result<ObjectInfo> SimulatedStore::head(ObjectKey const& key, std::stop_token stop) {
    return run<ObjectInfo>(Operation::get, key.text(), stop, [&]() -> Result<ObjectInfo> {
        auto const* found = find(key);
        if (found == nullptr) return store_errors::missing(key);
        return ObjectInfo{key, found->bytes->size(), found->modified};
    });
}

Result<void> SimulatedStore::list(std::string_view prefix,
                                  std::function<Result<void>(ObjectInfo const&)> const& visit,
                                  std::stop_token stop) {
    assert(is_object_key(std::string(prefix) + "x"));
    // What is listed is settled before `visit`, which may call the store.
    std::vector<ObjectInfo> found;
    TRY(run<void>(Operation::list, prefix, stop, [&]() -> Result<void> {
        auto at = world_.objects.lower_bound(prefix);
        for (; at != world_.objects.end() && at->first.starts_with(prefix); ++at) {
            if (is_listed(at->second)) {
                found.push_back({ObjectKey(at->first), at->second.bytes->size(), at->second.modified});
            }
        }
        return {};
    }));
    for (auto const& object : found) TRY(visit(object));
    return {};
}

Result<void> SimulatedStore::remove(ObjectKey const& key, std::stop_token stop) {
    return run<void>(Operation::remove, key.text(), stop, [&]() -> Result<void> {
        auto found = world_.objects.find(key.text());
        if (found == world_.objects.end() || found->second.until) return {};
        if (lag > Duration(0)) {
            found->second.until = clock_.elapsed();
        } else {
            world_.objects.erase(found);
        }
        return {};
    });
}

}  // namespace holdfast
