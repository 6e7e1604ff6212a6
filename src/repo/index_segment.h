#pragma once

#include <span>
#include <stop_token>
#include <vector>

#include "repo/pack.h"

namespace holdfast {

class Repository;

// A segment of the index: what a writer put, pack by pack. Sealed and signed as a document of kind
// `index`, stored under index/<SHA-256 of the object>.
Bytes encode_segment(std::span<PackSummary const> packs);
Result<std::vector<PackSummary>> decode_segment(ByteView plain);
ObjectKey segment_key(ByteView object);

// Packs, and who vouches for what lies in them: the bundle that wrote them, or kProven.
struct SegmentGroup {
    BundleId writer;
    std::vector<PackSummary> packs;
};
// For a writer: an admin opened every chunk of the pack and recomputed its id when it was written.
// Everybody may rely on it.
inline constexpr BundleId kProven{};

// What several writers' segments said, in one: what garbage collection leaves. A document of kind
// `merged`, which only an admin signs, under index/ as the others.
Bytes encode_merged(std::span<SegmentGroup const> groups);
Result<std::vector<SegmentGroup>> decode_merged(ByteView plain);
// Reads either kind. `damaged` when it is not what was written under this name.
Result<std::vector<SegmentGroup>> load_segment(Repository& repository, ObjectKey const& key,
                                               std::stop_token stop);

enum class LoadSegments { on_executor, on_this_thread };
using LoadedSegment = Result<std::vector<SegmentGroup>>;
// Loads `keys`, on the executor a few at a time; the results are in the order of keys. Not on the executor
// from one of its tasks.
std::vector<LoadedSegment> load_segments(Repository& repository, std::vector<ObjectKey> const& keys,
                                         LoadSegments how, std::stop_token stop);

}  // namespace holdfast
