#pragma once

#include <array>
#include <cstring>

#include "codec/plane_kernels.h"

namespace holdfast {

// Elements of one block, which share a scale. The last block of a run may have fewer.
inline constexpr std::size_t kDeltaBlock = 512;
// Elements whose rests are written together, byte by byte and bit by bit.
inline constexpr std::size_t kDeltaGroup = 64;
// Lengths of a difference that are told apart when one is expected.
inline constexpr std::size_t kDeltaLeads = 32;
// Symbols are below this: there are 32 × bytes of an element − 4.
inline constexpr std::size_t kDeltaSymbols = 128;
inline constexpr std::size_t kDeltaClassesMax = 16;
inline constexpr std::size_t kDeltaWidthMax = 4;

// A difference is a symbol, which says where its highest bit is and the two bits below that, and a rest: the bits
// below those. Differences of fewer than four bits are symbols alone.
constexpr unsigned delta_rest_of(unsigned symbol) { return symbol < 8 ? 0 : symbol / 4 - 1; }
constexpr unsigned delta_symbol_max(std::size_t width) { return static_cast<unsigned>(32 * width) - 5; }
inline constexpr std::size_t kDeltaRestMax = 29;

// How elements are compared. The exponent of one is its bits without the sign, shifted right by `fraction`.
struct DeltaShape {
    std::size_t width = 4;  // bytes: 1, 2, 4
    bool ordered = true;    // floats: those below zero are counted backwards, so that numbers order as what they mean
    unsigned fraction = 23;
};
struct DeltaBlock {
    std::uint8_t const* base;  // kDeltaBlock elements; the others are zeros where fewer count
    std::size_t elements;      // that count: the first ones
    DeltaShape shape;
};

// A byte for each element of a block.
using DeltaBytes = std::array<std::uint8_t, kDeltaBlock>;
// The differences, zigzag-coded: byte k of each. Those of which no rest has a bit are left as they are.
using DeltaPlanes = std::array<DeltaBytes, kDeltaWidthMax>;
// How many of them, the lowest first, rests have bits in. By all symbols, also of elements that do not count.
[[gnu::always_inline]] inline std::size_t delta_planes_used(std::uint8_t const* symbols) {
    std::uint8_t highest = 0;
    for (std::size_t i = 0; i < kDeltaBlock; ++i) highest = highest > symbols[i] ? highest : symbols[i];
    auto used = (delta_rest_of(highest) + 7) / 8;
    return used < kDeltaWidthMax ? used : kDeltaWidthMax;
}

// Leads that share a code: class i begins with lead first[i], and first[0] is 0. Behind the last one: 255.
struct DeltaClasses {
    std::size_t count = 0;
    std::array<std::uint8_t, kDeltaClassesMax + 1> first{};
};
// Elements of each class.
using DeltaSizes = std::array<std::size_t, kDeltaClassesMax>;
// Where the next symbol of each class is. So far behind that, one block may write or read.
using DeltaEnds = std::array<std::uint8_t*, kDeltaClassesMax>;
inline constexpr std::size_t kDeltaDealBehind = kDeltaGroup;
inline constexpr std::size_t kDeltaTakeBehind = kDeltaBlock + kDeltaGroup;

// Bits that are written, the first one lowest; `word` holds the `count` newest.
struct DeltaBits {
    std::uint64_t word = 0;
    unsigned count = 0;  // below 64
    std::uint8_t* out = nullptr;
};
// Rests that are written: their whole bytes, and the bits above those.
struct DeltaRests {
    std::uint8_t* bytes = nullptr;  // where the next one goes; one group behind that may be written to
    DeltaBits bits;
};
// And that are read.
struct DeltaRestPlaces {
    std::uint8_t const* bytes = nullptr;
    std::uint8_t const* bits = nullptr;
    std::size_t place = 0;  // in bits behind the first byte of those
};
// So far behind these places a block's reader may look.
inline constexpr std::size_t kDeltaRestBytesBehind = kDeltaBlock * (kDeltaRestMax / 8) + kDeltaGroup;
inline constexpr std::size_t kDeltaRestBitsBehind = kDeltaBlock * 7 / 8 + 16;

// What is done to one block; `raw` and all bytes have kDeltaBlock elements, too; `raw` has zeros behind those that
// count. What is written for elements that do not count does not matter.
struct DeltaKernel {
    // What is between `raw` and the base: the differences, their symbols and leads. Returns the scale of the block.
    std::uint8_t (*look)(DeltaBlock block, std::uint8_t const* raw, std::uint8_t* symbols, std::uint8_t* leads,
                         DeltaPlanes& planes);
    // The same leads again, from what a reader knows.
    void (*expect)(DeltaBlock block, std::uint8_t scale, std::uint8_t* leads);
    // The inverse of look(): `planes` hold the rests alone, all other bits are zero.
    void (*merge)(DeltaBlock block, std::uint8_t const* symbols, DeltaPlanes const& planes, std::uint8_t* raw);

    // Adds to the sizes of the classes.
    void (*count)(std::uint8_t const* leads, std::size_t elements, DeltaClasses const& classes, DeltaSizes& sizes);
    // Appends each symbol to those of its class; and back.
    void (*deal)(std::uint8_t const* symbols, std::uint8_t const* leads, std::size_t elements,
                 DeltaClasses const& classes, DeltaEnds& ends);
    void (*take)(std::uint8_t const* leads, std::size_t elements, DeltaClasses const& classes, DeltaEnds& from,
                 std::uint8_t* symbols);
    // Appends the rests: group by group, in each the lowest byte of all elements that have one, then the next; and of
    // the bits that are left the lowest of all elements that have one, then the next. And back.
    void (*write_rests)(std::uint8_t const* symbols, DeltaPlanes const& planes, std::size_t elements, DeltaRests& rests);
    void (*read_rests)(std::uint8_t const* symbols, std::size_t elements, DeltaRestPlaces& from, DeltaPlanes& planes);
};
DeltaKernel delta_kernel(std::size_t width, Instructions instructions);

// Defined where the processor family has them; see delta_kernels_x86.cc. They replace the functions that they do
// better.
void use_delta_kernel_avx2(DeltaKernel& kernel);
void use_delta_kernel_avx512(DeltaKernel& kernel);

// For write_rests: appends the lowest `count` bits of `bits`; those above are zero.
inline void append_delta_bits(DeltaBits& at, std::uint64_t bits, unsigned count) {
    // No branch: whether a word fills up is as good as random.
    at.word |= bits << at.count;
    std::memcpy(at.out, &at.word, sizeof at.word);
    auto total = at.count + count;
    at.out += total / 64 * sizeof at.word;
    auto over = bits >> 1 >> (63 - at.count);
    at.word = total >= 64 ? over : at.word;
    at.count = total % 64;
}
// For read_rests: the next 64 bits.
inline std::uint64_t next_delta_bits(std::uint8_t const* bits, std::size_t place) {
    std::uint64_t low, high;
    std::memcpy(&low, bits + (place >> 3), sizeof low);
    std::memcpy(&high, bits + (place >> 3) + sizeof low, sizeof high);
    return low >> (place & 7) | high << 1 << (63 - (place & 7));
}

}  // namespace holdfast
