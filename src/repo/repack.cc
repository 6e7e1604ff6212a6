#include "repo/repack.h"

#include <algorithm>

#include "repo/object_check.h"
#include "repo/repository.h"

namespace holdfast {
namespace {

constexpr std::size_t kPacksPerMergedSegment = 64;
constexpr std::uint64_t kRepackReadMax = 16u << 20;
constexpr int kZstdLevel = 3;

}  // namespace

// A pack that is being filled: content in one lane, trees and extent lists in another.
struct Repacker::Lane {
    std::string pair;
    std::unique_ptr<PackBuilder> builder;
    // Chunks of one kind that wait for a frame of their own.
    struct Group {
        Bytes raw;
        std::vector<PackChunk> chunks;
    };
    std::array<Group, 3> groups;
};

// A pack that is copied from.
struct Repacker::Source {
    std::uint32_t number;
    std::string pair;
    From from;
    PackDirectory directory;
    std::vector<std::uint64_t> offsets;      // of frames in the pack
    std::vector<std::uint32_t> first_chunk;  // of frames in the directory
    PackKey key;
    std::vector<ChunkId> lost;
    std::optional<Error> error;
};

Repacker::Repacker(Repository& repository, Index const& index, Keepers const& keepers,
                   std::shared_ptr<DataKeys const> data_keys, PackShape shape, std::stop_token stop)
    : repository_(repository),
      index_(index),
      keepers_(keepers),
      data_keys_(std::move(data_keys)),
      shape_(shape),
      stop_(std::move(stop)),
      id_key_(repository.keys().id_key.view()),
      named_(index.packs().value()) {
    for (std::uint32_t i = 0; i < named_.size(); ++i) numbers_[named_[i].id].push_back(i);
}
Repacker::~Repacker() = default;

Repacker::Lane& Repacker::lane_of(std::string const& pair, ChunkKind kind) {
    auto& lane = lanes_[pair][kind == ChunkKind::data ? 0 : 1];
    if (!lane) lane = std::make_unique<Lane>(Lane{.pair = pair, .builder = nullptr, .groups = {}});
    return *lane;
}

bool Repacker::wants(std::size_t number, ChunkId const& chunk, From from) const {
    if (!keepers_.is_live(number, chunk) || copied_.contains(in_pair(chunk, keepers_.mark(number)))) return false;
    return from == From::doomed ? !keepers_.keeper(number, chunk) : keepers_.keeps(number, chunk);
}

Result<bool> Repacker::copy(PackId const& id, From from) {
    auto numbers = numbers_.find(id);
    if (numbers == numbers_.end()) return true;
    bool whole = true;
    for (auto number : numbers->second) {
        auto const& pack = named_[number];
        auto data = data_keys_->find(pack.header.data_key);
        auto key = data ? PackKey::derive(repository_.id(), **data, pack.header)
                        : Result<PackKey>(fail(std::move(data).error()));
        if (!key) {
            damaged_.push_back({id, key.error()});
            whole = false;
            continue;
        }
        Source source{.number = number,
                      .pair = *data_keys_->name_of(pack.header.data_key),
                      .from = from,
                      .directory = TRY(index_.directory(number)),
                      .offsets = {},
                      .first_chunk = {},
                      .key = std::move(*key),
                      .lost = {},
                      .error = {}};
        auto const& frames = source.directory.frames;
        std::vector<std::uint32_t> wanted;
        std::uint64_t offset = kPackHeaderBytes;
        std::uint32_t chunk = 0;
        for (std::uint32_t i = 0; i < frames.size(); ++i) {
            source.offsets.push_back(offset);
            source.first_chunk.push_back(chunk);
            offset += frames[i].stored;
            auto chunks = std::span(source.directory.chunks).subspan(chunk, frames[i].chunks);
            chunk += frames[i].chunks;
            auto any = [&](auto const& one) { return wants(number, one.id, source.from); };
            if (std::ranges::any_of(chunks, any)) wanted.push_back(i);
        }
        for (std::size_t at = 0; at < wanted.size();) {
            auto begin = source.offsets[wanted[at]];
            auto last = at;
            auto end_of = [&](std::size_t i) { return source.offsets[wanted[i]] + frames[wanted[i]].stored; };
            while (last + 1 < wanted.size() && source.offsets[wanted[last + 1]] - end_of(last) <= kGapMax &&
                   end_of(last + 1) - begin <= kRepackReadMax) {
                ++last;
            }
            auto length = end_of(last) - begin;
            auto sealed = repository_.store().get_range(pack_key(id), begin, length, stop_);
            if (!sealed && !is_local(sealed.error().kind)) {
                return fail(std::move(sealed).error().within("read pack " + id.brief()));
            }
            bytes_read_ += length;
            if (!sealed) source.error = sealed.error();
            for (; sealed && at <= last; ++at) {
                auto frame = ByteView(*sealed).subspan(source.offsets[wanted[at]] - begin, frames[wanted[at]].stored);
                TRY(copy_frame(source, wanted[at], frame));
            }
            at = last + 1;
        }
        if (source.error) {
            damaged_.push_back({id, std::move(*source.error)});
            whole = false;
        }
    }
    return whole;
}

Result<void> Repacker::copy_frame(Source& source, std::uint32_t number, ByteView sealed) {
    auto const& frame = source.directory.frames[number];
    auto chunks = std::span(source.directory.chunks).subspan(source.first_chunk[number], frame.chunks);
    auto& scratch = thread_frame_scratch();
    auto opened = open_frame(source.key, number, frame, sealed, scratch);
    if (!opened) {
        source.error = std::move(opened).error();
        return {};
    }
    // It may lie in the scratch, which sealing uses, too.
    Bytes raw(opened->begin(), opened->end());
    std::size_t at = 0, kept = 0;
    std::vector<ByteView> parts;
    for (auto const& chunk : chunks) {
        auto bytes = ByteView(raw).subspan(at, chunk.length);
        at += chunk.length;
        parts.push_back({});
        if (!wants(source.number, chunk.id, source.from)) continue;
        if (ChunkId::from_bytes(id_key_.of(bytes)) != chunk.id) {
            source.error = Error{ErrorKind::damaged, "chunk " + chunk.id.brief() + " holds other bytes than its id says", {}};
            continue;
        }
        parts.back() = bytes;
        ++kept;
    }
    if (kept == chunks.size()) {
        Bytes encoded(frame.stored - kGcmTagBytes);
        TRY(source.key.open({.number = number, .kind = static_cast<std::uint8_t>(frame.kind), .raw_length = frame.raw},
                            sealed, encoded));
        TRY(add(lane_of(source.pair, frame.kind), frame.kind, {frame.codec, encoded}, raw, chunks));
    } else {
        for (std::size_t i = 0; i < parts.size(); ++i) {
            if (!parts[i].empty()) TRY(add_loose(lane_of(source.pair, frame.kind), frame.kind, chunks[i], parts[i]));
        }
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        if (!parts[i].empty()) copied_.insert(in_pair(chunks[i].id, keepers_.mark(source.number)));
    }
    return {};
}

Result<void> Repacker::add_loose(Lane& lane, ChunkKind kind, PackChunk const& chunk, ByteView bytes) {
    if (bytes.size() >= kLargeChunk) {
        Bytes scratch;
        auto encoded = TRY(encode_frame(bytes, {.zstd_level = kZstdLevel}, scratch));
        return add(lane, kind, encoded, bytes, {&chunk, 1});
    }
    auto& group = lane.groups[static_cast<std::size_t>(kind) - 1];
    group.raw.insert(group.raw.end(), bytes.begin(), bytes.end());
    group.chunks.push_back(chunk);
    if (group.raw.size() >= kSolidFrame) return close_group(lane, kind);
    return {};
}

Result<void> Repacker::close_group(Lane& lane, ChunkKind kind) {
    auto group = std::exchange(lane.groups[static_cast<std::size_t>(kind) - 1], {});
    if (group.chunks.empty()) return {};
    Bytes scratch;
    auto encoded = TRY(encode_frame(group.raw, {.zstd_level = kZstdLevel}, scratch));
    return add(lane, kind, encoded, group.raw, group.chunks);
}

Result<void> Repacker::add(Lane& lane, ChunkKind kind, Encoded const& encoded, ByteView raw,
                           std::span<PackChunk const> chunks) {
    if (lane.builder && !lane.builder->fits(encoded.bytes.size())) TRY(close_pack(lane));
    if (!lane.builder) {
        auto memory = std::make_shared<Memory>(shape_.bytes + kPackSlack);
        auto newest = TRY(data_keys_->newest(lane.pair));
        lane.builder = TRY(PackBuilder::create(repository_.id(), newest, repository_.world().random,
                                               std::move(memory)));
    }
    auto& frame = lane.builder->reserve(encoded.codec, kind, encoded.bytes.size(), chunks);
    TRY(lane.builder->seal(frame, encoded.bytes, raw));
    if (lane.builder->bytes() >= shape_.bytes) return close_pack(lane);
    return {};
}

Result<void> Repacker::close_pack(Lane& lane) {
    if (!lane.builder) return {};
    auto sealed = std::move(*lane.builder).finish(shape_.parity_percent);
    lane.builder.reset();
    auto put = repository_.store().put(pack_key(sealed.summary.id), sealed.views(), stop_);
    TRY(std::move(put).within("store pack " + sealed.summary.id.brief()));
    ++packs_;
    bytes_stored_ += sealed.summary.bytes;
    unindexed_.push_back(std::move(sealed.summary));
    if (unindexed_.size() >= kPacksPerMergedSegment) return store_segment();
    return {};
}

Result<void> Repacker::store_segment() {
    if (unindexed_.empty()) return {};
    SegmentGroup group{kProven, std::exchange(unindexed_, {})};
    auto object = repository_.seal(DocumentKind::merged, encode_merged({&group, 1}));
    auto key = segment_key(object);
    return repository_.store().put(key, object, stop_).within("store " + key.text());
}

Result<void> Repacker::abandon() {
    lanes_.clear();
    for (auto const& pack : std::exchange(unindexed_, {})) TRY(repository_.store().remove(pack_key(pack.id), stop_));
    return {};
}

Result<void> Repacker::finish() {
    for (auto& [pair, lanes] : lanes_) {
        for (auto& lane : lanes) {
            if (!lane) continue;
            for (auto kind : {ChunkKind::data, ChunkKind::tree, ChunkKind::extents}) TRY(close_group(*lane, kind));
            TRY(close_pack(*lane));
        }
    }
    return store_segment();
}

}  // namespace holdfast
