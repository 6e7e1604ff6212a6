#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>

#include "os/clock.h"
#include "store/store.h"

namespace holdfast {

// What lies in a store that many processes share, in memory: a value, so that a test can go back to it.
// Not thread-safe: everything runs on one thread.
struct SimulatedObjects {
    struct Object {
        std::shared_ptr<Bytes const> bytes;
        Time modified;
        Duration since{};               // by Clock::elapsed
        std::optional<Duration> until;  // when it was removed; it may still be listed
    };
    std::map<std::string, Object, std::less<>> objects;
    std::uint64_t capacity = UINT64_MAX;  // bytes

    std::uint64_t bytes() const;
    std::vector<std::string> keys(std::string_view prefix) const;
};

// One process's way to a shared store, and all that can go wrong on it. For tests and simulation.
class SimulatedStore : public Store {
  public:
    enum class Operation { put, get, list, remove };
    // What becomes of an operation that fails: nothing, or all of it, with the answer lost.
    enum class Effect { none, done };
    struct Fault {
        ErrorKind kind;
        Effect effect = Effect::none;
    };

    SimulatedStore(SimulatedObjects& world, Clock& clock) : world_(world), clock_(clock) {}

    // Called before each operation, with its number (the first is 0): may run other processes, and says
    // whether the operation fails.
    std::function<std::optional<Fault>(std::uint64_t, Operation, std::string_view key)> before;
    // How far a listing may lag behind, drawn for each key anew; none without a generator.
    Duration lag{};
    std::mt19937_64* random = nullptr;

    std::uint64_t operations() const { return operations_; }

    using Store::put;
    Result<void> put(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token stop) override;
    Result<void> replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) override;
    Result<Bytes> get(ObjectKey const& key, std::stop_token stop) override;
    Result<Bytes> get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                            std::stop_token stop) override;
    Result<ObjectInfo> head(ObjectKey const& key, std::stop_token stop) override;
    Result<void> list(std::string_view prefix, std::function<Result<void>(ObjectInfo const&)> const& visit,
                      std::stop_token stop) override;
    Result<void> remove(ObjectKey const& key, std::stop_token stop) override;
    bool room_ends() const override { return world_.capacity != UINT64_MAX; }
    Duration listing_lag() const override { return lag; }
    std::string describe() const override { return "simulated"; }

  private:
    // The object, unless it was removed.
    SimulatedObjects::Object const* find(ObjectKey const& key) const;
    bool is_listed(SimulatedObjects::Object const& object) const;
    template <typename Value, typename Run>
    Result<Value> run(Operation operation, std::string_view key, std::stop_token const& stop, Run const& run);

    SimulatedObjects& world_;
    Clock& clock_;
    std::uint64_t operations_ = 0;
};

}  // namespace holdfast
