#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"

namespace holdfast {

// The end of a pack, in the clear: where its parts lie, sums of its sectors, and what Reed–Solomon needs to
// mend them. docs/repository-format.md, "Trailer" and "Parity". For accidents, not for malice.

// A sector of a pack without parity.
inline constexpr std::size_t kSectorBytes = 1u << 20;
// No pack is larger: what a reader agrees to hold in memory.
inline constexpr std::uint64_t kPackBytesMax = 1u << 30;
// No trailer is longer: so much of an object's end holds it.
inline constexpr std::size_t kTrailerBytesMax = kPackBytesMax / kSectorBytes * 16 + 48;
// Of all parity that one can ask for, in per cent of the data.
inline constexpr unsigned kParityPercentMax = 25;
inline constexpr unsigned kParityPercentDefault = 5;

struct PackTrailer {
    std::uint64_t body = 0;              // header, frames, directory, padding
    std::uint64_t directory_offset = 0;  // the padding is between the directory's end and the body's
    std::uint32_t directory_bytes = 0;
    std::uint32_t sector_bytes = kSectorBytes;
    std::uint32_t parity = 0;  // sectors of it

    std::uint64_t data_sectors() const { return (body + sector_bytes - 1) / sector_bytes; }
    // Data sectors, then parity sectors.
    std::uint64_t sectors() const { return data_sectors() + parity; }
    // Of the trailer itself. With parity a copy of it lies behind the body, before the parity.
    std::uint64_t bytes() const;
    std::uint64_t object_bytes() const;
    // Where sector `number` lies in the object.
    std::uint64_t offset(std::uint64_t number) const;
    std::uint64_t length(std::uint64_t number) const;
    bool operator==(PackTrailer const&) const = default;
};

// Sizes are rounded up to a multiple of the largest power of two that is at most 1/128 of them: 0.8 %
// at most, and 128 sizes for each doubling.
std::uint64_t padded_pack_bytes(std::uint64_t bytes);

// What follows a body of `parts`, joined: the trailer, with `parity_percent` (0 to kParityPercentMax) before
// it the trailer's copy and the parity. `trailer` says where the directory is; the rest is filled in.
Bytes finish_trailer(std::span<ByteView const> parts, unsigned parity_percent, PackTrailer& trailer);

// `end` is the end of the object: kTrailerBytesMax, or all of it. Checks its checksum, then its lengths.
Result<PackTrailer> decode_trailer(ByteView end, std::uint64_t object_bytes);

// Scrubbing: everything that can be checked without a key. `damaged` names the first bad sector and
// how many there are.
Result<PackTrailer> check_sectors(ByteView pack);

// How large the pack is by a trailer of its own, wherever in what is left of the object it is found: more than
// the object has when its end was cut off. The object's own size when it has none.
std::uint64_t stated_pack_bytes(ByteView object);

// What mend_pack() put right; nothing: the pack was whole.
struct MendedPack {
    std::vector<std::uint32_t> sectors;  // data sectors first
    bool trailers = false;               // one of them was taken from the other
    bool any() const { return trailers || !sectors.empty(); }
};
// Puts right in place whatever the pack's own parity can: then all of it is as it was written, by its sums.
// `damaged`, and `pack` is of no use any more, when more is bad than parity can mend.
Result<MendedPack> mend_pack(ByteSpan pack);

}  // namespace holdfast
