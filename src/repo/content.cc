#include "repo/content.h"

#include <cassert>

namespace holdfast {
namespace {

constexpr std::uint8_t kHole = 0;
constexpr std::uint8_t kRun = 1;
// A hole of one byte takes two: the least that a count promises.
constexpr std::size_t kExtentBytesMin = 2;

std::unexpected<Error> malformed(char const* what) {
    return fail(ErrorKind::damaged, std::string("content: ") + what);
}

}  // namespace

void encode(Extent const& extent, ByteWriter& writer) {
    assert(extent.length > 0);
    if (!extent.chunk) {
        assert(extent.offset == 0);
        writer.u8(kHole);
        writer.varint(extent.length);
        return;
    }
    assert(extent.length <= kChunkBytesMax && extent.offset + extent.length <= kChunkBytesMax);
    writer.u8(kRun);
    writer.raw(extent.chunk->view());
    writer.varint(extent.offset);
    writer.varint(extent.length);
}

void encode(Content const& content, ByteWriter& writer) {
    assert(content.depth <= kContentDepthMax);
    writer.varint(content.size);
    writer.u8(content.depth);
    writer.varint(content.extents.size());
    for (auto const& extent : content.extents) encode(extent, writer);
}

Result<Extent> decode_extent(ByteReader& reader) {
    Extent extent;
    auto tag = reader.u8();
    if (tag == kRun) {
        auto id = reader.raw(ChunkId::kSize);
        if (id.size() == ChunkId::kSize) extent.chunk = ChunkId::from_bytes(id);
        auto offset = reader.varint();
        extent.length = reader.varint();
        if (offset > kChunkBytesMax || extent.length > kChunkBytesMax - offset) {
            return malformed("an extent beyond the largest chunk");
        }
        extent.offset = static_cast<std::uint32_t>(offset);
    } else if (tag == kHole) {
        extent.length = reader.varint();
    } else {
        return malformed("an extent of an unknown kind");
    }
    if (!reader.ok()) return malformed("ends early");
    if (extent.length == 0) return malformed("an empty extent");
    return extent;
}

Result<Content> decode_content(ByteReader& reader) {
    Content content;
    content.size = reader.varint();
    content.depth = reader.u8();
    auto count = reader.count(kExtentBytesMin);
    if (!reader.ok()) return malformed("ends early");
    if (content.depth > kContentDepthMax) return malformed("lists nested too deep");
    if (content.depth > 0 && (count == 0 || content.size == 0)) return malformed("an empty list");
    content.extents.reserve(count);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        auto extent = TRY(decode_extent(reader));
        if (content.depth > 0 && !extent.chunk) return malformed("a hole in a list");
        if (extent.length > UINT64_MAX - sum) return malformed("sizes overflow");
        sum += extent.length;
        content.extents.push_back(extent);
    }
    if (content.depth == 0 && sum != content.size) return malformed("extents do not add up to the size");
    return content;
}

}  // namespace holdfast
