#pragma once

#include "repo/repack.h"
#include "repo/verify.h"

namespace holdfast {

struct PruneOptions {
    PrunePlanLimits limits = {};
    bool dry_run = false;
    // Deletes at once what nothing needs, without waiting for writers and readers that run. What is
    // acknowledged stays whole all the same; they may have to begin again.
    bool now = false;
    // Packs of so many bytes are copied at least, with `now`, before what they replace goes. Each part takes another look at
    // everything; its size is the room that the collection needs.
    std::uint64_t part_bytes_min = 64u << 20;
    // Packs that are younger (by the store's clock) and that nothing needs yet: an interrupted backup
    // takes up there.
    Duration grace = std::chrono::hours(24);
    PackShape shape = {};
};

struct PruneProgress {
    char const* stage = "";
    std::uint64_t done = 0, total = 0;
};
using PruneCallback = std::function<void(PruneProgress const&)>;

// What a collection did, or with `dry_run` would do.
struct Pruned {
    std::uint64_t points = 0, chunks = 0;      // that are live
    std::uint64_t packs = 0, bytes = 0;        // that there were
    std::uint64_t deleted = 0, deleted_bytes = 0;
    std::uint64_t doomed = 0, doomed_bytes = 0;      // by this run; a later one deletes them
    std::uint64_t waiting = 0, waiting_bytes = 0;    // doomed before, and not yet long enough
    std::optional<Time> due;                         // when the first of all that are doomed may be deleted
    std::uint64_t repacked = 0, repacked_bytes = 0;  // packs that were copied, as far as something in them lives
    std::uint64_t copied_bytes = 0;                  // that were stored for it
    std::uint64_t unused_bytes = 0;                  // dead, in packs that stay
    std::uint64_t postponed_bytes = 0;               // of packs that a later run copies: the bound was reached
    std::uint64_t young = 0;                         // packs that nothing needs and that are too young
    std::uint64_t segments_before = 0, segments = 0;  // of the index
    std::uint64_t swept = 0;    // points and receipts of which crashes had left something
    std::uint64_t writers = 0;  // that run, or were killed a short while ago
    // Of key pairs that this key does not hold: who holds them collects their garbage.
    std::uint64_t sealed = 0, sealed_points = 0;  // packs and points
    std::uint64_t withheld = 0;        // packs that may go as soon as others agree (approval.h)
    std::set<std::string> requests;    // to which of these
    std::vector<PointId> given_up;  // unconfirmed points that lack what they need
    struct Damaged {
        std::string key;
        Error error;
    };
    std::vector<Damaged> damaged;  // packs that stay because something in them cannot be read
};

// Collects garbage: what no recovery point needs, confirmed or not. Two-phase and without locks: this run
// deletes what an earlier one doomed long enough ago, copies what lives in packs that are mostly dead, and
// dooms what is dead now. Killed anywhere, the next run goes on; any number may run at once, beside any
// number of writers and readers. docs/retention.md says why that is safe.
//
// key_refused without the keys of an admin and a reader. `damaged`, with nothing deleted, when it cannot
// be told what a point needs. Not from an executor's task.
Result<Pruned> prune_repository(Repository& repository, PruneOptions const& options, WalkTree const& walk,
                                PruneCallback const& progress, std::stop_token stop);

}  // namespace holdfast
