#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/repository.h"
#include "repo/shard.h"

namespace holdfast {

struct RewrapOptions {
    // Which packs this run takes: runs of the other shares do the rest, at the same time, wherever they are.
    Shard shard = {};
    unsigned parity_percent = kParityPercentDefault;  // of the new packs
    bool dry_run = false;
};
struct RewrapProgress {
    std::uint64_t packs = 0, packs_total = 0;
    std::uint64_t bytes = 0, bytes_total = 0;
};
using RewrapCallback = std::function<void(RewrapProgress const&)>;

struct Rewrapped {
    std::uint64_t packs = 0, bytes = 0;  // sealed anew, or with `dry_run` would be
    std::uint64_t done_before = 0;       // packs of old epochs whose chunks all have a proven place in the newest
    // Pairs that this key does not hold: their packs stay as they are.
    std::set<std::string> refused;
    struct Damaged {
        std::string key;
        Error error;
    };
    std::vector<Damaged> damaged;  // packs that were not sealed anew
};

// Seals what lies in packs of old epochs to the newest epoch of the same pair: opens every frame, checks
// every chunk, and stores a pack with the same frames (nothing is compressed anew). For every 8 packs a segment names
// them as proven, so every writer may rely on them, and garbage collection keeps them and lets the old ones go.
// A run that was interrupted is taken up where its last segment ended; nothing is deleted here.
//
// key_refused without an admin's and a reader's role. Not from an executor's task.
Result<Rewrapped> rewrap_packs(Repository& repository, RewrapOptions options,
                               RewrapCallback const& progress, std::stop_token stop);

}  // namespace holdfast
