#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <set>

#include "store/store.h"

namespace holdfast {

// A store that lies or fails on demand, over one that does not. For tests.
class FaultyStore : public Store {
  public:
    enum class Operation { put, replace, get, get_range, head, list, remove };
    // Whether a failing operation had its effect: the answer can get lost on the way back.
    enum class Effect { none, done };

    explicit FaultyStore(Store& inner) : inner_(inner) {}

    // Operations so far. `list` is one, however much it visits.
    std::uint64_t operations() const;
    // Operation number `number` (the first is 0) fails with this kind. Several may be set.
    void fail_operation(std::uint64_t number, ErrorKind kind, Effect effect);
    // From operation number `number` on, all fail with this kind and have no effect.
    void fail_from(std::uint64_t number, ErrorKind kind);
    // Called before each operation, with its number, outside of all locks: may end the process, or
    // wait. `list` has its prefix for a key.
    using Hook = std::function<void(std::uint64_t, Operation, std::string_view key)>;
    void set_hook(Hook hook);

    // What readers get from now on, whatever lies in the inner store. They add up.
    void flip_bit(ObjectKey const& key, std::uint64_t bit);  // bit 0 is the lowest of byte 0
    void truncate(ObjectKey const& key, std::uint64_t size);
    void drop(ObjectKey const& key);  // lost: get, head and list do not find it
    void heal();                      // forgets all damage and all failures

    using Store::put;
    Result<void> put(ObjectKey const& key, std::span<ByteView const> parts,
                     std::stop_token stop) override;
    Result<void> replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) override;
    Result<Bytes> get(ObjectKey const& key, std::stop_token stop) override;
    Result<Bytes> get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                            std::stop_token stop) override;
    Result<ObjectInfo> head(ObjectKey const& key, std::stop_token stop) override;
    Result<void> list(std::string_view prefix,
                      std::function<Result<void>(ObjectInfo const&)> const& visit,
                      std::stop_token stop) override;
    Result<void> remove(ObjectKey const& key, std::stop_token stop) override;
    bool room_ends() const override { return inner_.room_ends(); }
    Duration listing_lag() const override { return inner_.listing_lag(); }
    std::string describe() const override { return "faulty " + inner_.describe(); }

  private:
    struct Failure {
        ErrorKind kind;
        Effect effect;
    };
    struct Damage {
        bool dropped = false;
        std::optional<std::uint64_t> size;
        std::set<std::uint64_t> bits;
    };

    std::optional<Failure> begin(Operation operation, std::string_view key);
    std::optional<Damage> damage_of(ObjectKey const& key) const;
    Result<Bytes> damaged(ObjectKey const& key, Damage const& damage, std::stop_token stop);
    // Runs `operation` unless it is to fail before, and makes it fail when it is to fail after.
    template <typename Value, typename Run>
    Result<Value> with_faults(Operation operation, std::string_view key, Run run);

    Store& inner_;
    mutable std::mutex mutex_;
    std::uint64_t operations_ = 0;
    std::map<std::uint64_t, Failure> failures_;
    std::optional<std::pair<std::uint64_t, ErrorKind>> fail_from_;
    std::map<std::string, Damage> damage_;
    Hook hook_;
};

}  // namespace holdfast
