#include "store/faulty_store.h"

#include "store/errors.h"

namespace holdfast {

using Operation = FaultyStore::Operation;

std::uint64_t FaultyStore::operations() const {
    std::lock_guard lock(mutex_);
    return operations_;
}

void FaultyStore::fail_operation(std::uint64_t number, ErrorKind kind, Effect effect) {
    std::lock_guard lock(mutex_);
    failures_[number] = {kind, effect};
}

void FaultyStore::fail_from(std::uint64_t number, ErrorKind kind) {
    std::lock_guard lock(mutex_);
    fail_from_ = {number, kind};
}

void FaultyStore::set_hook(Hook hook) {
    std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
}

void FaultyStore::flip_bit(ObjectKey const& key, std::uint64_t bit) {
    std::lock_guard lock(mutex_);
    auto& bits = damage_[key.text()].bits;
    // Flipped twice is as before.
    if (!bits.erase(bit))
        bits.insert(bit);
}

void FaultyStore::truncate(ObjectKey const& key, std::uint64_t size) {
    std::lock_guard lock(mutex_);
    damage_[key.text()].size = size;
}

void FaultyStore::drop(ObjectKey const& key) {
    std::lock_guard lock(mutex_);
    damage_[key.text()].dropped = true;
}

void FaultyStore::heal() {
    std::lock_guard lock(mutex_);
    damage_.clear();
    failures_.clear();
    fail_from_.reset();
}

std::optional<FaultyStore::Failure> FaultyStore::begin(Operation operation, std::string_view key) {
    std::unique_lock lock(mutex_);
    auto number = operations_++;
    auto hook = hook_;
    lock.unlock();
    if (hook)
        hook(number, operation, key);
    lock.lock();
    if (auto at = failures_.find(number); at != failures_.end())
        return at->second;
    if (fail_from_ && number >= fail_from_->first)
        return Failure{fail_from_->second, Effect::none};
    return std::nullopt;
}

std::optional<FaultyStore::Damage> FaultyStore::damage_of(ObjectKey const& key) const {
    std::lock_guard lock(mutex_);
    auto at = damage_.find(key.text());
    if (at == damage_.end())
        return std::nullopt;
    return at->second;
}

Result<Bytes> FaultyStore::damaged(ObjectKey const& key, Damage const& damage,
                                   std::stop_token stop) {
    if (damage.dropped)
        return store_errors::missing(key);
    auto bytes = TRY(inner_.get(key, stop));
    if (damage.size && *damage.size < bytes.size())
        bytes.resize(*damage.size);
    for (auto bit : damage.bits) {
        if (bit / 8 < bytes.size())
            bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
    return bytes;
}

template <typename Value, typename Run>
Result<Value> FaultyStore::with_faults(Operation operation, std::string_view key, Run run) {
    auto failure = begin(operation, key);
    if (!failure)
        return run();
    if (failure->effect == Effect::done)
        (void)run();
    return fail(failure->kind, "a fault was injected");
}

Result<void> FaultyStore::put(ObjectKey const& key, std::span<ByteView const> parts,
                              std::stop_token stop) {
    return with_faults<void>(Operation::put, key.text(),
                             [&] { return inner_.put(key, parts, stop); });
}

Result<void> FaultyStore::replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) {
    return with_faults<void>(Operation::replace, key.text(), [&] { return inner_.replace(key, bytes, stop); });
}

Result<Bytes> FaultyStore::get(ObjectKey const& key, std::stop_token stop) {
    return with_faults<Bytes>(Operation::get, key.text(), [&]() -> Result<Bytes> {
        auto damage = damage_of(key);
        return damage ? damaged(key, *damage, stop) : inner_.get(key, stop);
    });
}

Result<Bytes> FaultyStore::get_range(ObjectKey const& key, std::uint64_t offset,
                                     std::uint64_t length, std::stop_token stop) {
    return with_faults<Bytes>(Operation::get_range, key.text(), [&]() -> Result<Bytes> {
        auto damage = damage_of(key);
        if (!damage)
            return inner_.get_range(key, offset, length, stop);
        auto bytes = TRY(damaged(key, *damage, stop));
        if (!store_errors::in_range(bytes.size(), offset, length)) {
            return store_errors::too_short(key, bytes.size(), offset, length);
        }
        auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(offset);
        return Bytes(begin, begin + static_cast<std::ptrdiff_t>(length));
    });
}

Result<ObjectInfo> FaultyStore::head(ObjectKey const& key, std::stop_token stop) {
    return with_faults<ObjectInfo>(Operation::head, key.text(), [&]() -> Result<ObjectInfo> {
        auto damage = damage_of(key);
        if (damage && damage->dropped)
            return store_errors::missing(key);
        auto info = TRY(inner_.head(key, stop));
        if (damage && damage->size)
            info.size = std::min(info.size, *damage->size);
        return info;
    });
}

Result<void> FaultyStore::list(std::string_view prefix,
                               std::function<Result<void>(ObjectInfo const&)> const& visit,
                               std::stop_token stop) {
    auto visit_damaged = [&](ObjectInfo const& object) -> Result<void> {
        auto damage = damage_of(object.key);
        if (damage && damage->dropped)
            return {};
        auto seen = object;
        if (damage && damage->size)
            seen.size = std::min(seen.size, *damage->size);
        return visit(seen);
    };
    return with_faults<void>(Operation::list, prefix,
                             [&] { return inner_.list(prefix, visit_damaged, stop); });
}

Result<void> FaultyStore::remove(ObjectKey const& key, std::stop_token stop) {
    return with_faults<void>(Operation::remove, key.text(),
                             [&] { return inner_.remove(key, stop); });
}

}  // namespace holdfast
