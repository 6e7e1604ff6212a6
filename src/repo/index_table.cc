#include "repo/index_table.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace holdfast {

Hash32 pack_record_hash(PackSummary const& pack) {
    auto segment = encode_segment({&pack, 1});
    return sha256(segment);
}

Result<PackDirectory> directory_of(IndexTable const& table, IndexPack const& pack) {
    PackDirectory directory;
    directory.frames.reserve(pack.frames);
    directory.chunks.reserve(pack.chunks);
    for (auto i = pack.first_frame; i < pack.first_frame + pack.frames; ++i) {
        auto frame = TRY(table.frame(i));
        directory.frames.push_back({.codec = frame.codec,
                                    .kind = frame.kind,
                                    .stored = frame.stored,
                                    .chunks = frame.chunks,
                                    .raw = frame.raw});
        auto end = frame.raw;
        for (std::uint32_t c = frame.chunks; c-- > 0;) {
            auto chunk = TRY(table.chunk(frame.first_chunk + c));
            directory.chunks.push_back({chunk.id, end - chunk.offset});
            end = chunk.offset;
        }
        std::reverse(directory.chunks.end() - frame.chunks, directory.chunks.end());
    }
    return directory;
}

Result<void> MemoryTable::each_chunk(ChunkId const& id, Visit const& visit) const {
    if (slots_.empty()) return {};
    auto const mask = slots_.size() - 1;
    for (auto at = std::hash<ChunkId>{}(id)&mask; slots_[at] != kEmpty; at = (at + 1) & mask) {
        if (chunks_[slots_[at]].id == id && visit(slots_[at])) break;
    }
    return {};
}

Result<void> MemoryTable::each_pack(PackId const& id, Visit const& visit) const {
    auto [begin, end] = by_pack_.equal_range(id);
    std::any_of(begin, end, [&](auto const& item) { return visit(item.second); });
    return {};
}

void MemoryTable::insert(std::uint32_t chunk) {
    auto const mask = slots_.size() - 1;
    auto at = std::hash<ChunkId>{}(chunks_[chunk].id) & mask;
    while (slots_[at] != kEmpty) at = (at + 1) & mask;
    slots_[at] = chunk;
}

void MemoryTable::grow(std::size_t chunks) {
    // At most three quarters full.
    auto size = std::bit_ceil(std::max<std::size_t>(1024, chunks + chunks / 3 + 1));
    if (size <= slots_.size()) return;
    slots_.assign(size, kEmpty);
    for (std::uint32_t i = 0; i < chunks_.size(); ++i) insert(i);
}

void MemoryTable::add(BundleId const& writer, PackSummary const& pack, Hash32 const& record) {
    auto const& directory = pack.directory;
    assert(chunks_.size() + directory.chunks.size() < kEmpty);
    grow(chunks_.size() + directory.chunks.size());
    auto number = packs();
    packs_.push_back({.id = pack.id,
                      .header = pack.header,
                      .writer = writer,
                      .record = record,
                      .bytes = pack.bytes,
                      .first_frame = frames(),
                      .frames = static_cast<std::uint32_t>(directory.frames.size()),
                      .chunks = static_cast<std::uint32_t>(directory.chunks.size())});
    by_pack_.emplace(pack.id, number);
    std::uint32_t offset = kPackHeaderBytes;
    auto const* chunk = directory.chunks.data();
    for (auto const& frame : directory.frames) {
        auto first = chunks();
        std::uint32_t at = 0;
        for (std::uint32_t i = 0; i < frame.chunks; ++i, ++chunk) {
            chunks_.push_back({chunk->id, frames(), at});
            insert(chunks() - 1);
            at += chunk->length;
        }
        frames_.push_back({.pack = number,
                           .offset = offset,
                           .stored = frame.stored,
                           .raw = frame.raw,
                           .first_chunk = first,
                           .chunks = frame.chunks,
                           .codec = frame.codec,
                           .kind = frame.kind});
        offset += frame.stored;
    }
}

void MemoryTable::sort() {
    chunk_order_.clear();
    pack_order_.clear();
    for (std::uint32_t i = 0; i < chunks(); ++i) chunk_order_.push_back({id_prefix(chunks_[i].id), i});
    for (std::uint32_t i = 0; i < packs(); ++i) pack_order_.push_back({id_prefix(packs_[i].id), i});
    std::ranges::sort(chunk_order_);
    std::ranges::sort(pack_order_);
}

}  // namespace holdfast
