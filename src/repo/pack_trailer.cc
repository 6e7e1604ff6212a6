#include "repo/pack_trailer.h"

#include <fmt/format.h>
#define XXH_STATIC_LINKING_ONLY  // the state as a value
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // XXH3 by what the processor has, under the same names
#endif

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "repo/frame.h"
#include "repo/parity.h"

namespace holdfast {
namespace {

constexpr std::string_view kTrailerMagic = "HFPT";
constexpr std::size_t kSumBytes = 16;
// body, directory offset, directory length, sector size, parity sectors, checksum, magic
constexpr std::size_t kFixedBytes = 8 + 8 + 4 + 4 + 4 + kSumBytes + 4;
constexpr std::size_t kDirectoryBytesMin = kGcmTagBytes + 12;
// What writers make of a pack with parity: about so many data sectors, so that a damaged spot costs little of
// the parity, none of them shorter than that.
constexpr std::uint64_t kParityDataSectors = 128;
constexpr std::uint64_t kParitySectorBytesMin = 512;

std::unexpected<Error> trailer_malformed(std::string what) {
    return fail(ErrorKind::damaged, std::move(what));
}

// The canonical (big-endian) form of XXH3-128, seed 0.
using Sum = std::array<std::uint8_t, kSumBytes>;
Sum canonical(XXH128_hash_t hash) {
    XXH128_canonical_t form;
    XXH128_canonicalFromHash(&form, hash);
    Sum sum;
    std::copy_n(form.digest, sum.size(), sum.begin());
    return sum;
}
Sum sum_of(ByteView bytes) { return canonical(XXH3_128bits(bytes.data(), bytes.size())); }

// The sums of the sectors of `parts`, joined.
std::vector<Sum> sector_sums(std::span<ByteView const> parts, std::size_t sector_bytes) {
    std::vector<Sum> sums;
    XXH3_state_t state;
    XXH3_128bits_reset(&state);
    std::size_t filled = 0;
    for (ByteView rest : parts) {
        while (!rest.empty()) {
            auto size = std::min(rest.size(), sector_bytes - filled);
            XXH3_128bits_update(&state, rest.data(), size);
            rest = rest.subspan(size);
            filled += size;
            if (filled == sector_bytes) {
                sums.push_back(canonical(XXH3_128bits_digest(&state)));
                XXH3_128bits_reset(&state);
                filled = 0;
            }
        }
    }
    if (filled > 0) sums.push_back(canonical(XXH3_128bits_digest(&state)));
    return sums;
}

// An odd multiple of 64: sectors that lie a power of two apart would meet in the same lines of the caches.
std::uint32_t parity_sector_bytes(std::uint64_t body) {
    auto bytes = std::max(kParitySectorBytesMin, (body + kParityDataSectors - 1) / kParityDataSectors);
    return static_cast<std::uint32_t>((bytes + 63) / 64 * 64 | 64);
}

ParityShape shape_of(PackTrailer const& trailer) {
    return {.sector = trailer.sector_bytes, .data = trailer.data_sectors(), .parity = trailer.parity};
}

// Whether the numbers, which nobody has checked yet, are those of a pack of that size.
bool fits(PackTrailer const& trailer, std::optional<std::uint64_t> object_bytes) {
    if (trailer.body == 0 || trailer.body > kPackBytesMax) return false;
    if (trailer.sector_bytes == 0 || trailer.sector_bytes > kPackBytesMax) return false;
    if (trailer.parity == 0 && trailer.sector_bytes != kSectorBytes) return false;
    if (trailer.parity > 0 && trailer.sectors() > kParitySectorsMax) return false;
    auto bytes = trailer.object_bytes();
    return bytes <= kPackBytesMax && bytes == object_bytes.value_or(bytes);
}

// A trailer that ends at the end of `bytes`, of an object of `object_bytes` (nothing: of any size).
Result<PackTrailer> decode_at_end(ByteView bytes, std::optional<std::uint64_t> object_bytes) {
    if (bytes.size() < kFixedBytes || as_text(bytes.last(kTrailerMagic.size())) != kTrailerMagic) {
        return trailer_malformed("trailer: the pack was cut off, or is none");
    }
    ByteReader reader(bytes.last(kFixedBytes));
    PackTrailer trailer;
    trailer.body = reader.u64();
    trailer.directory_offset = reader.u64();
    trailer.directory_bytes = reader.u32();
    trailer.sector_bytes = reader.u32();
    trailer.parity = reader.u32();
    if (!fits(trailer, object_bytes)) return trailer_malformed("trailer: of a pack of another size, or damaged");
    auto size = trailer.bytes();
    if (size > bytes.size()) return trailer_malformed("trailer: the pack was cut off");
    auto checked = bytes.last(size).first(size - kSumBytes - kTrailerMagic.size());
    auto sum = sum_of(checked);
    if (!std::equal(sum.begin(), sum.end(), checked.data() + checked.size())) {
        return trailer_malformed("trailer: checksum mismatch");
    }
    auto end = trailer.directory_offset + trailer.directory_bytes;
    if (trailer.directory_offset <= kPackHeaderBytes || trailer.directory_offset > trailer.body ||
        trailer.directory_bytes < kDirectoryBytesMin || end > trailer.body ||
        padded_pack_bytes(end) != trailer.body) {
        return trailer_malformed("trailer: a directory in an impossible place");
    }
    return trailer;
}

// The copy of a trailer that is damaged itself or gone: it is found by its magic, because nothing else says
// where it is. Only where it stands itself can it be the right one.
std::optional<PackTrailer> find_copy(ByteView pack, std::optional<std::uint64_t> object_bytes) {
    auto text = as_text(pack);
    for (auto at = text.find(kTrailerMagic); at != std::string_view::npos; at = text.find(kTrailerMagic, at + 1)) {
        auto end = at + kTrailerMagic.size();
        auto trailer = decode_at_end(pack.first(end), object_bytes);
        if (trailer && trailer->parity > 0 && trailer->body + trailer->bytes() == end) return *trailer;
    }
    return {};
}

// The sectors whose sums do not fit; `sums` is the trailer.
std::vector<std::uint32_t> bad_sectors(ByteView pack, PackTrailer const& trailer, ByteView sums) {
    std::vector<std::uint32_t> bad;
    for (std::uint32_t i = 0; i < trailer.sectors(); ++i) {
        auto sum = sum_of(pack.subspan(trailer.offset(i), trailer.length(i)));
        if (!std::equal(sum.begin(), sum.end(), sums.data() + i * kSumBytes)) bad.push_back(i);
    }
    return bad;
}

}  // namespace

std::uint64_t PackTrailer::bytes() const { return sectors() * kSumBytes + kFixedBytes; }

std::uint64_t PackTrailer::object_bytes() const {
    auto copy_and_parity = parity == 0 ? 0 : bytes() + std::uint64_t{parity} * sector_bytes;
    return body + copy_and_parity + bytes();
}

std::uint64_t PackTrailer::offset(std::uint64_t number) const {
    if (number < data_sectors()) return number * sector_bytes;
    return body + bytes() + (number - data_sectors()) * sector_bytes;
}

std::uint64_t PackTrailer::length(std::uint64_t number) const {
    if (number >= data_sectors()) return sector_bytes;
    return std::min<std::uint64_t>(sector_bytes, body - offset(number));
}

std::uint64_t padded_pack_bytes(std::uint64_t bytes) {
    auto step = std::max<std::uint64_t>(1, std::bit_floor(bytes) / 128);
    return (bytes + step - 1) / step * step;
}

Bytes finish_trailer(std::span<ByteView const> parts, unsigned parity_percent, PackTrailer& trailer) {
    assert(parity_percent <= kParityPercentMax);
    trailer.body = 0;
    for (auto part : parts) trailer.body += part.size();
    trailer.parity = 0;
    trailer.sector_bytes = kSectorBytes;
    if (parity_percent > 0) {
        trailer.sector_bytes = parity_sector_bytes(trailer.body);
        auto rounded = (trailer.data_sectors() * parity_percent + 50) / 100;
        trailer.parity = static_cast<std::uint32_t>(std::max<std::uint64_t>(1, rounded));
    }
    // With parity: the trailer's copy, the parity, the trailer.
    Bytes all(trailer.object_bytes() - trailer.body);
    auto parity = trailer.parity == 0
                      ? ByteSpan()
                      : ByteSpan(all).subspan(trailer.bytes(), std::size_t{trailer.parity} * trailer.sector_bytes);
    if (trailer.parity > 0) compute_parity(shape_of(trailer), parts, parity);
    ByteWriter writer;
    for (auto const& sum : sector_sums(parts, trailer.sector_bytes)) writer.raw(sum);
    for (std::size_t at = 0; at < parity.size(); at += trailer.sector_bytes) {
        writer.raw(sum_of(ByteView(parity).subspan(at, trailer.sector_bytes)));
    }
    writer.u64(trailer.body);
    writer.u64(trailer.directory_offset);
    writer.u32(trailer.directory_bytes);
    writer.u32(trailer.sector_bytes);
    writer.u32(trailer.parity);
    writer.raw(sum_of(writer.view()));
    writer.raw(as_bytes(kTrailerMagic));
    assert(writer.view().size() == trailer.bytes());
    std::ranges::copy(writer.view(), all.begin());
    std::ranges::copy(writer.view(), all.end() - static_cast<std::ptrdiff_t>(trailer.bytes()));
    return all;
}

Result<PackTrailer> decode_trailer(ByteView end, std::uint64_t object_bytes) {
    assert(end.size() >= std::min<std::uint64_t>(object_bytes, kTrailerBytesMax));
    return decode_at_end(end, object_bytes);
}

Result<PackTrailer> check_sectors(ByteView pack) {
    auto trailer = TRY(decode_trailer(pack, pack.size()));
    auto sums = pack.last(trailer.bytes());
    auto bad = bad_sectors(pack, trailer, sums);
    if (!bad.empty()) {
        return trailer_malformed(fmt::format("checksum mismatch in {} of {} sectors, the first at byte {}", bad.size(),
                                     trailer.sectors(), trailer.offset(bad.front())));
    }
    if (trailer.parity > 0 && !std::ranges::equal(sums, pack.subspan(trailer.body, sums.size()))) {
        return trailer_malformed("trailer: its copy differs");
    }
    return trailer;
}

std::uint64_t stated_pack_bytes(ByteView object) {
    if (decode_at_end(object, object.size())) return object.size();
    auto copy = find_copy(object, {});
    return copy ? copy->object_bytes() : object.size();
}

Result<MendedPack> mend_pack(ByteSpan pack) {
    MendedPack mended;
    auto at_end = decode_trailer(pack, pack.size());
    PackTrailer trailer;
    if (at_end) {
        trailer = *at_end;
    } else {
        auto copy = find_copy(pack, pack.size());
        if (!copy) return fail(std::move(at_end.error()));
        trailer = *copy;
    }
    auto last = pack.last(trailer.bytes());
    if (trailer.parity > 0) {
        auto copy = pack.subspan(trailer.body, trailer.bytes());
        mended.trailers = !std::ranges::equal(copy, last);
        std::ranges::copy(at_end ? last : copy, at_end ? copy.begin() : last.begin());
    }
    mended.sectors = bad_sectors(pack, trailer, last);
    if (mended.sectors.empty()) return mended;

    std::vector<std::uint32_t> bad_data, good_parity;
    auto const data_sectors = static_cast<std::uint32_t>(trailer.data_sectors());
    for (auto sector : mended.sectors) {
        if (sector < data_sectors) bad_data.push_back(sector);
    }
    for (std::uint32_t i = 0; i < trailer.parity; ++i) {
        if (!std::ranges::binary_search(mended.sectors, data_sectors + i)) good_parity.push_back(i);
    }
    if (bad_data.size() > good_parity.size()) {
        return trailer_malformed(fmt::format("{} of {} sectors are damaged, the first at byte {}: more than its parity mends ({})",
                                     mended.sectors.size(), trailer.sectors(),
                                     trailer.offset(mended.sectors.front()), trailer.parity));
    }
    auto shape = shape_of(trailer);
    auto body = pack.first(trailer.body);
    auto parity = pack.subspan(trailer.body + trailer.bytes(), shape.parity * shape.sector);
    if (!bad_data.empty()) reconstruct_data(shape, body, parity, bad_data, good_parity);
    if (good_parity.size() < trailer.parity) {
        ByteView const whole = body;
        compute_parity(shape, {&whole, 1}, parity);
    }
    if (!bad_sectors(pack, trailer, last).empty()) {
        return trailer_malformed("its parity does not fit its sums: no accident, or bad memory");
    }
    return mended;
}

}  // namespace holdfast
