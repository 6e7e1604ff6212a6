#pragma once

#include <functional>
#include <map>
#include <vector>

#include "repo/index_segment.h"

namespace holdfast {

// What a table of the index consists of, in the order in which it was added. Numbers count within the table.
struct IndexPack {
    PackId id;
    PackHeader header;
    BundleId writer;
    Hash32 record{};           // pack_record_hash() of what the writer said of it
    std::uint64_t bytes = 0;   // of the object
    std::uint32_t first_frame = 0;
    std::uint32_t frames = 0;
    std::uint32_t chunks = 0;
    std::uint32_t unused = 0;
};
struct IndexFrame {
    std::uint32_t pack;
    std::uint32_t offset;  // in the pack: packs are smaller than 4 GiB
    std::uint32_t stored;
    std::uint32_t raw;
    std::uint32_t first_chunk;
    std::uint32_t chunks;
    Codec codec;
    ChunkKind kind;
    std::uint16_t unused = 0;
};
struct IndexChunk {
    ChunkId id;
    std::uint32_t frame;
    std::uint32_t offset;  // in the raw frame
};

// SHA-256 of what an index segment says of the pack.
Hash32 pack_record_hash(PackSummary const& pack);

// An entry of the order of ids: by the first four bytes of an id, then by number.
struct IdPlace {
    std::uint32_t prefix;
    std::uint32_t number;
    auto operator<=>(IdPlace const&) const = default;
};
template <typename SomeId>
std::uint32_t id_prefix(SomeId const& id) {
    return static_cast<std::uint32_t>(id.bytes[0]) << 24 | static_cast<std::uint32_t>(id.bytes[1]) << 16 |
           static_cast<std::uint32_t>(id.bytes[2]) << 8 | id.bytes[3];
}

// A part of the index: which chunks lie where, as some segments say. Several threads may read it at once.
class IndexTable {
  public:
    // Hears of numbers until it returns true.
    using Visit = std::function<bool(std::uint32_t number)>;

    virtual ~IndexTable() = default;
    virtual std::uint32_t packs() const = 0;
    virtual std::uint32_t frames() const = 0;
    virtual std::uint32_t chunks() const = 0;
    virtual Result<IndexPack> pack(std::uint32_t number) const = 0;
    virtual Result<IndexFrame> frame(std::uint32_t number) const = 0;
    virtual Result<IndexChunk> chunk(std::uint32_t number) const = 0;
    // All chunks, all packs with this id.
    virtual Result<void> each_chunk(ChunkId const& id, Visit const& visit) const = 0;
    virtual Result<void> each_pack(PackId const& id, Visit const& visit) const = 0;
    // False when certainly no chunk has this id.
    virtual bool may_hold(ChunkId const& id) const = 0;
    // The orders of all chunk ids and all pack ids: entry `place` of them.
    virtual Result<IdPlace> chunk_order(std::uint32_t place) const = 0;
    virtual Result<IdPlace> pack_order(std::uint32_t place) const = 0;
};

// What the pack holds, as its writer said.
Result<PackDirectory> directory_of(IndexTable const& table, IndexPack const& pack);

// A table that grows, in memory: about 48 bytes a chunk, 28 a frame, 152 a pack.
class MemoryTable : public IndexTable {
  public:
    void add(BundleId const& writer, PackSummary const& pack, Hash32 const& record);
    // Before chunk_order() and pack_order(), after the last add().
    void sort();

    std::uint32_t packs() const override { return static_cast<std::uint32_t>(packs_.size()); }
    std::uint32_t frames() const override { return static_cast<std::uint32_t>(frames_.size()); }
    std::uint32_t chunks() const override { return static_cast<std::uint32_t>(chunks_.size()); }
    Result<IndexPack> pack(std::uint32_t number) const override { return packs_[number]; }
    Result<IndexFrame> frame(std::uint32_t number) const override { return frames_[number]; }
    Result<IndexChunk> chunk(std::uint32_t number) const override { return chunks_[number]; }
    Result<void> each_chunk(ChunkId const& id, Visit const& visit) const override;
    Result<void> each_pack(PackId const& id, Visit const& visit) const override;
    bool may_hold(ChunkId const&) const override { return true; }
    Result<IdPlace> chunk_order(std::uint32_t place) const override { return chunk_order_[place]; }
    Result<IdPlace> pack_order(std::uint32_t place) const override { return pack_order_[place]; }

  private:
    static constexpr std::uint32_t kEmpty = 0xffffffff;
    void insert(std::uint32_t chunk);
    void grow(std::size_t chunks);

    std::vector<IndexPack> packs_;
    std::vector<IndexFrame> frames_;
    std::vector<IndexChunk> chunks_;
    std::vector<std::uint32_t> slots_;  // open addressing over chunks_, a power of two
    std::multimap<PackId, std::uint32_t> by_pack_;
    std::vector<IdPlace> chunk_order_, pack_order_;
};

}  // namespace holdfast
