#pragma once

#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>

#include "os/clock.h"
#include "store/simulated_store.h"

namespace holdfast::simulation {

// What a process does to the medium, and what becomes of it.
struct Step {
    enum class Kind { put, get, list, remove, other };
    Kind kind;
    std::string_view verb, object;
};
using Effect = SimulatedStore::Effect;
using Fault = SimulatedStore::Fault;
using BeforeStep = std::function<std::optional<Fault>(Step const&)>;

// Where the objects lie that all processes share.
class Medium {
  public:
    virtual ~Medium() = default;
    // A process's way to it. `before` is asked before each step.
    virtual Result<std::unique_ptr<Store>> connect(std::string const& process, Clock& clock, BeforeStep before) = 0;
    // For whoever looks at it, or mends it, between epochs.
    virtual Store& truth() = 0;
    virtual void flip(std::string const& key, std::uint64_t offset, std::uint8_t mask) = 0;
    // Room for so many more bytes; without a number: for all.
    virtual void set_room(std::optional<std::uint64_t> bytes) = 0;
    // What was not made durable is gone, or some of it. Nothing where that cannot be.
    virtual bool lose_power() { return false; }
    // About how many steps this medium makes of one operation of a store.
    virtual std::uint64_t steps_per_operation() const { return 1; }
};

// An object store. Its listings may lag behind.
std::unique_ptr<Medium> make_bucket(SimulatedObjects const& objects, Clock& clock, std::mt19937_64& random, Duration lag);
// A directory, on a file system that does no more than POSIX promises.
std::unique_ptr<Medium> make_directory(SimulatedObjects const& objects, Clock& clock, std::mt19937_64& random);

}  // namespace holdfast::simulation
