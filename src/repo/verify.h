#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/repository.h"

namespace holdfast {

struct VerifyRepositoryOptions {
    // Also read every pack in full: sector sums, seals, every chunk id. Without it, packs are only
    // known to be there with the right size.
    bool data = false;
    // Without `data`: packs that are read in full all the same, because they are known to be damaged.
    std::set<PackId> suspects = {};
    // With `data`: only packs whose last proof is older than this, or that have none.
    std::optional<Duration> older_than = {};
    // With `data`: those that were proven longest ago, until they have so many bytes, or this share (0 to 1)
    // of the bytes of all packs. Repeated, it comes by everything.
    std::optional<std::uint64_t> budget_bytes = {};
    std::optional<double> budget_share = {};
};

struct VerifyRepositoryProgress {
    std::uint64_t objects = 0, objects_total = 0;
    std::uint64_t bytes = 0, bytes_total = 0;  // of what is read in full
    std::uint64_t points = 0, points_total = 0;
    std::string current;  // the object or point at hand
};
// Called from one thread at a time.
using VerifyRepositoryCallback = std::function<void(VerifyRepositoryProgress const&)>;

// How a point's tree is read: given by the layer that knows what a serialised directory is.
// A WalkTree calls `content` for everything below the root that has a content, parents first, and
// passes over a directory for which it says false; and `damaged` for what can't be read. An error of
// either, and one that is the store's (unreachable, cancelled), ends it.
struct TreeVisitor {
    std::function<Result<bool>(std::string const& path, Content const& content)> content;
    std::function<Result<void>(std::string const& path, Error const& error)> damaged;
};
using WalkTree = std::function<Result<void>(Fetch& fetch, RecoveryPoint const& point,
                                            TreeVisitor const& visitor, std::stop_token stop)>;

// What a verification found. It lists damage; it does not mend.
struct Verification {
    std::uint64_t objects = 0, points = 0, packs = 0, chunks = 0;
    std::uint64_t bytes_read = 0;  // of packs, with `data`
    // Packs that a reader opened and found whole, now or before, and when the one of them was read that was
    // read longest ago.
    std::uint64_t packs_proven = 0;
    std::optional<Time> proven_since;
    std::optional<Error> unremembered;  // why this run's proofs could not be stored
    // Points that need something that is in no such pack.
    std::set<PointId> unproven_points;

    struct DamagedObject {
        std::string key;
        Error error;
        // A pack whose parity brings back all that is damaged: nothing is lost, and `repair` mends it.
        bool mendable = false;
    };
    std::vector<DamagedObject> damaged;  // in the order of keys
    // Objects that this version does not know what they are: nothing can be said of them.
    std::vector<std::string> unknown;
    // Packs that no index names: an interrupted backup's, or one that runs now. No damage.
    std::uint64_t unnamed_packs = 0;
    // Chunks that the index names and that can't be had from any of their places.
    std::set<ChunkId> lost;

    // What does not restore as it was: files and directories of points, by what was lost or damaged.
    struct AffectedPath {
        PointId point;
        std::string dataset;
        std::string path;  // below the point's root; "" is the root
        Error error;
    };
    static constexpr std::size_t kAffectedMax = 1000;
    std::vector<AffectedPath> affected;  // the first kAffectedMax
    std::uint64_t affected_count = 0;
    std::set<PointId> affected_points;

    // What is sealed to key pairs that the key at hand was not given: known to be there, and no more.
    std::uint64_t sealed_packs = 0;
    std::map<PointId, std::string> sealed_points;  // with what they are sealed to

    bool whole() const { return damaged.empty() && unknown.empty() && affected_count == 0; }
};

// Verifies a repository: every document is read, opened and checked against its name; the logs'
// chains; that every pack which the index names is there; and, through `walk`, that every chunk which
// any point needs is named by the index at a pack that is whole. Damage is what it returns, not an
// error; it fails when the store does not answer, when it is stopped, and with key_refused without a
// reader's key. Not from an executor's task.
Result<Verification> verify_repository(Repository& repository, VerifyRepositoryOptions options,
                                       WalkTree const& walk, VerifyRepositoryCallback const& progress,
                                       std::stop_token stop);

}  // namespace holdfast
