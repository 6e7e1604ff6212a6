#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_set>
#include <vector>

#include "repo/data_keys.h"
#include "repo/index.h"
#include "repo/pack_trailer.h"
#include "repo/prune_plan.h"

namespace holdfast {

// How new packs are made.
struct PackShape {
    std::size_t bytes = 32u << 20;  // a pack is closed when it holds this much
    unsigned parity_percent = kParityPercentDefault;
};

// Copies chunks out of packs that are to go into new ones. Every chunk is opened and its id recomputed on
// the way, so the new packs are named as proven: every writer may rely on them. What is sealed is opened
// again and compared before it is put. Frames that stay as a whole are not compressed anew. What was sealed to a key
// pair is sealed to its newest epoch.
//
// Order of writing: a pack before the segment that names it; both before the caller dooms what was copied.
class Repacker {
  public:
    // `repository` has the keys of a reader and an admin. All outlive the repacker.
    Repacker(Repository& repository, Index const& index, Keepers const& keepers,
             std::shared_ptr<DataKeys const> data_keys, PackShape shape, std::stop_token stop);
    ~Repacker();

    // Copies what the pack keeps; of a doomed one, which keeps nothing, what is nowhere else. Returns false, with the reason in
    // `damaged`, when something could not be had from it: then it must stay.
    enum class From { standing, doomed };
    Result<bool> copy(PackId const& pack, From from);
    // Stores what is open. After success everything that was copied is durable and named.
    Result<void> finish();
    // Removes the packs that no segment names yet, and forgets what is open.
    Result<void> abandon();

    struct Damaged {
        PackId pack;
        Error error;
    };
    std::vector<Damaged> const& damaged() const { return damaged_; }
    std::uint64_t packs() const { return packs_; }
    std::uint64_t bytes_stored() const { return bytes_stored_; }
    std::uint64_t bytes_read() const { return bytes_read_; }

  private:
    struct Lane;
    struct Source;

    bool wants(std::size_t number, ChunkId const& chunk, From from) const;
    Result<void> copy_frame(Source& source, std::uint32_t number, ByteView sealed);
    Result<void> add(Lane& lane, ChunkKind kind, Encoded const& encoded, ByteView raw,
                     std::span<PackChunk const> chunks);
    Result<void> add_loose(Lane& lane, ChunkKind kind, PackChunk const& chunk, ByteView bytes);
    Result<void> close_group(Lane& lane, ChunkKind kind);
    Result<void> close_pack(Lane& lane);
    Result<void> store_segment();
    Lane& lane_of(std::string const& pair, ChunkKind kind);

    Repository& repository_;
    Index const& index_;
    Keepers const& keepers_;
    std::shared_ptr<DataKeys const> const data_keys_;
    PackShape const shape_;
    std::stop_token stop_;
    HmacKey const id_key_;
    std::vector<IndexPack> named_;
    std::map<PackId, std::vector<std::uint32_t>> numbers_;
    std::unordered_set<ChunkId> copied_;  // in_pair()
    std::map<std::string, std::array<std::unique_ptr<Lane>, 2>> lanes_;  // by the pair
    std::vector<PackSummary> unindexed_;
    std::vector<Damaged> damaged_;
    std::uint64_t packs_ = 0, bytes_stored_ = 0, bytes_read_ = 0;
};

}  // namespace holdfast
