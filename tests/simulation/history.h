#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace holdfast::simulation {

// What happened in the histories so far: that they are about something.
struct Tally {
    std::uint64_t histories = 0, directories = 0, operations = 0;
    std::uint64_t faults = 0, kills = 0, naps = 0, jumps = 0, rotten = 0, full = 0, powerless = 0;
    std::uint64_t published = 0, taken_over = 0, conflicts = 0, forgotten = 0, read = 0, audits = 0, repairs = 0;
    std::uint64_t pruned = 0, doomed = 0, deleted = 0, repacked = 0, given_up = 0;
};

// Runs the history of a seed. Returns what was not as it must be; `trace` is told what happens.
std::optional<std::string> run_history(std::uint64_t seed, Tally& tally, bool trace);

}  // namespace holdfast::simulation
