#include "repo/pack.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <optional>

namespace holdfast {
namespace {

constexpr std::size_t kDirectoryHeadBytes = 4 + 4 + 4;
constexpr std::size_t kFrameRecordBytes = 1 + 1 + 2 + 4 + 4;
constexpr std::size_t kChunkRecordBytes = 32 + 4;
constexpr std::string_view kMemoryHint =
    "the processor or the memory of this machine is at fault: test it before you back up again";

std::unexpected<Error> malformed(std::string what) {
    return fail(ErrorKind::damaged, std::move(what));
}

}  // namespace

void encode(PackDirectory const& directory, ByteWriter& writer) {
    writer.u32(static_cast<std::uint32_t>(directory.frames.size()));
    writer.u32(static_cast<std::uint32_t>(directory.chunks.size()));
    writer.u32(0);  // deltas: a later version's
    for (auto const& frame : directory.frames) {
        writer.u8(static_cast<std::uint8_t>(frame.codec));
        writer.u8(static_cast<std::uint8_t>(frame.kind));
        writer.u16(0);
        writer.u32(frame.stored);
        writer.u32(frame.chunks);
    }
    for (auto const& chunk : directory.chunks) {
        writer.raw(chunk.id.view());
        writer.u32(chunk.length);
    }
}

Result<PackDirectory> decode_directory(ByteReader& reader) {
    auto frames = reader.u32();
    auto chunks = reader.u32();
    auto deltas = reader.u32();
    if (!reader.ok()) return malformed("directory: ends early");
    if (frames == 0 || frames == PackKey::kDirectory) return malformed("directory: no frames");
    if (deltas != 0) return malformed("directory: deltas, which this version does not know");
    auto room = reader.remaining();
    if (frames > room / kFrameRecordBytes ||
        chunks > (room - frames * kFrameRecordBytes) / kChunkRecordBytes) {
        return malformed("directory: ends early");
    }
    PackDirectory directory;
    directory.frames.resize(frames);
    directory.chunks.resize(chunks);
    for (auto& frame : directory.frames) {
        frame.codec = static_cast<Codec>(reader.u8());
        frame.kind = static_cast<ChunkKind>(reader.u8());
        auto reserved = reader.u16();
        frame.stored = reader.u32();
        frame.chunks = reader.u32();
        if (frame.codec != Codec::raw && frame.codec != Codec::zstd && frame.codec != Codec::planes) {
            return malformed("directory: unknown codec");
        }
        if (frame.kind < ChunkKind::data || frame.kind > ChunkKind::extents) {
            return malformed("directory: unknown kind of frame");
        }
        if (reserved != 0) return malformed("directory: reserved bytes are not zero");
    }
    for (auto& chunk : directory.chunks) {
        auto id = reader.raw(ChunkId::kSize);
        chunk.length = reader.u32();
        if (!reader.ok()) return malformed("directory: ends early");
        chunk.id = ChunkId::from_bytes(id);
    }
    std::size_t next = 0;
    std::uint64_t offset = kPackHeaderBytes;
    for (auto& frame : directory.frames) {
        if (frame.chunks == 0 || frame.chunks > directory.chunks.size() - next) {
            return malformed("directory: chunks do not fit their frames");
        }
        std::uint64_t raw = 0;
        for (auto end = next + frame.chunks; next < end; ++next) {
            auto length = directory.chunks[next].length;
            if (length == 0) return malformed("directory: an empty chunk");
            raw += length;
            if (raw > kFrameRawBytesMax) return malformed("directory: a frame that is too large");
        }
        frame.raw = static_cast<std::uint32_t>(raw);
        auto encoded = std::uint64_t{frame.stored} - std::min<std::uint64_t>(frame.stored, kGcmTagBytes);
        auto fits = frame.codec == Codec::raw ? encoded == raw : encoded > 0 && encoded < raw;
        if (!fits) return malformed("directory: a frame of an impossible length");
        offset += frame.stored;
        if (offset > kPackBytesMax) return malformed("directory: a pack that is too large");
    }
    if (next != directory.chunks.size()) return malformed("directory: chunks without a frame");
    return directory;
}

ObjectKey pack_key(PackId const& id) {
    auto hex = id.hex();
    return ObjectKey("packs/" + hex.substr(0, 2) + "/" + hex);
}

std::optional<PackId> pack_of(ObjectKey const& key) {
    std::string_view text = key.text();
    if (!text.starts_with("packs/") || text.size() != 6 + 3 + 64) return {};
    auto id = PackId::from_hex(text.substr(9));
    if (!id || pack_key(*id) != key) return {};
    return *id;
}

Result<std::unique_ptr<PackBuilder>> PackBuilder::create(RepositoryId const& repository,
                                                         BoxPublicKey const& data_public,
                                                         Random& random,
                                                         std::shared_ptr<Memory> memory) {
    PackHeader header;
    auto key = TRY(PackKey::create(repository, data_public, random, header));
    return std::unique_ptr<PackBuilder>(new PackBuilder(header, std::move(key), std::move(memory)));
}

PackBuilder::PackBuilder(PackHeader const& header, PackKey key, std::shared_ptr<Memory> memory)
    : header_(header), key_(std::move(key)), memory_(std::move(memory)), bytes_(kPackHeaderBytes) {
    assert(memory_->size() >= kPackHeaderBytes);
    std::ranges::copy(encode(header_), memory_->span().begin());
}

PackBuilder::Frame& PackBuilder::reserve(Codec codec, ChunkKind kind, std::size_t encoded,
                                         std::span<PackChunk const> chunks) {
    assert(!chunks.empty() && frames_.size() < PackKey::kDirectory && fits(encoded));
    std::uint64_t raw = 0;
    for (auto const& chunk : chunks) raw += chunk.length;
    assert(raw <= kFrameRawBytesMax);
    auto& frame = frames_.emplace_back();
    frame.slot = {.number = static_cast<std::uint32_t>(frames_.size() - 1),
                  .kind = static_cast<std::uint8_t>(kind),
                  .raw_length = static_cast<std::uint32_t>(raw)};
    frame.record = {.codec = codec,
                    .kind = kind,
                    .stored = static_cast<std::uint32_t>(encoded + kGcmTagBytes),
                    .chunks = static_cast<std::uint32_t>(chunks.size()),
                    .raw = static_cast<std::uint32_t>(raw)};
    frame.sealed = memory_->span().subspan(bytes_, frame.record.stored);
    chunks_.insert(chunks_.end(), chunks.begin(), chunks.end());
    bytes_ += frame.record.stored;
    return frame;
}

Result<void> PackBuilder::seal(Frame const& frame, ByteView encoded, ByteView raw) const {
    assert(encoded.size() + kGcmTagBytes == frame.record.stored && raw.size() == frame.record.raw);
    key_.seal(frame.slot, encoded, frame.sealed);
    auto opened =
        open_frame(key_, frame.slot.number, frame.record, frame.sealed, thread_frame_scratch());
    if (!opened || !std::equal(raw.begin(), raw.end(), opened->begin(), opened->end())) {
        return fail(ErrorKind::internal,
                    "a sealed frame does not open to what went in: bad memory or a broken codec",
                    std::string(kMemoryHint));
    }
    return {};
}

SealedPack PackBuilder::finish(unsigned parity_percent) && {
    assert(!frames_.empty());
    SealedPack pack;
    pack.frames = {memory_, memory_->view().first(bytes_)};
    auto& directory = pack.summary.directory;
    directory.frames.reserve(frames_.size());
    for (auto const& frame : frames_) directory.frames.push_back(frame.record);
    directory.chunks = std::move(chunks_);
    ByteWriter plain;
    encode(directory, plain);
    Bytes sealed(plain.size() + kGcmTagBytes);
    key_.seal({.number = PackKey::kDirectory,
               .kind = 0,
               .raw_length = static_cast<std::uint32_t>(plain.size())},
              plain.view(), sealed);
    auto hash = sha256(sealed);
    pack.summary.id = PackId::from_bytes(hash);
    pack.summary.header = header_;

    PackTrailer trailer{.directory_offset = bytes_,
                        .directory_bytes = static_cast<std::uint32_t>(sealed.size())};
    sealed.resize(padded_pack_bytes(bytes_ + sealed.size()) - bytes_);  // zero padding
    pack.tail = std::move(sealed);
    ByteView const body[] = {pack.frames.bytes, pack.tail};
    pack.trailer = finish_trailer(body, parity_percent, trailer);
    pack.summary.bytes = trailer.object_bytes();
    return pack;
}

FrameScratch& thread_frame_scratch() {
    static thread_local FrameScratch scratch;
    return scratch;
}

Result<ByteView> open_frame(PackKey const& key, std::uint32_t number, PackFrame const& frame, ByteView sealed,
                            FrameScratch& scratch) {
    if (sealed.size() != frame.stored || frame.stored < kGcmTagBytes) return malformed("a frame that ends early");
    auto stored = grown(scratch.stored, frame.stored - kGcmTagBytes);
    TRY(key.open({.number = number, .kind = static_cast<std::uint8_t>(frame.kind), .raw_length = frame.raw},
                 sealed, stored));
    if (frame.codec == Codec::raw && stored.size() == frame.raw) return stored;
    auto raw = grown(scratch.raw, frame.raw);
    TRY(decode_frame(frame.codec, stored, raw));
    return raw;
}

namespace {

// Compares what frames hold with the ids of their chunks, some frames at a time: many ids cost half of what each alone does.
class FrameCheck {
  public:
    FrameCheck(HmacKey const& id_key, PackReport& report) : id_key_(id_key), report_(report) {}

    // For the next frame that is opened.
    FrameScratch& scratch() {
        static thread_local std::deque<FrameScratch> scratches;
        if (scratches.size() <= frames_.size()) scratches.emplace_back();
        return scratches[frames_.size()];
    }
    // `raw` lies in scratch().
    void add(std::uint32_t number, std::span<PackChunk const> chunks, Result<ByteView> raw) {
        if (!raw) {
            report_.errors.push_back(std::move(raw.error()).within(fmt::format("frame {}", number)));
            for (auto const& chunk : chunks) report_.lost.push_back(chunk.id);
            return;
        }
        frames_.push_back({number, chunks});
        std::size_t at = 0;
        for (auto const& chunk : chunks) {
            bytes_.push_back(raw->subspan(at, chunk.length));
            at += chunk.length;
        }
        waiting_bytes_ += raw->size();
        if (bytes_.size() >= kTogether || waiting_bytes_ >= kTogetherBytes) finish();
    }
    void finish() {
        std::vector<Hash32> ids(bytes_.size());
        id_key_.of_each(bytes_, ids);
        auto id = ids.begin();
        for (auto const& frame : frames_) {
            for (auto const& chunk : frame.chunks) {
                if (ChunkId::from_bytes(*id++) == chunk.id) continue;
                report_.errors.push_back({ErrorKind::damaged,
                                          fmt::format("frame {}: chunk {} holds other bytes than its id says",
                                                      frame.number, chunk.id.brief()),
                                          {}});
                report_.lost.push_back(chunk.id);
            }
        }
        frames_.clear();
        bytes_.clear();
        waiting_bytes_ = 0;
    }

  private:
    static constexpr std::size_t kTogether = 16;
    static constexpr std::size_t kTogetherBytes = 16u << 20;
    struct Frame {
        std::uint32_t number;
        std::span<PackChunk const> chunks;
    };
    HmacKey const& id_key_;
    PackReport& report_;
    std::vector<Frame> frames_;
    std::vector<ByteView> bytes_;
    std::size_t waiting_bytes_ = 0;
};

// The part of check_pack() behind the sector sums. Returns what stops it.
Result<void> check_sealed(ByteView pack, PackTrailer const& trailer, PackId const& id,
                          RepositoryId const& repository, BoxKey const& data, HmacKey const& id_key,
                          PackReport& report) {
    auto header = TRY(decode_pack_header(pack.first(kPackHeaderBytes)));
    auto key = TRY(PackKey::derive(repository, data, header));
    auto sealed = pack.subspan(trailer.directory_offset, trailer.directory_bytes);
    auto hash = sha256(sealed);
    if (PackId::from_bytes(hash) != id) {
        report.errors.push_back(
            {ErrorKind::damaged, "holds pack " + PackId::from_bytes(hash).brief() + " under this name", {}});
    }
    auto plain_bytes = trailer.directory_bytes - static_cast<std::uint32_t>(kGcmTagBytes);
    Bytes plain(plain_bytes);
    auto opened = key.open({.number = PackKey::kDirectory, .kind = 0, .raw_length = plain_bytes}, sealed, plain);
    TRY(std::move(opened).within("directory"));
    ByteReader reader(plain);
    auto directory = TRY(decode_directory(reader));
    if (!reader.done()) return malformed("directory: bytes behind its end");

    auto padding = pack.subspan(trailer.directory_offset + trailer.directory_bytes);
    padding = padding.first(trailer.body - trailer.directory_offset - trailer.directory_bytes);
    if (std::any_of(padding.begin(), padding.end(), [](auto byte) { return byte != 0; })) {
        report.errors.push_back({ErrorKind::damaged, "the padding is not zero", {}});
    }
    report.summary = PackSummary{
        .id = id, .bytes = pack.size(), .header = header, .directory = std::move(directory)};
    auto const& frames = report.summary->directory.frames;
    std::uint64_t end = kPackHeaderBytes;
    for (auto const& frame : frames) end += frame.stored;
    if (end != trailer.directory_offset) {
        for (auto const& chunk : report.summary->directory.chunks) report.lost.push_back(chunk.id);
        return malformed("directory: its frames do not fill the pack");
    }

    FrameCheck check(id_key, report);
    auto chunks = std::span(report.summary->directory.chunks);
    std::uint64_t offset = kPackHeaderBytes;
    for (std::uint32_t number = 0; number < frames.size(); ++number) {
        auto const& frame = frames[number];
        auto raw = open_frame(key, number, frame, pack.subspan(offset, frame.stored), check.scratch());
        check.add(number, chunks.first(frame.chunks), std::move(raw));
        offset += frame.stored;
        chunks = chunks.subspan(frame.chunks);
    }
    check.finish();
    return {};
}

}  // namespace

PackReport check_pack(ByteView pack, PackId const& id, RepositoryId const& repository, BoxKey const& data,
                      HmacKey const& id_key) {
    PackReport report;
    auto trailer = check_sectors(pack);
    if (!trailer) {
        report.errors.push_back(trailer.error());
        // Bad sectors leave the trailer good: then go on, to know which chunks are lost.
        trailer = decode_trailer(pack, pack.size());
        if (!trailer) return report;
    }
    auto sealed = check_sealed(pack, *trailer, id, repository, data, id_key, report);
    if (!sealed) report.errors.push_back(sealed.error());
    return report;
}

}  // namespace holdfast
