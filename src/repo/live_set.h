#pragma once

#include <functional>
#include <set>
#include <vector>

#include "repo/verify.h"

namespace holdfast {

// A set of digests: open addressing, at most three quarters full.
class DigestSet {
  public:
    // Returns whether it is new.
    bool insert(ChunkId const& id);
    bool contains(ChunkId const& id) const;
    std::size_t size() const { return size_ + (has_zero_ ? 1 : 0); }

  private:
    static std::size_t place(std::vector<ChunkId> const& slots, ChunkId const& id);
    // All zeros: nothing.
    std::vector<ChunkId> slots_;
    std::size_t size_ = 0;
    bool has_zero_ = false;
};

// Marks every chunk that a content needs, the chunks of its lists on every level included: as chunks of the key
// pair whose mark this is (data_keys.h).
Result<void> mark_content(Fetch& fetch, Content const& content, DigestSet& live, Hash32 const& pair,
                          std::stop_token stop);

// What points need. A point never changes, so what is known of it stays true.
struct KnownLive {
    DigestSet chunks;  // each in_pair()
    std::set<PointId> points;  // of which they are all
};

struct LiveReport {
    KnownLive live;
    // Points of key pairs that this key does not hold: nobody here can say what they need.
    std::uint64_t sealed = 0;
    // Unconfirmed points that lack what they need: backups that were given up.
    std::vector<PointId> given_up;
};
// Called as the points are read.
using LiveCallback = std::function<void(std::uint64_t points, std::uint64_t total)>;

// Whether a point is there still: it may be dropped, and its chunks collected, while it is read.
using StillThere = std::function<Result<bool>(PointId const&)>;

// Walks the points' trees and adds to what is known, or begins anew when a known point is gone. Points of pairs that
// `data_keys` does not open are left out. `damaged` when a part of a confirmed point cannot be read: then nobody can say
// what it needs, and nothing may be deleted.
Result<LiveReport> collect_live(Fetch& fetch, DataKeys const& data_keys, std::vector<PointInfo> points, KnownLive known,
                                WalkTree const& walk, StillThere const& still_there, LiveCallback const& progress,
                                std::stop_token stop);

}  // namespace holdfast
