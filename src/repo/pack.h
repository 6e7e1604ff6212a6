#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "repo/frame.h"
#include "repo/memory_pool.h"
#include "repo/pack_trailer.h"
#include "store/store.h"

namespace holdfast {

// A pack: header, sealed frames, sealed directory, zero padding, parity, trailer. docs/repository-format.md
// has it byte by byte. Offsets are not stored: frames lie behind each other, and chunks tile them.

struct PackChunk {
    ChunkId id;
    std::uint32_t length = 0;  // 1 to kChunkBytesMax
    bool operator==(PackChunk const&) const = default;
};

// Smaller chunks share a frame, which is closed when it holds so much.
inline constexpr std::size_t kLargeChunk = 256u << 10;
inline constexpr std::size_t kSolidFrame = 1u << 20;
// Frames that lie this near are read at once: the gap costs less than another request.
inline constexpr std::uint64_t kGapMax = 64u << 10;

struct PackFrame {
    Codec codec = Codec::raw;
    ChunkKind kind = ChunkKind::data;
    std::uint32_t stored = 0;  // bytes in the pack, tag included
    std::uint32_t chunks = 0;  // how many of the directory's chunks, in order, it holds
    std::uint32_t raw = 0;     // sum of their lengths
    bool operator==(PackFrame const&) const = default;
};

struct PackDirectory {
    std::vector<PackFrame> frames;
    std::vector<PackChunk> chunks;
    bool operator==(PackDirectory const&) const = default;
};
void encode(PackDirectory const& directory, ByteWriter& writer);
// `damaged` on anything that a PackBuilder could not have written: every length fits, chunks tile
// their frames.
Result<PackDirectory> decode_directory(ByteReader& reader);

// What an index says of a pack: enough to read any chunk of it without reading its directory.
struct PackSummary {
    PackId id;
    std::uint64_t bytes = 0;  // of the object
    PackHeader header;
    PackDirectory directory;
    bool operator==(PackSummary const&) const = default;
};

// "packs/3f/3f2a…"
ObjectKey pack_key(PackId const& id);
// Nothing when the key names no pack.
std::optional<PackId> pack_of(ObjectKey const& key);

// A pack that is ready to be stored: the object is the concatenation of its views.
struct SealedPack {
    PackSummary summary;
    Slice frames;   // and the header before them
    Bytes tail;     // directory, padding
    Bytes trailer;  // and the parity before it
    std::array<ByteView, 3> views() const { return {frames.bytes, tail, trailer}; }
};

// A pack has room for this much beyond its size, so that the frame that closes it fits in.
inline constexpr std::size_t kPackSlack = kFrameRawBytesMax + 4096;

// Builds one pack in memory. reserve() and finish() are called by one thread at a time; seal() by
// several at once, for different frames.
class PackBuilder {
  public:
    // A frame whose place is taken and whose bytes may still be on their way.
    struct Frame {
        PackKey::Slot slot;
        PackFrame record;
        ByteSpan sealed;  // its place
    };

    // The header and the frames are to lie in `memory`.
    static Result<std::unique_ptr<PackBuilder>> create(RepositoryId const& repository,
                                                       BoxPublicKey const& data_public,
                                                       Random& random, std::shared_ptr<Memory> memory);

    // Whether there is room for a frame whose encoding takes `encoded` bytes.
    bool fits(std::size_t encoded) const { return bytes_ + encoded + kGcmTagBytes <= memory_->size(); }
    // Takes the place of a frame of `chunks`, whose encoding takes `encoded` bytes and fits. The
    // reference stays good as long as the builder.
    Frame& reserve(Codec codec, ChunkKind kind, std::size_t encoded, std::span<PackChunk const> chunks);
    // Seals `encoded` into the frame, then opens and decodes what was sealed and compares it with
    // `raw`. `internal`, naming memory, when they differ: such a pack must not be stored.
    Result<void> seal(Frame const& frame, ByteView encoded, ByteView raw) const;
    // Sealed bytes so far, reserved ones included.
    std::uint64_t bytes() const { return bytes_; }
    std::size_t frames() const { return frames_.size(); }
    // The directory, padding, parity (0 to kParityPercentMax) and trailer. All frames are sealed; there is
    // one at least.
    SealedPack finish(unsigned parity_percent) &&;

  private:
    PackBuilder(PackHeader const& header, PackKey key, std::shared_ptr<Memory> memory);

    PackHeader header_;
    PackKey key_;
    std::shared_ptr<Memory> memory_;
    std::deque<Frame> frames_;
    std::vector<PackChunk> chunks_;
    std::uint64_t bytes_;
};

// What a full check of a pack found.
struct PackReport {
    std::vector<Error> errors;  // empty: every byte is as it was written
    // The directory, when it opened; then the chunks that can't be had from this pack.
    std::optional<PackSummary> summary;
    std::vector<ChunkId> lost;
    // Without its data key: the sector sums and the name were checked, and nothing else.
    bool sealed = false;
};
// Checks every byte: sector sums, padding, the name, the directory; opens every frame and recomputes
// every chunk id.
PackReport check_pack(ByteView pack, PackId const& id, RepositoryId const& repository,
                      BoxKey const& data, HmacKey const& id_key);

// Memory to open frames in, used again from frame to frame.
struct FrameScratch {
    Bytes stored;
    Bytes raw;
};
// The first `size` bytes of memory that is made larger when it must be, and never smaller: growing again
// would clear what is overwritten anyway.
inline ByteSpan grown(Bytes& memory, std::size_t size) {
    if (memory.size() < size) memory.resize(size);
    return ByteSpan(memory).first(size);
}
// One for each thread: what open_frame() returned is good until the thread's next use of it.
FrameScratch& thread_frame_scratch();
// Opens and decodes one frame; the result lies in the scratch. `damaged` when it is not what was sealed
// there.
Result<ByteView> open_frame(PackKey const& key, std::uint32_t number, PackFrame const& frame, ByteView sealed,
                            FrameScratch& scratch);

}  // namespace holdfast
