#pragma once

#include <functional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/repository.h"
#include "repo/scrub.h"

namespace holdfast {

struct RepairOptions {
    bool dry_run = false;
};

// What a repair did, or with `dry_run` would have done.
struct RepairReport {
    // What needs no key: packs mended by their parity, the configuration and key objects by their copies.
    std::vector<ScrubReport::Damaged> scrubbed;
    // Packs that no readable segment named: opened, every chunk id recomputed, and named again.
    std::uint64_t packs_named = 0;
    // Segments of the index, whose packs are named again, and proofs that could not be read.
    std::vector<std::string> segments_removed;
    std::uint64_t chunks_salvaged = 0;          // stored again out of damaged packs, or from another place
    std::vector<std::string> packs_given_up;    // damaged or missing packs of which everything lies elsewhere now
    struct Damaged {
        std::string key;
        Error error;
    };
    std::vector<Damaged> damaged;  // what stays damaged
    std::set<PackId> suspects;     // the packs among them
    std::set<ChunkId> lost;        // chunks that can't be had from anywhere
    bool whole() const { return damaged.empty(); }
};

// Mends what can be mended:
//
// - all that scrub() mends without a key;
// - the index: packs that no segment names (any more) are opened, checked and named in a new one, then segments
//   that can't be read are removed;
// - damaged packs that parity does not mend: frame by frame, whatever opens and is what its id says is stored
//   again, and so is what can be had from another pack. When nothing of a damaged or missing pack is lost it is
//   given up; else it stays as it is, because another copy of the repository may still heal it, and its
//   mark makes the next backup store what it held again from the source.
//
// Order: what is stored again is durable and named before a mark or a removal relies on it; a crash at any
// instant leaves at worst something stored twice, and the next repair goes on. It runs beside backups. Needs a
// key that reads and writes (key_refused). Damage is what it returns, not an error. Not from an executor's task.
Result<RepairReport> repair_repository(Repository& repository, RepairOptions options, ScrubCallback const& progress,
                                       std::stop_token stop);

}  // namespace holdfast
