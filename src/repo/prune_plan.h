#pragma once

#include <map>
#include <set>
#include <unordered_map>
#include <vector>

#include "repo/data_keys.h"
#include "repo/index.h"
#include "repo/live_set.h"

namespace holdfast {

// What garbage collection decides, from what it saw. No store is touched here.

// A pack as the store lists it, and what is known of it.
struct ListedPack {
    std::uint64_t bytes = 0;
    bool doomed = false;
    bool due = false;      // doomed long enough: may be deleted
    bool young = false;    // may belong to a writer that runs
    bool damaged = false;  // was opened, and is not what it should be: nothing may depend on it
    bool suspect = false;  // a reader has marked it as damaged or given up: nothing may depend on it, either
};
using ListedPacks = std::map<PackId, ListedPack>;

// Which place of each live chunk stays.
//
// One place is enough when it is proven; what was sealed anew comes before what was not, so the packs of old
// epochs go when key rewrap is done. Else each writer keeps one of its own, because it would not rely
// on another's. Nothing that is doomed, damaged or suspect counts.
class Keepers {
  public:
    // The index lies in memory: nothing of it can fail. `live` as collect_live() has it. All outlive the keepers.
    Keepers(Index const& index, DigestSet const& live, ListedPacks const& packs, DataKeys const& data_keys);

    // Whether this is the place, or one of the places, that stays.
    bool keeps(std::size_t pack_number, ChunkId const& chunk) const;
    // The pack that stays with the chunk of this pack; nothing when it is only where it must not stay.
    std::optional<PackId> keeper(std::size_t pack_number, ChunkId const& chunk) const;
    // What in_pair() takes for the chunks of this pack.
    Hash32 const& mark(std::size_t pack_number) const { return marks_[pack_number]; }
    // Whether a point needs the chunk in packs of this one's pair.
    bool is_live(std::size_t pack_number, ChunkId const& chunk) const;

    struct Use {
        std::uint64_t live = 0;   // raw bytes of chunks that it keeps
        std::uint64_t total = 0;  // raw bytes
        bool named = false;       // by any segment
        double share() const { return total == 0 ? 0 : static_cast<double>(live) / static_cast<double>(total); }
    };
    // By pack; packs that no segment names have nothing.
    Use use(PackId const& pack) const;
    // Live chunks that no segment names. They may lie in packs that none names, either: a segment is lost, or a listing lags.
    std::uint64_t unfound() const { return unfound_; }

    // Doomed packs with live chunks that nobody else has: they must be copied before it may go.
    std::set<PackId> const& stranded() const { return stranded_; }
    // Packs that are gone and held live chunks that nobody else has: that is damage, and their names are
    // what somebody needs who finds them again.
    std::set<PackId> const& missed() const { return missed_; }
    // Suspect packs with live chunks that nobody else has: a copy, or a repair, may still bring them back.
    std::set<PackId> const& irreplaceable() const { return irreplaceable_; }
    // Packs that are sealed to what this key does not hold: nobody here can say what lives in them.
    std::set<PackId> const& sealed() const { return sealed_; }
    // Packs that keep what these doomed ones hold, too: they are opened before those are deleted.
    std::set<PackId> depended_on(std::set<PackId> const& doomed) const;

  private:
    PackDirectory directory(std::size_t number) const { return index_.directory(number).value(); }

    std::vector<IndexPack> named_;
    Index const& index_;
    DigestSet const& live_;
    std::vector<Hash32> marks_;  // of named_: what their chunks are in_pair()
    // The keepers of a chunk in_pair(), as numbers in named_. Nearly all have one.
    std::unordered_map<ChunkId, std::uint32_t> first_;
    std::unordered_multimap<ChunkId, std::uint32_t> more_;
    std::map<PackId, Use> uses_;
    std::set<PackId> stranded_, missed_, irreplaceable_, sealed_;
    std::uint64_t unfound_ = 0;
};

struct PrunePlanLimits {
    double unused_max = 0.05;  // of all bytes: so much may stay dead in packs that are mostly live
    std::uint64_t repack_bytes_max = UINT64_MAX;  // of packs that are read and copied
};
struct PrunePlan {
    std::vector<PackId> remove;  // doomed and due, and nothing in them is needed
    std::vector<PackId> rescue;  // doomed, with live chunks that are nowhere else: copy
    std::vector<PackId> doom;    // nothing in them stays
    std::vector<PackId> repack;  // mostly dead: copy what stays, then doom
    std::uint64_t unused_bytes = 0;  // that stay, about
    std::uint64_t postponed_bytes = 0;  // of packs that are to be copied and that the bound leaves to a later run
    std::uint64_t young = 0;         // packs that nothing needs and that are too young to go
    std::uint64_t waiting = 0;       // doomed, not due
    std::uint64_t unnamed = 0;       // packs that no segment names, while chunks are unfound()
    std::uint64_t sealed = 0;        // packs of key pairs that this key does not hold
};
PrunePlan make_plan(Keepers const& keepers, ListedPacks const& packs, PrunePlanLimits const& limits);

}  // namespace holdfast
