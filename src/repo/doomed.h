#pragma once

#include <set>
#include <string>
#include <vector>

#include "repo/lease.h"

namespace holdfast {

class Repository;

// Garbage collection, seen from outside: which packs it is about to delete, or deleted lately.
//
// A pack that is doomed stays doomed: nobody takes that back, and what of it turns out to be needed is
// copied. A writer does not rely on one, and looks again before it promises anything. That is what makes
// it safe without locks, whatever any clock says; see docs/retention.md, "Why it is safe".

inline constexpr std::string_view kDoomedPrefix = "doomed/";

struct DoomedPack {
    PackId id;
    Time since;            // when it was doomed, or deleted, by the collector's clock
    bool deleted = false;  // it is gone: kept for a while for writers that slept meanwhile
    auto operator<=>(DoomedPack const&) const = default;
};

// One document: what one collector doomed at once. It is replaced by a newer one, never changed.
struct DoomedList {
    Time time;
    // Writers that ran at that time: nothing of this list is deleted before they are over.
    std::vector<SeenLease> leases;
    std::vector<DoomedPack> packs;
};
Bytes encode(DoomedList const& list);
Result<DoomedList> decode_doomed(ByteView plain);
// doomed/<SHA-256 of the object>
std::string doomed_key(ByteView object);
// Opens the object found under `key`. `damaged` when it is not what an admin put there.
Result<DoomedList> open_doomed(Repository& repository, std::string_view key, ByteView object,
                               std::stop_token stop);

// All that is doomed at a moment.
//
// Whatever a collector does leaves a list with a new name behind, and the last list is never removed: as
// long as the names are the same, nothing was doomed in between.
struct Doomed {
    std::map<std::string, DoomedList> lists;  // by key
    std::map<std::string, Error> damaged;

    std::set<PackId> packs() const;
    std::set<std::string> keys() const;
};
Result<std::set<std::string>> list_doomed_keys(Store& store, std::stop_token stop);
Result<Doomed> list_doomed(Repository& repository, std::stop_token stop);
// The packs that must not be relied on, and under which names that stands. `unsafe` when a list is
// damaged: then nobody can say.
struct DoomedNow {
    std::set<PackId> packs;
    std::set<std::string> keys;
};
Result<DoomedNow> read_doomed(Repository& repository, std::stop_token stop);

}  // namespace holdfast
