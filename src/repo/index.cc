#include "repo/index.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "repo/proven.h"
#include "repo/repository.h"

namespace holdfast {
namespace {

// Of a pack with one frame of one chunk.
constexpr std::size_t kPackRecordBytesMin = 32 + 8 + 8 + 32 + 12 + 12 + 36;
constexpr std::string_view kPrefix = "index/";

}  // namespace

Bytes encode_segment(std::span<PackSummary const> packs) {
    ByteWriter writer;
    writer.u32(static_cast<std::uint32_t>(packs.size()));
    for (auto const& pack : packs) {
        writer.raw(pack.id.view());
        writer.u64(pack.bytes);
        writer.raw(pack.header.data_key.view());
        writer.raw(pack.header.ephemeral);
        encode(pack.directory, writer);
    }
    return writer.take();
}

Result<std::vector<PackSummary>> decode_segment(ByteView plain) {
    auto malformed = [](char const* what) {
        return fail(ErrorKind::damaged, std::string("index segment: ") + what);
    };
    ByteReader reader(plain);
    auto count = reader.u32();
    if (!reader.ok() || count > reader.remaining() / kPackRecordBytesMin) return malformed("ends early");
    std::vector<PackSummary> packs(count);
    for (auto& pack : packs) {
        auto id = reader.raw(PackId::kSize);
        pack.bytes = reader.u64();
        auto data_key = reader.raw(DataKeyId::kSize);
        auto ephemeral = reader.raw(pack.header.ephemeral.size());
        if (!reader.ok()) return malformed("ends early");
        pack.id = PackId::from_bytes(id);
        pack.header.data_key = DataKeyId::from_bytes(data_key);
        std::copy(ephemeral.begin(), ephemeral.end(), pack.header.ephemeral.begin());
        auto directory = decode_directory(reader);
        pack.directory = TRY(std::move(directory).within("index segment"));
        std::uint64_t end = kPackHeaderBytes;
        for (auto const& frame : pack.directory.frames) end += frame.stored;
        if (pack.bytes > kPackBytesMax || end >= pack.bytes) return malformed("frames beyond their pack's end");
    }
    if (!reader.done()) return malformed("bytes behind its end");
    return packs;
}

ObjectKey segment_key(ByteView object) {
    return ObjectKey(std::string(kPrefix) + to_hex(sha256(object)));
}

Bytes encode_merged(std::span<SegmentGroup const> groups) {
    ByteWriter writer;
    writer.u32(static_cast<std::uint32_t>(groups.size()));
    for (auto const& group : groups) {
        writer.raw(group.writer.view());
        writer.blob(encode_segment(group.packs));
    }
    return writer.take();
}

Result<std::vector<SegmentGroup>> decode_merged(ByteView plain) {
    ByteReader reader(plain);
    std::vector<SegmentGroup> groups;
    auto count = reader.u32();
    for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
        auto writer = reader.raw(BundleId::kSize);
        auto segment = reader.blob();
        if (!reader.ok()) break;
        auto packs = TRY(decode_segment(segment));
        groups.push_back({BundleId::from_bytes(writer), std::move(packs)});
    }
    if (!reader.done()) return fail(ErrorKind::damaged, "merged index segment: malformed");
    return groups;
}

template <typename Visit>
bool Index::each(ChunkId const& id, Visit const& visit) const {
    if (slots_.empty()) return false;
    auto const mask = slots_.size() - 1;
    for (auto at = std::hash<ChunkId>{}(id)&mask; slots_[at] != kEmpty; at = (at + 1) & mask) {
        auto const& entry = chunks_[slots_[at]];
        if (entry.id == id && visit(entry)) return true;
    }
    return false;
}

void Index::insert(std::uint32_t entry) {
    auto const mask = slots_.size() - 1;
    auto at = std::hash<ChunkId>{}(chunks_[entry].id) & mask;
    while (slots_[at] != kEmpty) at = (at + 1) & mask;
    slots_[at] = entry;
}

void Index::grow(std::size_t entries) {
    // At most three quarters full.
    auto size = std::bit_ceil(std::max<std::size_t>(1024, entries + entries / 3 + 1));
    if (size <= slots_.size()) return;
    slots_.assign(size, kEmpty);
    for (std::uint32_t i = 0; i < chunks_.size(); ++i) insert(i);
}

PackDirectory Index::directory_locked(PackEntry const& entry) const {
    PackDirectory directory;
    for (auto i = entry.first_frame; i < entry.first_frame + entry.pack.frames; ++i) {
        auto const& frame = frames_[i];
        directory.frames.push_back({.codec = frame.codec,
                                    .kind = frame.kind,
                                    .stored = frame.stored,
                                    .chunks = frame.chunks,
                                    .raw = frame.raw});
        for (std::uint32_t c = 0; c < frame.chunks; ++c) {
            auto const& chunk = chunks_[frame.first_chunk + c];
            auto end = c + 1 < frame.chunks ? chunks_[frame.first_chunk + c + 1].offset : frame.raw;
            directory.chunks.push_back({chunk.id, end - chunk.offset});
        }
    }
    return directory;
}

bool Index::is_known(BundleId const& writer, PackSummary const& pack) const {
    auto [begin, end] = by_pack_.equal_range(pack.id);
    return std::any_of(begin, end, [&](auto const& item) {
        auto const& entry = packs_[item.second];
        return entry.pack.writer == writer && entry.pack.bytes == pack.bytes &&
               entry.pack.header == pack.header && directory_locked(entry) == pack.directory;
    });
}

void Index::add(BundleId const& writer, std::span<PackSummary const> packs) {
    std::lock_guard lock(mutex_);
    for (auto const& pack : packs) {
        if (is_known(writer, pack)) continue;
        assert(chunks_.size() + pack.directory.chunks.size() < kEmpty);
        grow(chunks_.size() + pack.directory.chunks.size());
        auto number = static_cast<std::uint32_t>(packs_.size());
        packs_.push_back(
            {.pack = {.id = pack.id,
                      .header = pack.header,
                      .bytes = pack.bytes,
                      .writer = writer,
                      .frames = static_cast<std::uint32_t>(pack.directory.frames.size()),
                      .chunks = static_cast<std::uint32_t>(pack.directory.chunks.size())},
             .first_frame = static_cast<std::uint32_t>(frames_.size()),
             .reusable = may_rely_on(writer)});
        by_pack_.emplace(pack.id, number);
        std::uint32_t offset = kPackHeaderBytes;
        auto const* chunk = pack.directory.chunks.data();
        for (auto const& frame : pack.directory.frames) {
            auto first = static_cast<std::uint32_t>(chunks_.size());
            std::uint32_t at = 0;
            for (std::uint32_t i = 0; i < frame.chunks; ++i, ++chunk) {
                chunks_.push_back({chunk->id, static_cast<std::uint32_t>(frames_.size()), at});
                insert(static_cast<std::uint32_t>(chunks_.size() - 1));
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
}

std::optional<PackId> Index::reusable_pack(ChunkId const& id) const {
    std::optional<PackId> found;
    std::shared_lock lock(mutex_);
    each(id, [&](auto const& entry) {
        auto const& pack = packs_[frames_[entry.frame].pack];
        if (pack.reusable) found = pack.pack.id;
        return pack.reusable;
    });
    return found;
}

bool Index::contains(ChunkId const& id) const {
    std::shared_lock lock(mutex_);
    return each(id, [](auto const&) { return true; });
}

std::vector<ChunkLocation> Index::find(ChunkId const& id) const {
    std::vector<ChunkLocation> locations;
    std::size_t own = 0;
    std::shared_lock lock(mutex_);
    each(id, [&](auto const& entry) {
        auto const& frame = frames_[entry.frame];
        auto const& pack = packs_[frame.pack];
        auto index = static_cast<std::uint32_t>(&entry - chunks_.data());
        auto end = index + 1 < frame.first_chunk + frame.chunks ? chunks_[index + 1].offset : frame.raw;
        ChunkLocation location{.pack = pack.pack.id,
                               .header = pack.pack.header,
                               .pack_bytes = pack.pack.bytes,
                               .pack_number = frame.pack,
                               .frame_number = entry.frame - pack.first_frame,
                               .frame = {.codec = frame.codec,
                                         .kind = frame.kind,
                                         .stored = frame.stored,
                                         .chunks = frame.chunks,
                                         .raw = frame.raw},
                               .frame_offset = frame.offset,
                               .offset = entry.offset,
                               .length = end - entry.offset};
        auto mine = pack.pack.writer == own_;
        locations.insert(mine ? locations.begin() + static_cast<std::ptrdiff_t>(own++) : locations.end(),
                         location);
        return false;
    });
    return locations;
}

void Index::set_present(std::map<PackId, std::uint64_t> const& sizes) {
    std::lock_guard lock(mutex_);
    for (auto& entry : packs_) {
        auto found = sizes.find(entry.pack.id);
        entry.reusable =
            may_rely_on(entry.pack.writer) && found != sizes.end() && found->second == entry.pack.bytes;
    }
}

void Index::exclude(std::set<PackId> const& packs) {
    std::lock_guard lock(mutex_);
    for (auto& entry : packs_) {
        if (packs.contains(entry.pack.id)) entry.reusable = false;
    }
}

bool Index::names(BundleId const& writer, PackSummary const& pack) const {
    std::shared_lock lock(mutex_);
    return is_known(writer, pack);
}

std::vector<Index::Pack> Index::packs() const {
    std::shared_lock lock(mutex_);
    std::vector<Pack> packs;
    packs.reserve(packs_.size());
    for (auto const& entry : packs_) packs.push_back(entry.pack);
    return packs;
}

PackDirectory Index::directory(std::size_t number) const {
    std::shared_lock lock(mutex_);
    return directory_locked(packs_[number]);
}

std::size_t Index::chunks() const {
    std::shared_lock lock(mutex_);
    return chunks_.size();
}

bool Index::has_segment(std::string const& key) const {
    std::shared_lock lock(mutex_);
    return segments_.contains(key);
}

void Index::note_segment(std::string const& key) {
    std::lock_guard lock(mutex_);
    segments_.insert(key);
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

Result<std::vector<SegmentGroup>> load_segment(Repository& repository, ObjectKey const& key,
                                               std::stop_token stop) {
    auto object = TRY(repository.store().get(key, stop));
    if (segment_key(object) != key) {
        return fail(ErrorKind::damaged, "holds other bytes than its name says");
    }
    if (kind_of_document(object) == DocumentKind::merged) {
        auto document = TRY(repository.open(DocumentKind::merged, object, stop));
        return decode_merged(document.plain);
    }
    auto document = TRY(repository.open(DocumentKind::index, object, stop));
    auto packs = TRY(decode_segment(document.plain));
    std::vector<SegmentGroup> groups;
    groups.push_back({document.signer.id, std::move(packs)});
    return groups;
}

std::vector<LoadedSegment> load_segments(Repository& repository, std::vector<ObjectKey> const& keys,
                                         RefreshOptions options, std::stop_token stop) {
    std::vector<LoadedSegment> results(keys.size());
    if (options.on_this_thread) {
        for (std::size_t i = 0; i < keys.size(); ++i) results[i] = load_segment(repository, keys[i], stop);
        return results;
    }
    auto& executor = repository.world().executor;
    // Shared with the tasks: the last one may still be ending when the wait is over.
    struct Progress {
        std::mutex mutex;
        std::size_t running = 0;
    };
    auto progress = std::make_shared<Progress>();
    auto running = [progress] {
        std::lock_guard lock(progress->mutex);
        return progress->running;
    };
    // Most of the time is the store's: more requests than processors.
    std::size_t const most = std::max(8u, 2 * executor.width());
    for (std::size_t i = 0; i < keys.size(); ++i) {
        executor.wait_until([&] { return running() < most; });
        {
            std::lock_guard lock(progress->mutex);
            ++progress->running;
        }
        executor.post([&repository, &keys, &results, stop, i, progress] {
            results[i] = stop.stop_requested()
                             ? LoadedSegment(fail(ErrorKind::cancelled, "stopped"))
                             : load_segment(repository, keys[i], stop);
            std::lock_guard lock(progress->mutex);
            --progress->running;
        });
    }
    executor.wait_until([&] { return running() == 0; });
    return results;
}

namespace {

// What a reader has proven to be what the index says of it is as good as if this bundle had written it.
void rely_on_proven(Index& index, BundleId const& own, PackMarks const& marks) {
    auto packs = index.packs();
    for (std::size_t number = 0; number < packs.size(); ++number) {
        auto const& pack = packs[number];
        if (pack.writer == own || pack.writer == kProven || !is_proven(index, number, pack, marks)) continue;
        PackSummary const summary{.id = pack.id, .bytes = pack.bytes, .header = pack.header,
                                  .directory = index.directory(number)};
        index.add(own, {&summary, 1});
    }
}

// Brings the index up to what the store lists now. Returns whether every segment that was listed was
// still there.
Result<bool> load_listed(Repository& repository, std::shared_ptr<Index>& index, RefreshOptions options,
                         std::stop_token stop) {
    std::vector<ObjectKey> found;
    TRY(repository.store().list(
        kPrefix,
        [&](ObjectInfo const& info) -> Result<void> {
            found.push_back(info.key);
            return {};
        },
        stop));
    if (index) {
        // A segment that is gone (merged, collected), or that was damaged: start afresh.
        auto known = index->segments();
        for (auto const& key : found) known.erase(key.text());
        if (!known.empty() || !index->damaged().empty()) index = nullptr;
    }
    if (!index) index = std::make_shared<Index>(repository.keys().id);

    std::vector<ObjectKey> missing;
    for (auto const& key : found) {
        if (!index->has_segment(key.text())) missing.push_back(key);
    }
    auto loaded = load_segments(repository, missing, options, stop);
    bool all_there = true;
    for (std::size_t i = 0; i < loaded.size(); ++i) {
        auto const& key = missing[i].text();
        if (loaded[i]) {
            for (auto const& group : *loaded[i]) index->add(group.writer, group.packs);
            index->note_segment(key);
            continue;
        }
        auto kind = loaded[i].error().kind;
        if (kind == ErrorKind::damaged || kind == ErrorKind::io) {
            index->note_damaged(key, std::move(loaded[i].error()).within(key));
        } else if (kind == ErrorKind::not_found) {
            all_there = false;
        } else {
            return fail(std::move(loaded[i].error()).within("read " + key));
        }
    }
    return all_there;
}

}  // namespace

Result<std::shared_ptr<Index>> refresh_index(Repository& repository, RefreshOptions options,
                                             std::stop_token stop) {
    auto& slot = repository.index_slot();
    std::lock_guard lock(slot.mutex);
    auto index = slot.index;
    for (int look = 1;; ++look) {
        if (TRY(load_listed(repository, index, options, stop)) || look == kLooksMax) break;
    }
    if (options.check_packs) {
        // After the segments: a pack that a listed segment names was durable before it.
        std::map<PackId, std::uint64_t> sizes;
        TRY(repository.store().list(
            "packs/",
            [&](ObjectInfo const& info) -> Result<void> {
                if (auto id = pack_of(info.key)) sizes.emplace(*id, info.size);
                return {};
            },
            stop));
        // After the packs: one that is found to be damaged while we look is not reused.
        PackMarks marks;
        TRY(refresh_marks(repository, marks, stop));
        rely_on_proven(*index, repository.keys().id, marks);
        // What is known to be damaged counts as missing here: then the next backup stores it again.
        std::erase_if(sizes, [&](auto const& item) {
            auto const* mark = marks.find(item.first);
            return mark != nullptr && mark->verdict != PackVerdict::whole;
        });
        index->set_present(sizes);
    }
    slot.index = index;
    return index;
}

}  // namespace holdfast
