// What vectors do not do by themselves: sorting bytes apart by a mask, and packing bits. BMI2 has the bits, AVX-512
// (VBMI2, from Ice Lake and Zen 4 on) the bytes. What they compute is delta_kernels.cc, which the tests hold them
// against.
#include "codec/delta_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <algorithm>
#include <bit>

// g++ 12 takes the deliberately undefined operands of its own AVX-512 headers for a fault of ours.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define HOLDFAST_AVX2 [[gnu::target("avx2,bmi,bmi2,popcnt")]]
#define HOLDFAST_AVX512 [[gnu::target("avx512f,avx512bw,avx512vbmi2,bmi,bmi2,popcnt")]]

namespace holdfast {
namespace {

// The elements of a group that count.
std::uint64_t counting(std::size_t elements) {
    return elements >= kDeltaGroup ? ~std::uint64_t{0} : (std::uint64_t{1} << elements) - 1;
}

HOLDFAST_AVX2 inline __m256i load_half(std::uint8_t const* from) {
    return _mm256_loadu_si256(reinterpret_cast<__m256i_u const*>(from));
}
// The bits of a rest that each symbol has: symbol / 4 − 1, or none.
HOLDFAST_AVX2 inline __m256i rests_of(__m256i symbols) {
    auto quarter = _mm256_and_si256(_mm256_srli_epi16(symbols, 2), _mm256_set1_epi8(0x3f));
    return _mm256_subs_epu8(quarter, _mm256_set1_epi8(1));
}
HOLDFAST_AVX2 inline std::uint64_t mask_of(__m256i low, __m256i high) {
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(low)) |
           std::uint64_t{static_cast<std::uint32_t>(_mm256_movemask_epi8(high))} << 32;
}

// The rests of a group: in `low` and `high` how many bits each has.
struct RestHalves {
    __m256i low, high;

    HOLDFAST_AVX2 std::uint64_t above(unsigned bits) const {
        auto than = _mm256_set1_epi8(static_cast<char>(bits));
        return mask_of(_mm256_cmpgt_epi8(low, than), _mm256_cmpgt_epi8(high, than));
    }
    HOLDFAST_AVX2 RestHalves left_over() const {
        auto seven = _mm256_set1_epi8(7);
        return {_mm256_and_si256(low, seven), _mm256_and_si256(high, seven)};
    }
};
HOLDFAST_AVX2 inline RestHalves rest_halves(std::uint8_t const* symbols) {
    return {rests_of(load_half(symbols)), rests_of(load_half(symbols + 32))};
}
// Bytes of `from` whose bit of the mask is set, one behind the other; and apart again.
inline std::uint8_t* pack_bytes(std::uint8_t const* from, std::uint64_t mask, std::uint8_t* to) {
    if (mask == ~std::uint64_t{0}) return std::copy_n(from, kDeltaGroup, to);
    for (; mask != 0; mask &= mask - 1) *to++ = from[std::countr_zero(mask)];
    return to;
}
inline std::uint8_t const* unpack_bytes(std::uint8_t const* from, std::uint64_t mask, std::uint8_t* to) {
    if (mask == ~std::uint64_t{0}) {
        std::copy_n(from, kDeltaGroup, to);
        return from + kDeltaGroup;
    }
    for (; mask != 0; mask &= mask - 1) to[std::countr_zero(mask)] = *from++;
    return from;
}
// For each element of a half, the byte of its plane that has the bits which are left.
HOLDFAST_AVX2 inline __m256i partial_bytes(DeltaPlanes const& planes, std::size_t used, std::size_t at, __m256i rests) {
    auto bytes = load_half(planes[0].data() + at);
    for (std::size_t k = 1; k < used; ++k) {
        auto in_k = _mm256_cmpgt_epi8(rests, _mm256_set1_epi8(static_cast<char>(8 * k - 1)));
        bytes = _mm256_blendv_epi8(bytes, load_half(planes[k].data() + at), in_k);
    }
    return bytes;
}

HOLDFAST_AVX2 void write_rests_avx2(std::uint8_t const* symbols, DeltaPlanes const& planes, std::size_t elements,
                                    DeltaRests& to) {
    auto rests = to;
    auto const used = delta_planes_used(symbols);
    for (std::size_t at = 0; at < elements && used > 0; at += kDeltaGroup) {
        auto const halves = rest_halves(symbols + at);
        auto const counts = counting(elements - at);
        for (unsigned k = 0; k < used; ++k) {
            auto mask = halves.above(8 * k + 7) & counts;
            if (mask == 0) break;
            rests.bytes = pack_bytes(planes[k].data() + at, mask, rests.bytes);
        }
        auto const left = halves.left_over();
        auto const low = partial_bytes(planes, used, at, halves.low);
        auto const high = partial_bytes(planes, used, at + 32, halves.high);
        for (unsigned bit = 0;; ++bit) {
            auto mask = left.above(bit) & counts;
            if (mask == 0) break;
            // The bit becomes the highest of its byte, and is taken from there.
            auto by = _mm_cvtsi32_si128(static_cast<int>(7 - bit));
            auto all = mask_of(_mm256_sll_epi16(low, by), _mm256_sll_epi16(high, by));
            append_delta_bits(rests.bits, _pext_u64(all, mask), static_cast<unsigned>(std::popcount(mask)));
        }
    }
    to = rests;
}

HOLDFAST_AVX2 void read_rests_avx2(std::uint8_t const* symbols, std::size_t elements, DeltaRestPlaces& places,
                                   DeltaPlanes& planes) {
    auto const used = delta_planes_used(symbols);
    for (std::size_t k = 0; k < used; ++k) planes[k].fill(0);
    // Byte i of a half gets byte i / 8 of 32 bits, and looks at bit i % 8 of it.
    auto const spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1,  //
                                         2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    auto const which = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
    auto from = places;
    for (std::size_t at = 0; at < elements && used > 0; at += kDeltaGroup) {
        auto const halves = rest_halves(symbols + at);
        auto const counts = counting(elements - at);
        for (unsigned k = 0; k < used; ++k) {
            auto mask = halves.above(8 * k + 7) & counts;
            if (mask == 0) break;
            from.bytes = unpack_bytes(from.bytes, mask, planes[k].data() + at);
        }
        auto const left = halves.left_over();
        __m256i partial[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (unsigned bit = 0;; ++bit) {
            auto mask = left.above(bit) & counts;
            if (mask == 0) break;
            auto all = _pdep_u64(next_delta_bits(from.bits, from.place), mask);
            from.place += static_cast<std::size_t>(std::popcount(mask));
            auto value = _mm256_set1_epi8(static_cast<char>(1 << bit));
            for (unsigned half = 0; half < 2; ++half) {
                auto bits = _mm256_shuffle_epi8(_mm256_set1_epi32(static_cast<int>(all >> half * 32)), spread);
                auto set = _mm256_cmpeq_epi8(_mm256_and_si256(bits, which), which);
                partial[half] = _mm256_or_si256(partial[half], _mm256_and_si256(set, value));
            }
        }
        for (unsigned half = 0; half < 2; ++half) {
            auto plane_of = _mm256_and_si256(_mm256_srli_epi16(half == 0 ? halves.low : halves.high, 3), _mm256_set1_epi8(31));
            for (std::size_t k = 0; k < used; ++k) {
                auto* to = reinterpret_cast<__m256i_u*>(planes[k].data() + at + half * 32);
                auto here = _mm256_cmpeq_epi8(plane_of, _mm256_set1_epi8(static_cast<char>(k)));
                _mm256_storeu_si256(to, _mm256_or_si256(_mm256_loadu_si256(to), _mm256_and_si256(here, partial[half])));
            }
        }
    }
    places = from;
}

HOLDFAST_AVX512 inline __m512i load_group(std::uint8_t const* from) { return _mm512_loadu_si512(from); }

constexpr std::size_t kGroups = kDeltaBlock / kDeltaGroup;
// Of each group of a block, the elements that count and are in no class yet.
using GroupMasks = std::array<std::uint64_t, kGroups>;
GroupMasks counting_in_groups(std::size_t elements) {
    GroupMasks masks;
    for (std::size_t i = 0; i < kGroups; ++i) {
        masks[i] = elements > i * kDeltaGroup ? counting(elements - i * kDeltaGroup) : 0;
    }
    return masks;
}
// Those of a group that are in a class before the one that begins with `next`. They are taken away from `left`.
HOLDFAST_AVX512 inline std::uint64_t take_class(std::uint8_t const* leads, __m512i next, std::uint64_t& left) {
    auto mask = left & _mm512_cmplt_epu8_mask(load_group(leads), next);
    left &= ~mask;
    return mask;
}

HOLDFAST_AVX512 void count_avx512(std::uint8_t const* leads, std::size_t elements, DeltaClasses const& classes,
                                  DeltaSizes& sizes) {
    auto left = counting_in_groups(elements);
    for (std::size_t i = 0; i < classes.count; ++i) {
        auto next = _mm512_set1_epi8(static_cast<char>(classes.first[i + 1]));
        int size = 0;
        for (std::size_t k = 0; k < kGroups; ++k) size += std::popcount(take_class(leads + k * kDeltaGroup, next, left[k]));
        sizes[i] += static_cast<std::size_t>(size);
    }
}
HOLDFAST_AVX512 void deal_avx512(std::uint8_t const* symbols, std::uint8_t const* leads, std::size_t elements,
                                 DeltaClasses const& classes, DeltaEnds& ends) {
    auto left = counting_in_groups(elements);
    for (std::size_t i = 0; i < classes.count; ++i) {
        auto next = _mm512_set1_epi8(static_cast<char>(classes.first[i + 1]));
        auto* end = ends[i];
        for (std::size_t k = 0; k < kGroups; ++k) {
            auto mask = take_class(leads + k * kDeltaGroup, next, left[k]);
            _mm512_storeu_si512(end, _mm512_maskz_compress_epi8(mask, load_group(symbols + k * kDeltaGroup)));
            end += std::popcount(mask);
        }
        ends[i] = end;
    }
}
HOLDFAST_AVX512 void take_avx512(std::uint8_t const* leads, std::size_t elements, DeltaClasses const& classes,
                                 DeltaEnds& from, std::uint8_t* symbols) {
    auto left = counting_in_groups(elements);
    __m512i groups[kGroups];
    for (auto& group : groups) group = _mm512_setzero_si512();
    for (std::size_t i = 0; i < classes.count; ++i) {
        auto next = _mm512_set1_epi8(static_cast<char>(classes.first[i + 1]));
        auto* at = from[i];
        for (std::size_t k = 0; k < kGroups; ++k) {
            auto mask = take_class(leads + k * kDeltaGroup, next, left[k]);
            groups[k] = _mm512_mask_expand_epi8(groups[k], mask, load_group(at));
            at += std::popcount(mask);
        }
        from[i] = at;
    }
    for (std::size_t k = 0; k < kGroups; ++k) _mm512_storeu_si512(symbols + k * kDeltaGroup, groups[k]);
}

HOLDFAST_AVX512 inline __m512i rests_of_group(std::uint8_t const* symbols) {
    auto quarter = _mm512_and_si512(_mm512_srli_epi16(load_group(symbols), 2), _mm512_set1_epi8(0x3f));
    return _mm512_subs_epu8(quarter, _mm512_set1_epi8(1));
}
HOLDFAST_AVX512 inline std::uint64_t above_in_group(__m512i rests, unsigned bits) {
    return _mm512_cmpgt_epu8_mask(rests, _mm512_set1_epi8(static_cast<char>(bits)));
}
HOLDFAST_AVX512 void write_rests_avx512(std::uint8_t const* symbols, DeltaPlanes const& planes, std::size_t elements,
                                        DeltaRests& to) {
    auto rests = to;
    auto const used = delta_planes_used(symbols);
    for (std::size_t at = 0; at < elements && used > 0; at += kDeltaGroup) {
        auto const of = rests_of_group(symbols + at);
        auto const counts = counting(elements - at);
        auto partial = load_group(planes[0].data() + at);
        for (unsigned k = 0; k < used; ++k) {
            auto plane = load_group(planes[k].data() + at);
            auto mask = above_in_group(of, 8 * k + 7) & counts;
            _mm512_storeu_si512(rests.bytes, _mm512_maskz_compress_epi8(mask, plane));
            rests.bytes += std::popcount(mask);
            if (k > 0) partial = _mm512_mask_mov_epi8(partial, above_in_group(of, 8 * k - 1), plane);
        }
        auto const left = _mm512_and_si512(of, _mm512_set1_epi8(7));
        for (unsigned bit = 0;; ++bit) {
            auto mask = above_in_group(left, bit) & counts;
            if (mask == 0) break;
            auto all = _mm512_test_epi8_mask(partial, _mm512_set1_epi8(static_cast<char>(1 << bit)));
            append_delta_bits(rests.bits, _pext_u64(all, mask), static_cast<unsigned>(std::popcount(mask)));
        }
    }
    to = rests;
}
HOLDFAST_AVX512 void read_rests_avx512(std::uint8_t const* symbols, std::size_t elements, DeltaRestPlaces& places,
                                       DeltaPlanes& planes) {
    auto from = places;
    auto const used = delta_planes_used(symbols);
    for (std::size_t at = 0; at < elements && used > 0; at += kDeltaGroup) {
        auto const of = rests_of_group(symbols + at);
        auto const counts = counting(elements - at);
        auto const left = _mm512_and_si512(of, _mm512_set1_epi8(7));
        auto partial = _mm512_setzero_si512();
        for (unsigned bit = 0;; ++bit) {
            auto mask = above_in_group(left, bit) & counts;
            if (mask == 0) break;
            auto all = _pdep_u64(next_delta_bits(from.bits, from.place), mask);
            from.place += static_cast<std::size_t>(std::popcount(mask));
            // No byte has this bit yet.
            partial = _mm512_mask_add_epi8(partial, all, partial, _mm512_set1_epi8(static_cast<char>(1 << bit)));
        }
        auto in_plane = ~std::uint64_t{0};
        for (unsigned k = 0; k < used; ++k) {
            auto mask = above_in_group(of, 8 * k + 7) & counts;
            auto plane = _mm512_mask_expand_epi8(_mm512_maskz_mov_epi8(in_plane & ~mask, partial), mask, load_group(from.bytes));
            _mm512_storeu_si512(planes[k].data() + at, plane);
            from.bytes += std::popcount(mask);
            in_plane = mask;
        }
    }
    places = from;
}

}  // namespace

void use_delta_kernel_avx2(DeltaKernel& kernel) {
    kernel.write_rests = write_rests_avx2;
    kernel.read_rests = read_rests_avx2;
}

void use_delta_kernel_avx512(DeltaKernel& kernel) {
    if (!__builtin_cpu_supports("avx512vbmi2")) return;
    kernel.count = count_avx512;
    kernel.deal = deal_avx512;
    kernel.take = take_avx512;
    kernel.write_rests = write_rests_avx512;
    kernel.read_rests = read_rests_avx512;
}

}  // namespace holdfast

#endif
