#pragma once

// For tests alone: what happens to a process at one of its operations on the store.

#include <functional>

#include "store/simulated_store.h"

namespace holdfast {

// The process dies at operation `at` (the first is 0), which has this effect; no later one has any. Whether it came so
// far is in the result, which lives as long as the store does.
inline std::shared_ptr<bool const> die_at(SimulatedStore& store, std::uint64_t at, SimulatedStore::Effect effect) {
    auto died = std::make_shared<bool>(false);
    store.before = [=](std::uint64_t number, SimulatedStore::Operation,
                       std::string_view) -> std::optional<SimulatedStore::Fault> {
        if (number < at) return {};
        *died = true;
        return SimulatedStore::Fault{ErrorKind::unreachable, number == at ? effect : SimulatedStore::Effect::none};
    };
    return died;
}

// Something else happens before operation `at`. The result is as above.
inline std::shared_ptr<bool const> interrupt_at(SimulatedStore& store, std::uint64_t at, std::function<void()> other) {
    auto ran = std::make_shared<bool>(false);
    store.before = [=](std::uint64_t number, SimulatedStore::Operation,
                       std::string_view) -> std::optional<SimulatedStore::Fault> {
        if (number != at) return {};
        *ran = true;
        other();
        return {};
    };
    return ran;
}

}  // namespace holdfast
