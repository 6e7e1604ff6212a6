// What every processor computes; loops over a whole block are compiled for each family of instructions.
#include "codec/delta_kernels.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <type_traits>

#define HOLDFAST_DELTA_INLINE [[gnu::always_inline]] inline
#define HOLDFAST_DELTA_AVX2 [[gnu::target("avx2,bmi,bmi2")]]
#define HOLDFAST_DELTA_AVX512 [[gnu::target("avx512f,avx512bw,bmi,bmi2")]]

namespace holdfast {
namespace {

template <typename Word>
struct DeltaMath {
    using Signed = std::make_signed_t<Word>;
    static constexpr unsigned kBits = sizeof(Word) * 8;
    static constexpr Word kMagnitude = static_cast<Word>(static_cast<Word>(~Word{0}) >> 1);

    HOLDFAST_DELTA_INLINE static Word load(std::uint8_t const* from, std::size_t i) {
        Word word;
        std::memcpy(&word, from + i * sizeof word, sizeof word);
        return word;
    }
    // All ones when the highest bit is one.
    HOLDFAST_DELTA_INLINE static Word sign(Word x) { return static_cast<Word>(static_cast<Signed>(x) >> (kBits - 1)); }
    HOLDFAST_DELTA_INLINE static Word flip_of(DeltaShape shape) { return shape.ordered ? kMagnitude : Word{0}; }
    // Its own inverse.
    HOLDFAST_DELTA_INLINE static Word order(Word x, Word flip) { return static_cast<Word>(x ^ (sign(x) & flip)); }
    // 0, -1, 1, -2 … as 0, 1, 2, 3 …
    HOLDFAST_DELTA_INLINE static Word difference(Word x, Word base, Word flip) {
        auto d = static_cast<Word>(order(x, flip) - order(base, flip));
        return static_cast<Word>(static_cast<Word>(d << 1) ^ sign(d));
    }
    HOLDFAST_DELTA_INLINE static Word apply(Word difference, Word base, Word flip) {
        auto d = static_cast<Word>(static_cast<Word>(difference >> 1) ^ static_cast<Word>(0 - (difference & 1)));
        return order(static_cast<Word>(order(base, flip) + d), flip);
    }
};

// How many bits x has, without a branch and without an instruction that only some vectors have: by the exponent of
// the float.
template <typename Word>
HOLDFAST_DELTA_INLINE std::uint32_t bits_of(Word x) {
    auto power_of = [](std::uint32_t y) {
        return std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(y))) >> 23;
    };
    if constexpr (sizeof(Word) < 4) return std::max(power_of(x), std::uint32_t{126}) - 126;
    // Without the bit below its highest one it is not rounded up to the next power of two.
    auto half = x >> 1;
    return std::max(power_of(half & ~(half >> 1)), std::uint32_t{126}) - 126 + (x != 0 ? 1 : 0);
}

template <typename Word>
HOLDFAST_DELTA_INLINE void shift_exponents(std::uint8_t const* __restrict base, unsigned fraction,
                                           std::uint8_t* __restrict exponents) {
    using Math = DeltaMath<Word>;
    for (std::size_t i = 0; i < kDeltaBlock; ++i) {
        exponents[i] = static_cast<std::uint8_t>(static_cast<Word>(Math::load(base, i) & Math::kMagnitude) >> fraction);
    }
}
template <typename Word>
HOLDFAST_DELTA_INLINE void exponents_of(DeltaBlock block, std::uint8_t* exponents) {
    // Sixteen bits are shifted as such only by what the compiler knows; the other shapes are rare.
    if (sizeof(Word) == 2 && block.shape.fraction == 7) return shift_exponents<Word>(block.base, 7, exponents);
    if (sizeof(Word) == 2 && block.shape.fraction == 10) return shift_exponents<Word>(block.base, 10, exponents);
    shift_exponents<Word>(block.base, block.shape.fraction, exponents);
}
// In place: exponents become the lengths that are expected of differences.
HOLDFAST_DELTA_INLINE void leads_of(std::uint8_t scale, std::uint8_t* values) {
    for (std::size_t i = 0; i < kDeltaBlock; ++i) {
        auto lead = static_cast<std::uint8_t>(scale - std::min(scale, values[i]));
        values[i] = std::min<std::uint8_t>(lead, kDeltaLeads - 1);
    }
}

template <typename Word>
HOLDFAST_DELTA_INLINE void expect_block(DeltaBlock block, std::uint8_t scale, std::uint8_t* leads) {
    exponents_of<Word>(block, leads);
    leads_of(scale, leads);
}

template <typename Word>
HOLDFAST_DELTA_INLINE std::uint8_t look_at_block(DeltaBlock block, std::uint8_t const* __restrict raw,
                                                 std::uint8_t* __restrict symbols, std::uint8_t* __restrict leads,
                                                 DeltaPlanes& __restrict planes) {
    using Math = DeltaMath<Word>;
    auto const flip = Math::flip_of(block.shape);
    std::array<Word, kDeltaBlock> differences;
    for (std::size_t i = 0; i < kDeltaBlock; ++i) {
        differences[i] = Math::difference(Math::load(raw, i), Math::load(block.base, i), flip);
    }
    exponents_of<Word>(block, leads);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < kDeltaBlock; ++i) {
        std::uint32_t const difference = differences[i];
        auto bits = bits_of(differences[i]);
        auto rest = std::max(bits, std::uint32_t{3}) - 3;
        symbols[i] = static_cast<std::uint8_t>(4 * rest + (difference >> rest));
        // Where nothing counts there are zeros, which add nothing.
        sum += bits + leads[i];
    }
    auto const used = std::min(sizeof(Word), delta_planes_used(symbols));
    for (std::size_t k = 0; k < used; ++k) {
        for (std::size_t i = 0; i < kDeltaBlock; ++i) planes[k][i] = static_cast<std::uint8_t>(differences[i] >> 8 * k);
    }
    auto const count = static_cast<std::uint32_t>(block.elements);
    auto scale = static_cast<std::uint8_t>(std::min(std::uint32_t{255}, (sum + count / 2) / count));
    leads_of(scale, leads);
    return scale;
}

template <typename Word>
HOLDFAST_DELTA_INLINE void merge_block(DeltaBlock block, std::uint8_t const* __restrict symbols,
                                       DeltaPlanes const& __restrict planes, std::uint8_t* __restrict raw) {
    using Math = DeltaMath<Word>;
    auto const flip = Math::flip_of(block.shape);
    std::array<Word, kDeltaBlock> differences;
    for (std::size_t i = 0; i < kDeltaBlock; ++i) {
        std::uint32_t const symbol = symbols[i];
        auto rest = std::max(symbol >> 2, std::uint32_t{1}) - 1;
        differences[i] = static_cast<Word>((symbol - 4 * rest) << rest);
    }
    auto const used = std::min(sizeof(Word), delta_planes_used(symbols));
    for (std::size_t k = 0; k < used; ++k) {
        for (std::size_t i = 0; i < kDeltaBlock; ++i) {
            differences[i] = static_cast<Word>(differences[i] | static_cast<Word>(planes[k][i]) << 8 * k);
        }
    }
    for (std::size_t i = 0; i < kDeltaBlock; ++i) {
        auto x = Math::apply(differences[i], Math::load(block.base, i), flip);
        std::memcpy(raw + i * sizeof x, &x, sizeof x);
    }
}

// The class of each lead.
std::array<std::uint8_t, kDeltaLeads> class_of_lead(DeltaClasses const& classes) {
    std::array<std::uint8_t, kDeltaLeads> of_lead{};
    for (std::size_t i = 0; i < classes.count; ++i) {
        std::fill(of_lead.begin() + classes.first[i], of_lead.end(), static_cast<std::uint8_t>(i));
    }
    return of_lead;
}
void count_portable(std::uint8_t const* leads, std::size_t elements, DeltaClasses const& classes, DeltaSizes& sizes) {
    auto const of_lead = class_of_lead(classes);
    for (std::size_t i = 0; i < elements; ++i) ++sizes[of_lead[leads[i]]];
}
void deal_portable(std::uint8_t const* symbols, std::uint8_t const* leads, std::size_t elements,
                   DeltaClasses const& classes, DeltaEnds& ends) {
    auto const of_lead = class_of_lead(classes);
    for (std::size_t i = 0; i < elements; ++i) *ends[of_lead[leads[i]]]++ = symbols[i];
}
void take_portable(std::uint8_t const* leads, std::size_t elements, DeltaClasses const& classes, DeltaEnds& from,
                   std::uint8_t* symbols) {
    auto const of_lead = class_of_lead(classes);
    for (std::size_t i = 0; i < elements; ++i) symbols[i] = *from[of_lead[leads[i]]]++;
}

// Calls body(k, i) for each whole byte k of the rest of each element i of a group, in the order of the format.
template <typename Body>
void each_rest_byte(std::uint8_t const* symbols, std::size_t elements, std::size_t planes, Body const& body) {
    for (std::size_t k = 0; k < planes; ++k) {
        for (std::size_t i = 0; i < elements; ++i) {
            if (delta_rest_of(symbols[i]) / 8 > k) body(k, i);
        }
    }
}
// Calls body(bit, mask) for each of the bits that are left, the lowest first, with the elements that have it.
template <typename Body>
void each_rest_bit(std::uint8_t const* symbols, std::size_t elements, Body const& body) {
    std::uint64_t mask = elements >= kDeltaGroup ? ~std::uint64_t{0} : (std::uint64_t{1} << elements) - 1;
    for (unsigned bit = 0;; ++bit) {
        for (auto left = mask; left != 0; left &= left - 1) {
            auto i = std::countr_zero(left);
            if (delta_rest_of(symbols[i]) % 8 <= bit) mask &= ~(std::uint64_t{1} << i);
        }
        if (mask == 0) break;
        body(bit, mask);
    }
}
void write_rests_portable(std::uint8_t const* symbols, DeltaPlanes const& planes, std::size_t elements, DeltaRests& rests) {
    auto const used = delta_planes_used(symbols);
    for (std::size_t at = 0; at < elements; at += kDeltaGroup) {
        auto const* group = symbols + at;
        auto const size = std::min(kDeltaGroup, elements - at);
        each_rest_byte(group, size, used, [&](std::size_t k, std::size_t i) { *rests.bytes++ = planes[k][at + i]; });
        each_rest_bit(group, size, [&](unsigned bit, std::uint64_t mask) {
            std::uint64_t packed = 0;
            unsigned count = 0;
            for (auto left = mask; left != 0; left &= left - 1) {
                auto i = static_cast<std::size_t>(std::countr_zero(left));
                packed |= std::uint64_t(planes[delta_rest_of(group[i]) / 8][at + i] >> bit & 1) << count++;
            }
            append_delta_bits(rests.bits, packed, count);
        });
    }
}
void read_rests_portable(std::uint8_t const* symbols, std::size_t elements, DeltaRestPlaces& from, DeltaPlanes& planes) {
    auto const used = delta_planes_used(symbols);
    for (std::size_t k = 0; k < used; ++k) planes[k].fill(0);
    for (std::size_t at = 0; at < elements; at += kDeltaGroup) {
        auto const* group = symbols + at;
        auto const size = std::min(kDeltaGroup, elements - at);
        each_rest_byte(group, size, used, [&](std::size_t k, std::size_t i) { planes[k][at + i] = *from.bytes++; });
        each_rest_bit(group, size, [&](unsigned bit, std::uint64_t mask) {
            auto packed = next_delta_bits(from.bits, from.place);
            from.place += static_cast<std::size_t>(std::popcount(mask));
            for (auto left = mask; left != 0; left &= left - 1, packed >>= 1) {
                auto i = static_cast<std::size_t>(std::countr_zero(left));
                auto& byte = planes[delta_rest_of(group[i]) / 8][at + i];
                byte = static_cast<std::uint8_t>(byte | (packed & 1) << bit);
            }
        });
    }
}

template <typename Word>
std::uint8_t look_portable(DeltaBlock block, std::uint8_t const* raw, std::uint8_t* symbols, std::uint8_t* leads,
                           DeltaPlanes& planes) {
    return look_at_block<Word>(block, raw, symbols, leads, planes);
}
template <typename Word>
void expect_portable(DeltaBlock block, std::uint8_t scale, std::uint8_t* leads) { expect_block<Word>(block, scale, leads); }
template <typename Word>
void merge_portable(DeltaBlock block, std::uint8_t const* symbols, DeltaPlanes const& planes, std::uint8_t* raw) {
    merge_block<Word>(block, symbols, planes, raw);
}
template <typename Word>
DeltaKernel portable_delta_kernel() {
    return {look_portable<Word>, expect_portable<Word>, merge_portable<Word>, count_portable,
            deal_portable,       take_portable,         write_rests_portable, read_rests_portable};
}

#if defined(__x86_64__)
template <typename Word>
HOLDFAST_DELTA_AVX2 std::uint8_t look_avx2(DeltaBlock block, std::uint8_t const* raw, std::uint8_t* symbols,
                                           std::uint8_t* leads, DeltaPlanes& planes) {
    return look_at_block<Word>(block, raw, symbols, leads, planes);
}
template <typename Word>
HOLDFAST_DELTA_AVX2 void expect_avx2(DeltaBlock block, std::uint8_t scale, std::uint8_t* leads) {
    expect_block<Word>(block, scale, leads);
}
template <typename Word>
HOLDFAST_DELTA_AVX2 void merge_avx2(DeltaBlock block, std::uint8_t const* symbols, DeltaPlanes const& planes,
                                    std::uint8_t* raw) {
    merge_block<Word>(block, symbols, planes, raw);
}
template <typename Word>
DeltaKernel delta_kernel_avx2() {
    auto kernel = portable_delta_kernel<Word>();
    kernel.look = look_avx2<Word>, kernel.expect = expect_avx2<Word>;
    kernel.merge = merge_avx2<Word>;
    use_delta_kernel_avx2(kernel);
    return kernel;
}

template <typename Word>
HOLDFAST_DELTA_AVX512 std::uint8_t look_avx512(DeltaBlock block, std::uint8_t const* raw, std::uint8_t* symbols,
                                           std::uint8_t* leads, DeltaPlanes& planes) {
    return look_at_block<Word>(block, raw, symbols, leads, planes);
}
template <typename Word>
HOLDFAST_DELTA_AVX512 void expect_avx512(DeltaBlock block, std::uint8_t scale, std::uint8_t* leads) {
    expect_block<Word>(block, scale, leads);
}
template <typename Word>
HOLDFAST_DELTA_AVX512 void merge_avx512(DeltaBlock block, std::uint8_t const* symbols, DeltaPlanes const& planes,
                                        std::uint8_t* raw) {
    merge_block<Word>(block, symbols, planes, raw);
}
template <typename Word>
DeltaKernel delta_kernel_avx512() {
    auto kernel = delta_kernel_avx2<Word>();
    kernel.look = look_avx512<Word>, kernel.expect = expect_avx512<Word>;
    kernel.merge = merge_avx512<Word>;
    use_delta_kernel_avx512(kernel);
    return kernel;
}
#endif

template <typename Word>
DeltaKernel delta_kernel_of(Instructions instructions) {
    switch (instructions) {
        case Instructions::portable: break;
#if defined(__x86_64__)
        case Instructions::avx2: return delta_kernel_avx2<Word>();
        case Instructions::avx512: return delta_kernel_avx512<Word>();
#else
        default: break;
#endif
    }
    return portable_delta_kernel<Word>();
}

}  // namespace

DeltaKernel delta_kernel(std::size_t width, Instructions instructions) {
    assert(width <= kDeltaWidthMax && instructions <= best_instructions());
    switch (width) {
        case 1: return delta_kernel_of<std::uint8_t>(instructions);
        case 2: return delta_kernel_of<std::uint16_t>(instructions);
        default: return delta_kernel_of<std::uint32_t>(instructions);
    }
}

}  // namespace holdfast
