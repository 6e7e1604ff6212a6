#include "repo/index_file.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace holdfast {
namespace {

constexpr std::uint32_t kFilterBitsPerChunk = 10;
constexpr std::uint32_t kLineBits = 512;
constexpr int kProbes = 7;  // nine bits of an id choose each

std::uint64_t word_of(ChunkId const& id, std::size_t at) {
    std::uint64_t word;
    std::memcpy(&word, id.bytes.data() + at, sizeof word);
    return word;
}

std::uint64_t filter_lines(std::uint64_t chunks) { return chunks * kFilterBitsPerChunk / kLineBits + 1; }

std::uint64_t line_of(ChunkId const& id, std::uint64_t lines) {
    return (word_of(id, 8) >> 32) * lines >> 32;  // fewer than 2^32 chunks, so fewer lines
}

// Calls visit(word, mask) for each bit of the id in its line.
template <typename Visit>
void each_probe(ChunkId const& id, Visit const& visit) {
    auto rest = word_of(id, 16);
    for (int i = 0; i < kProbes; ++i, rest >>= 9) visit(rest >> 6 & 7, std::uint64_t{1} << (rest & 63));
}

std::size_t records_per_block(std::size_t record_bytes) { return kPlainBlockBytes / record_bytes; }

// The fences of an order: the prefix that each of its blocks begins with.
constexpr std::size_t kPlacesPerBlock = kPlainBlockBytes / sizeof(IdPlace);

}  // namespace

std::uint64_t FileTable::Section::blocks() const {
    auto per_block = records_per_block(record_bytes);
    return (records + per_block - 1) / per_block;
}

FileTable::Sections::Sections(Counts const& counts) {
    blocks = 1;
    auto place = [&](std::uint64_t records, std::size_t record_bytes) {
        Section section{.first_block = blocks + 1, .records = records, .record_bytes = record_bytes};
        blocks += section.blocks();
        return section;
    };
    auto fences = [](std::uint64_t places) { return (places + kPlacesPerBlock - 1) / kPlacesPerBlock; };
    packs = place(counts.packs, sizeof(IndexPack));
    frames = place(counts.frames, sizeof(IndexFrame));
    chunks = place(counts.chunks, sizeof(IndexChunk));
    chunk_order = place(counts.chunks, sizeof(IdPlace));
    pack_order = place(counts.packs, sizeof(IdPlace));
    filter = place(filter_lines(counts.chunks), sizeof(FilterLine));
    chunk_fences = place(fences(counts.chunks), sizeof(std::uint32_t));
    pack_fences = place(fences(counts.packs), sizeof(std::uint32_t));
    segments = place(counts.segments, sizeof(Hash32));
}

template <typename Record>
Result<Record> FileTable::record(Section const& section, std::uint64_t number) const {
    auto damaged = [&] { return fail(ErrorKind::damaged, "'" + path() + "': a number beyond what it counts"); };
    if (number >= section.records) return damaged();
    Record record;
    auto per_block = records_per_block(sizeof record);
    TRY(cache_->read(file_, section.first_block + number / per_block, number % per_block * sizeof record,
                     {reinterpret_cast<std::uint8_t*>(&record), sizeof record}));
    return record;
}

template <typename Record>
Result<std::vector<Record>> FileTable::all(Section const& section) const {
    std::vector<Record> records(section.records);
    auto per_block = records_per_block(sizeof(Record));
    Block block;
    for (std::uint64_t at = 0; at < section.records; at += per_block) {
        TRY(file_.read(section.first_block + at / per_block, block));
        auto count = std::min<std::uint64_t>(per_block, section.records - at);
        std::memcpy(records.data() + at, block.data(), count * sizeof(Record));
    }
    return records;
}

Result<std::shared_ptr<FileTable>> FileTable::open(std::string path, SealedBlocksOwner const& owner,
                                                   std::shared_ptr<BlockCache> cache) {
    auto file = TRY(SealedBlocks::open(std::move(path), owner));
    std::shared_ptr<FileTable> table(new FileTable(std::move(file), std::move(cache)));
    Block block;
    TRY(table->file_.read(1, block));
    std::memcpy(&table->counts_, block.data(), sizeof table->counts_);
    table->sections_ = Sections(table->counts_);
    auto const& sections = table->sections_;
    if (sections.blocks != table->file_.size()) {
        return fail(ErrorKind::damaged, "'" + table->path() + "' is longer or shorter than what it counts");
    }
    table->chunk_fences_ = TRY(table->all<std::uint32_t>(sections.chunk_fences));
    table->pack_fences_ = TRY(table->all<std::uint32_t>(sections.pack_fences));
    table->segments_ = TRY(table->all<Hash32>(sections.segments));
    return table;
}

Result<void> FileTable::load_for_reuse() {
    if (!filter_.empty()) return {};
    packs_ = TRY(all<IndexPack>(sections_.packs));
    filter_ = TRY(all<FilterLine>(sections_.filter));
    return {};
}

Result<IndexPack> FileTable::pack(std::uint32_t number) const {
    if (number < packs_.size()) return packs_[number];
    return record<IndexPack>(sections_.packs, number);
}
Result<IndexFrame> FileTable::frame(std::uint32_t number) const {
    return record<IndexFrame>(sections_.frames, number);
}
Result<IndexChunk> FileTable::chunk(std::uint32_t number) const {
    return record<IndexChunk>(sections_.chunks, number);
}
Result<IdPlace> FileTable::chunk_order(std::uint32_t place) const {
    return record<IdPlace>(sections_.chunk_order, place);
}
Result<IdPlace> FileTable::pack_order(std::uint32_t place) const {
    return record<IdPlace>(sections_.pack_order, place);
}

template <typename SomeId, typename Fetch>
Result<void> FileTable::each(SomeId const& id, Section const& order, std::vector<std::uint32_t> const& fences,
                             Fetch const& fetch, Visit const& visit) const {
    auto const prefix = id_prefix(id);
    // The first block that can hold the prefix is the one before the first that begins with it.
    auto fence = static_cast<std::uint64_t>(std::ranges::lower_bound(fences, prefix) - fences.begin());
    std::array<IdPlace, kPlacesPerBlock> places;
    for (auto block = fence == 0 ? 0 : fence - 1; block < fences.size() && fences[block] <= prefix; ++block) {
        TRY(cache_->read(file_, order.first_block + block, 0,
                         {reinterpret_cast<std::uint8_t*>(places.data()), sizeof places}));
        auto count = std::min<std::uint64_t>(places.size(), order.records - block * kPlacesPerBlock);
        auto found = std::ranges::equal_range(std::span(places).first(count), prefix, {}, &IdPlace::prefix);
        for (auto const& place : found) {
            if (TRY(fetch(place.number)).id == id && visit(place.number)) return {};
        }
    }
    return {};
}

Result<void> FileTable::each_chunk(ChunkId const& id, Visit const& visit) const {
    return each(id, sections_.chunk_order, chunk_fences_, [&](auto number) { return chunk(number); }, visit);
}
Result<void> FileTable::each_pack(PackId const& id, Visit const& visit) const {
    return each(id, sections_.pack_order, pack_fences_, [&](auto number) { return pack(number); }, visit);
}

bool FileTable::may_hold(ChunkId const& id) const {
    if (filter_.empty()) return true;
    auto const& line = filter_[line_of(id, filter_.size())].bits;
    bool all = true;
    each_probe(id, [&](auto word, auto mask) { all = all && (line[word] & mask) != 0; });
    return all;
}

namespace {

// Merges the orders of several tables, whose numbers become those of one: calls visit(IdPlace) in order.
template <typename Count, typename Entry, typename Visit>
Result<void> merge_orders(std::span<IndexTable const* const> tables, Count const& count, Entry const& entry,
                          Visit visit) {
    struct Cursor {
        IndexTable const* table;
        std::uint32_t base;   // what the numbers of its table begin with in the merged one
        std::uint32_t place;
        IdPlace head;
    };
    std::vector<Cursor> cursors;
    std::uint32_t base = 0;
    for (auto const* table : tables) {
        if (count(*table) > 0) cursors.push_back({table, base, 0, TRY(entry(*table, 0))});
        base += count(*table);
    }
    while (!cursors.empty()) {
        auto least = std::ranges::min_element(
            cursors, {}, [](Cursor const& one) { return std::pair(one.head.prefix, one.base); });
        visit(IdPlace{least->head.prefix, least->base + least->head.number});
        if (++least->place == count(*least->table)) {
            cursors.erase(least);
        } else {
            least->head = TRY(entry(*least->table, least->place));
        }
    }
    return {};
}

}  // namespace

Result<void> write_index_file(std::string path, SealedBlocksOwner const& owner, Random& random,
                              std::span<IndexTable const* const> tables, std::vector<Hash32> segments) {
    FileTable::Counts counts{.segments = static_cast<std::uint32_t>(segments.size())};
    std::uint64_t chunks = 0;
    for (auto const* table : tables) {
        counts.packs += table->packs();
        counts.frames += table->frames();
        counts.chunks += table->chunks();
        chunks += table->chunks();
    }
    assert(chunks < 0xffffffff);

    auto writer = TRY(SealedBlocksWriter::create(std::move(path), owner, random));
    writer.put_record(counts);
    writer.end_block();

    std::uint32_t first_frame = 0;
    for (auto const* table : tables) {
        for (std::uint32_t i = 0; i < table->packs(); ++i) {
            auto pack = TRY(table->pack(i));
            pack.first_frame += first_frame;
            writer.put_record(pack);
        }
        first_frame += table->frames();
    }
    writer.end_block();
    std::uint32_t first_pack = 0, first_chunk = 0;
    for (auto const* table : tables) {
        for (std::uint32_t i = 0; i < table->frames(); ++i) {
            auto frame = TRY(table->frame(i));
            frame.pack += first_pack;
            frame.first_chunk += first_chunk;
            writer.put_record(frame);
        }
        first_pack += table->packs();
        first_chunk += table->chunks();
    }
    writer.end_block();
    std::vector<FileTable::FilterLine> filter(filter_lines(chunks));
    first_frame = 0;
    for (auto const* table : tables) {
        for (std::uint32_t i = 0; i < table->chunks(); ++i) {
            auto chunk = TRY(table->chunk(i));
            chunk.frame += first_frame;
            writer.put_record(chunk);
            auto& line = filter[line_of(chunk.id, filter.size())].bits;
            each_probe(chunk.id, [&](auto word, auto mask) { line[word] |= mask; });
        }
        first_frame += table->frames();
    }
    writer.end_block();

    auto put_order = [&](std::vector<std::uint32_t>& fences) {
        return [&, places = std::size_t{0}](IdPlace const& place) mutable {
            if (places++ % kPlacesPerBlock == 0) fences.push_back(place.prefix);
            writer.put_record(place);
        };
    };
    std::vector<std::uint32_t> chunk_fences, pack_fences;
    TRY(merge_orders(
        tables, [](auto const& table) { return table.chunks(); },
        [](auto const& table, auto place) { return table.chunk_order(place); }, put_order(chunk_fences)));
    writer.end_block();
    TRY(merge_orders(
        tables, [](auto const& table) { return table.packs(); },
        [](auto const& table, auto place) { return table.pack_order(place); }, put_order(pack_fences)));
    writer.end_block();

    auto put_all = [&](auto const& records) {
        for (auto const& record : records) writer.put_record(record);
        writer.end_block();
    };
    put_all(filter);
    put_all(chunk_fences);
    put_all(pack_fences);
    std::ranges::sort(segments);
    put_all(segments);
    return std::move(writer).finish();
}

}  // namespace holdfast
