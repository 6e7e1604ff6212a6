#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "os/executor.h"
#include "repo/shard.h"
#include "store/store.h"

namespace holdfast {

struct ScrubOptions {
    Shard shard = {};
    // Mend what can be mended without a key: packs by their parity, the configuration and key objects by
    // their copies.
    bool repair = false;
    // With `repair`: say what would be mended.
    bool dry_run = false;
};

struct ScrubProgress {
    std::uint64_t objects = 0, objects_total = 0;
    std::uint64_t bytes = 0, bytes_total = 0;
    std::string current;  // the object at hand
};
// Called from one thread at a time.
using ScrubCallback = std::function<void(ScrubProgress const&)>;

// What a scrub found.
struct ScrubReport {
    std::uint64_t objects = 0, packs = 0, bytes = 0;  // of this shard
    struct Damaged {
        std::string key;
        Error error;
        bool mendable = false;  // by the pack's own parity, or by a copy
        bool mended = false;
    };
    std::vector<Damaged> damaged;      // in the order of keys
    std::vector<std::string> unknown;  // objects that this version does not know what they are
    // Whether anything is damaged that is not mended.
    bool whole() const;
};

// Reads every object of the shard and checks what can be checked without any key: packs by the sums of their
// sectors, packs, segments and points by the hash that is their name, the rest by its shape. That finds
// accidents; malice and what is missing are found by verify_repository(). Damage is what it returns, not an
// error; it fails when the store does not answer, when it is stopped, and with `usage` on a repository of a
// newer format. Safe beside writers and garbage collection. Not from an executor's task.
Result<ScrubReport> scrub(Store& store, Executor& executor, ScrubOptions const& options,
                          ScrubCallback const& progress, std::stop_token stop);

}  // namespace holdfast
