#include "repo/index.h"

#include <algorithm>
#include <cassert>

namespace holdfast {
namespace {

constexpr std::string_view kPrefix = "index/";
// So much stays in memory until it goes into a file: this, or this share of the whole when that is more.
constexpr std::size_t kTailChunksMax = 65'536;
constexpr std::size_t kTailShare = 64;
// What is not worth a file: it is read from the store again by the next process.
constexpr std::size_t kTailChunksMin = 4'096;
constexpr std::size_t kTailSegmentsMin = 8;
// A table is this many times as large as what comes behind it, or they become one: so there are few, and a
// chunk is written again a few times at most.
constexpr std::size_t kTierFactor = 4;

std::optional<Hash32> hash_of(std::string_view key) {
    auto hash = from_hex(key.substr(std::min(key.size(), kPrefix.size())));
    if (!key.starts_with(kPrefix) || !hash || hash->size() != sizeof(Hash32)) return {};
    Hash32 found;
    std::copy(hash->begin(), hash->end(), found.begin());
    return found;
}

}  // namespace

Index::Index(BundleId const& own, std::shared_ptr<IndexCache> cache) : own_(own), cache_(std::move(cache)) {}

void Index::append(std::shared_ptr<FileTable> file) {
    parts_.push_back({file, file, pack_count()});
}

MemoryTable& Index::tail() {
    if (parts_.empty() || parts_.back().file) parts_.push_back({std::make_shared<MemoryTable>(), nullptr, pack_count()});
    return static_cast<MemoryTable&>(*parts_.back().table);
}

std::uint32_t Index::pack_count() const {
    return parts_.empty() ? 0 : parts_.back().first_pack + parts_.back().table->packs();
}

std::size_t Index::chunk_count() const {
    std::size_t chunks = 0;
    for (auto const& part : parts_) chunks += part.table->chunks();
    return chunks;
}

Index::Part const& Index::part_of(std::size_t number) const {
    assert(number < pack_count());
    return *(std::ranges::upper_bound(parts_, number, {}, &Part::first_pack) - 1);
}

// A file that could not be read: it is removed, so that it will be made again.
std::unexpected<Error> Index::lost(Part const& part, Error error) const {
    broken_ = true;
    error.kind = ErrorKind::damaged;
    if (part.file) IndexCache::remove(*part.file);
    error.message = "this machine's copy of the index: " + error.message;
    if (error.hint.empty()) error.hint = "the copy is removed and will be made again: run the command again";
    return fail(std::move(error));
}

// ---- what is in it

void Index::take_cached(std::set<std::string> const& listed) {
    std::lock_guard lock(mutex_);
    if (!cache_) return;
    assert(parts_.empty());
    std::set<Hash32> names;
    for (auto const& key : listed) {
        if (auto hash = hash_of(key)) names.insert(*hash);
    }
    for (auto& table : cache_->tables(names)) {
        for (auto const& name : table->segments()) segments_.insert(std::string(kPrefix) + to_hex(name));
        append(std::move(table));
    }
}

bool Index::is_known(BundleId const& writer, PackSummary const& pack, Hash32 const& record) const {
    bool known = false;
    for (auto const& part : parts_) {
        // A table that can't be read may hold it: then it is in the index twice, which does no harm.
        static_cast<void>(part.table->each_pack(pack.id, [&](std::uint32_t number) {
            auto other = part.table->pack(number);
            known = known || (other && other->writer == writer && other->record == record);
            return known;
        }));
    }
    return known;
}

void Index::add_locked(BundleId const& writer, std::span<PackSummary const> packs) {
    for (auto const& pack : packs) {
        auto record = pack_record_hash(pack);
        if (is_known(writer, pack, record)) continue;
        tail().add(writer, pack, record);
        if (trust_) trust_->push_back({.believed = may_rely_on(writer)});
    }
}

void Index::add(BundleId const& writer, std::span<PackSummary const> packs) {
    std::lock_guard lock(mutex_);
    // A table of the cache says what segments say, and nothing else.
    assert(!cache_);
    add_locked(writer, packs);
}

void Index::add_segment(std::string const& key, std::span<SegmentGroup const> groups) {
    std::lock_guard lock(mutex_);
    for (auto const& group : groups) add_locked(group.writer, group.packs);
    segments_.insert(key);
    tail_segments_.push_back(key);
    if (!cache_ || parts_.empty() || parts_.back().file) return;
    if (parts_.back().table->chunks() < std::max(kTailChunksMax, chunk_count() / kTailShare)) return;
    store_parts(parts_.size() - 1, parts_.size());
}

void Index::settle() {
    std::lock_guard lock(mutex_);
    if (!cache_ || parts_.empty()) return;
    auto end = parts_.size();
    bool has_tail = !parts_.back().file;
    auto worth = has_tail && (parts_.back().table->chunks() >= kTailChunksMin || tail_segments_.size() >= kTailSegmentsMin);
    if (has_tail && !worth) --end;
    auto first = worth ? end - 1 : end;
    std::size_t behind = worth ? parts_.back().table->chunks() : 0;
    while (first > 0 && (first == end || parts_[first - 1].table->chunks() < kTierFactor * behind)) {
        behind += parts_[--first].table->chunks();
    }
    if (end - first > 1 || worth) store_parts(first, end);
}

void Index::store_parts(std::size_t first, std::size_t end) {
    std::vector<IndexTable const*> tables;
    std::vector<Hash32> segments;
    for (auto at = first; at < end; ++at) {
        auto const& part = parts_[at];
        tables.push_back(part.table.get());
        if (part.file) {
            segments.insert(segments.end(), part.file->segments().begin(), part.file->segments().end());
            continue;
        }
        static_cast<MemoryTable&>(*part.table).sort();
        for (auto const& key : tail_segments_) segments.push_back(*hash_of(key));
    }
    auto file = cache_->write(tables, std::move(segments));
    if (!file) {
        // A full disk, say. It stays where it is, and nobody tries again.
        cache_ = nullptr;
        return;
    }
    // What can't be read ahead is read when it is asked for.
    if (trust_) static_cast<void>((*file)->load_for_reuse());
    for (auto at = first; at < end; ++at) {
        if (parts_[at].file) {
            IndexCache::remove(*parts_[at].file);
        } else {
            tail_segments_.clear();
        }
    }
    auto const begin = parts_.begin() + static_cast<std::ptrdiff_t>(first);
    *begin = {*file, *file, begin->first_pack};
    parts_.erase(begin + 1, parts_.begin() + static_cast<std::ptrdiff_t>(end));
}

bool Index::has_segment(std::string const& key) const {
    std::shared_lock lock(mutex_);
    return segments_.contains(key);
}

std::set<std::string> Index::segments() const {
    std::shared_lock lock(mutex_);
    return segments_;
}

void Index::note_damaged(std::string const& key, Error error) {
    std::lock_guard lock(mutex_);
    damaged_.push_back({key, std::move(error)});
}

std::vector<Index::DamagedSegment> Index::damaged() const {
    std::shared_lock lock(mutex_);
    return damaged_;
}

// ---- for readers

namespace {

Result<ChunkLocation> locate(IndexTable const& table, std::uint32_t number) {
    auto chunk = TRY(table.chunk(number));
    auto frame = TRY(table.frame(chunk.frame));
    auto pack = TRY(table.pack(frame.pack));
    auto end = frame.raw;
    if (number + 1 < frame.first_chunk + frame.chunks) end = TRY(table.chunk(number + 1)).offset;
    return ChunkLocation{.pack = pack.id,
                         .header = pack.header,
                         .pack_bytes = pack.bytes,
                         .pack_number = frame.pack,
                         .frame_number = chunk.frame - pack.first_frame,
                         .frame = {.codec = frame.codec,
                                   .kind = frame.kind,
                                   .stored = frame.stored,
                                   .chunks = frame.chunks,
                                   .raw = frame.raw},
                         .frame_offset = frame.offset,
                         .offset = chunk.offset,
                         .length = end - chunk.offset,
                         .writer = pack.writer};
}

}  // namespace

Result<std::vector<ChunkLocation>> Index::find(ChunkId const& id) const {
    std::vector<ChunkLocation> own, others;
    std::shared_lock lock(mutex_);
    for (auto const& part : parts_) {
        Result<void> located;
        auto looked = part.table->each_chunk(id, [&](std::uint32_t number) {
            auto location = locate(*part.table, number);
            if (!location) {
                located = fail(std::move(location).error());
                return true;
            }
            location->pack_number += part.first_pack;
            (location->writer == own_ ? own : others).push_back(*location);
            return false;
        });
        if (looked) looked = std::move(located);
        if (!looked) return lost(part, std::move(looked).error());
    }
    own.insert(own.end(), others.begin(), others.end());
    return own;
}

Result<std::vector<IndexPack>> Index::packs() const {
    std::shared_lock lock(mutex_);
    std::vector<IndexPack> packs;
    packs.reserve(pack_count());
    for (auto const& part : parts_) {
        for (std::uint32_t i = 0; i < part.table->packs(); ++i) {
            auto pack = part.table->pack(i);
            if (!pack) return lost(part, std::move(pack).error());
            packs.push_back(*pack);
        }
    }
    return packs;
}

Result<PackDirectory> Index::directory(std::size_t number) const {
    std::shared_lock lock(mutex_);
    auto const& part = part_of(number);
    auto pack = part.table->pack(static_cast<std::uint32_t>(number) - part.first_pack);
    auto directory = pack ? directory_of(*part.table, *pack) : fail(std::move(pack).error());
    if (!directory) return lost(part, std::move(directory).error());
    return directory;
}

std::size_t Index::chunks() const {
    std::shared_lock lock(mutex_);
    return chunk_count();
}

// ---- for writers

Result<void> Index::choose_reusable(std::map<PackId, std::uint64_t> const& sizes,
                                    std::function<bool(IndexPack const&)> const& proven) {
    std::lock_guard lock(mutex_);
    std::vector<Trust> trust;
    trust.reserve(pack_count());
    for (auto const& part : parts_) {
        auto loaded = part.file ? part.file->load_for_reuse() : Result<void>();
        if (!loaded) return lost(part, std::move(loaded).error());
        for (std::uint32_t i = 0; i < part.table->packs(); ++i) {
            auto pack = TRY(part.table->pack(i));
            auto size = sizes.find(pack.id);
            trust.push_back({.believed = may_rely_on(pack.writer) || proven(pack),
                             .usable = size != sizes.end() && size->second == pack.bytes});
        }
    }
    trust_ = std::move(trust);
    return {};
}

bool Index::is_believed(Part const& part, std::uint32_t pack) const {
    if (trust_) return (*trust_)[part.first_pack + pack].believed;
    auto said = part.table->pack(pack);
    return said && may_rely_on(said->writer);
}

void Index::exclude(std::set<PackId> const& packs) {
    std::lock_guard lock(mutex_);
    if (packs.empty() || pack_count() == 0) return;
    assert(trust_);
    for (auto const& part : parts_) {
        auto exclude_one = [&](std::uint32_t number) {
            (*trust_)[part.first_pack + number].usable = false;
            return false;
        };
        for (auto const& id : packs) {
            if (part.table->each_pack(id, exclude_one)) continue;
            for (std::uint32_t i = 0; i < part.table->packs(); ++i) exclude_one(i);
        }
    }
}

std::optional<PackId> Index::reusable_pack(ChunkId const& id, std::span<DataKeyId const> keys) const {
    std::optional<PackId> found;
    std::shared_lock lock(mutex_);
    for (auto const& part : parts_) {
        if (!part.table->may_hold(id)) continue;
        auto looked = part.table->each_chunk(id, [&](std::uint32_t number) {
            auto chunk = part.table->chunk(number);
            auto frame = chunk ? part.table->frame(chunk->frame) : fail(chunk.error());
            if (!frame || !is_believed(part, frame->pack)) return false;
            if (trust_ && !(*trust_)[part.first_pack + frame->pack].usable) return false;
            auto pack = part.table->pack(frame->pack);
            if (pack && std::ranges::find(keys, pack->header.data_key) != keys.end()) found = pack->id;
            return found.has_value();
        });
        if (!looked) static_cast<void>(lost(part, std::move(looked).error()));
        if (found) break;
    }
    return found;
}

Result<bool> Index::relies_on(PackSummary const& pack) const {
    std::shared_lock lock(mutex_);
    auto record = pack_record_hash(pack);
    bool found = false;
    for (auto const& part : parts_) {
        auto looked = part.table->each_pack(pack.id, [&](std::uint32_t number) {
            auto said = part.table->pack(number);
            found = found || (said && said->record == record && is_believed(part, number));
            return found;
        });
        if (!looked) return lost(part, std::move(looked).error());
    }
    return found;
}

}  // namespace holdfast
