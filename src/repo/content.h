#pragma once

#include <optional>
#include <vector>

#include "codec/codec.h"
#include "repo/ids.h"

namespace holdfast {

// What a chunk holds. It is bound into the frame's seal, so that a tree can't be passed off as a file.
enum class ChunkKind : std::uint8_t {
    data = 1,     // bytes of a file
    tree = 2,     // a serialised directory
    extents = 3,  // a serialised list of extents
};

// A run of a file: `length` bytes from `offset` of a chunk, or a hole of `length` zeros.
struct Extent {
    std::optional<ChunkId> chunk;  // nothing: a hole
    std::uint32_t offset = 0;
    std::uint64_t length = 0;
    bool operator==(Extent const&) const = default;
};

// What a file, or a serialised directory, is made of.
//
// depth 0: `extents` are the content. depth d > 0: `extents` are the content of a list (in chunks of
// kind `extents`) whose entries describe the content at depth d - 1. Lists stay small, so a file of
// 10^12 bytes costs its directory a few dozen bytes.
struct Content {
    std::uint64_t size = 0;  // bytes of the content itself, holes included
    std::uint8_t depth = 0;  // at most kContentDepthMax
    std::vector<Extent> extents;
    bool operator==(Content const&) const = default;
};

inline constexpr std::uint8_t kContentDepthMax = 4;
// No chunk is larger than what one frame may hold.
inline constexpr std::size_t kChunkBytesMax = kFrameRawBytesMax;
// The longest spelling of one extent.
inline constexpr std::size_t kExtentBytesMax = 1 + 32 + 5 + 10;
// More extents than this are moved into a list.
inline constexpr std::size_t kInlineExtentsMax = 32;

// `content` := varint size, u8 depth, varint count, count * extent
// `extent`  := u8 0, varint length                                (hole)
//            | u8 1, 32 bytes chunk id, varint offset, varint length
void encode(Content const& content, ByteWriter& writer);
void encode(Extent const& extent, ByteWriter& writer);
// `damaged` on anything that encode() could not have written (depth, overflow, lengths that do not
// add up to the size at depth 0, an empty extent, one beyond kChunkBytesMax).
Result<Content> decode_content(ByteReader& reader);
Result<Extent> decode_extent(ByteReader& reader);

}  // namespace holdfast
