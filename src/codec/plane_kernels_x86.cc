// The kernels for AVX2 and AVX-512 (F, BW). Each function states its instructions; who calls it has asked
// the processor. What they compute is plane_kernels.cc, which the tests hold them against.
#include "codec/plane_kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

// g++ 12 takes the deliberately undefined operands of its own AVX-512 headers for a fault of ours.
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define HOLDFAST_AVX2 [[gnu::target("avx2")]]
#define HOLDFAST_AVX512 [[gnu::target("avx512f,avx512bw")]]

namespace holdfast {
namespace {

HOLDFAST_AVX2 inline __m256i load256(std::uint8_t const* from) {
    return _mm256_loadu_si256(reinterpret_cast<__m256i_u const*>(from));
}
HOLDFAST_AVX2 inline void store256(std::uint8_t* to, __m256i value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(to), value);
}

template <Transform transform>
HOLDFAST_AVX2 inline __m256i forward8(__m256i x) {
    if constexpr (transform == Transform::none) return x;
    auto doubled = _mm256_add_epi8(x, x);
    auto negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), x);
    if constexpr (transform == Transform::zigzag) return _mm256_xor_si256(doubled, negative);
    return _mm256_sub_epi8(doubled, negative);
}
template <Transform transform>
HOLDFAST_AVX2 inline __m256i backward8(__m256i x) {
    if constexpr (transform == Transform::none) return x;
    auto half = _mm256_and_si256(_mm256_srli_epi16(x, 1), _mm256_set1_epi8(0x7f));
    auto low = _mm256_and_si256(x, _mm256_set1_epi8(1));
    if constexpr (transform == Transform::zigzag) {
        return _mm256_xor_si256(half, _mm256_sub_epi8(_mm256_setzero_si256(), low));
    }
    return _mm256_or_si256(half, _mm256_slli_epi16(low, 7));
}
template <Transform transform>
HOLDFAST_AVX2 inline __m256i forward16(__m256i x) {
    if constexpr (transform == Transform::none) return x;
    if constexpr (transform == Transform::zigzag) {
        return _mm256_xor_si256(_mm256_slli_epi16(x, 1), _mm256_srai_epi16(x, 15));
    }
    return _mm256_or_si256(_mm256_slli_epi16(x, 1), _mm256_srli_epi16(x, 15));
}
template <Transform transform>
HOLDFAST_AVX2 inline __m256i backward16(__m256i x) {
    if constexpr (transform == Transform::none) return x;
    if constexpr (transform == Transform::zigzag) {
        auto sign = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_and_si256(x, _mm256_set1_epi16(1)));
        return _mm256_xor_si256(_mm256_srli_epi16(x, 1), sign);
    }
    return _mm256_or_si256(_mm256_srli_epi16(x, 1), _mm256_slli_epi16(x, 15));
}
template <Transform transform>
HOLDFAST_AVX2 inline __m256i forward32(__m256i x) {
    if constexpr (transform == Transform::none) return x;
    if constexpr (transform == Transform::zigzag) {
        return _mm256_xor_si256(_mm256_slli_epi32(x, 1), _mm256_srai_epi32(x, 31));
    }
    return _mm256_or_si256(_mm256_slli_epi32(x, 1), _mm256_srli_epi32(x, 31));
}
template <Transform transform>
HOLDFAST_AVX2 inline __m256i backward32(__m256i x) {
    if constexpr (transform == Transform::none) return x;
    if constexpr (transform == Transform::zigzag) {
        auto sign = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_and_si256(x, _mm256_set1_epi32(1)));
        return _mm256_xor_si256(_mm256_srli_epi32(x, 1), sign);
    }
    return _mm256_or_si256(_mm256_srli_epi32(x, 1), _mm256_slli_epi32(x, 31));
}

template <Transform transform>
HOLDFAST_AVX2 void split1(std::uint8_t const* source, std::uint8_t* const* planes) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        store256(planes[0] + i, forward8<transform>(load256(source + i)));
    }
}
template <Transform transform>
HOLDFAST_AVX2 void merge1(std::uint8_t const* const* planes, std::uint8_t* target) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        store256(target + i, backward8<transform>(load256(planes[0] + i)));
    }
}

template <Transform transform>
HOLDFAST_AVX2 void split2(std::uint8_t const* source, std::uint8_t* const* planes) {
    auto const low = _mm256_set1_epi16(0xff);
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        auto a = forward16<transform>(load256(source + 2 * i));
        auto b = forward16<transform>(load256(source + 2 * i + 32));
        // Packing interleaves the 128-bit lanes; the permutation undoes it.
        auto lows = _mm256_packus_epi16(_mm256_and_si256(a, low), _mm256_and_si256(b, low));
        auto highs = _mm256_packus_epi16(_mm256_srli_epi16(a, 8), _mm256_srli_epi16(b, 8));
        store256(planes[0] + i, _mm256_permute4x64_epi64(lows, 0xd8));
        store256(planes[1] + i, _mm256_permute4x64_epi64(highs, 0xd8));
    }
}
template <Transform transform>
HOLDFAST_AVX2 void merge2(std::uint8_t const* const* planes, std::uint8_t* target) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        auto lows = _mm256_permute4x64_epi64(load256(planes[0] + i), 0xd8);
        auto highs = _mm256_permute4x64_epi64(load256(planes[1] + i), 0xd8);
        store256(target + 2 * i, backward16<transform>(_mm256_unpacklo_epi8(lows, highs)));
        store256(target + 2 * i + 32, backward16<transform>(_mm256_unpackhi_epi8(lows, highs)));
    }
}

// Eight elements: the four bytes of plane 0 … 3 of each half lie together afterwards, then of both.
template <Transform transform>
HOLDFAST_AVX2 inline __m256i gather_bytes(__m256i x) {
    auto const within = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,  //
                                         0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    auto const across = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    return _mm256_permutevar8x32_epi32(_mm256_shuffle_epi8(forward32<transform>(x), within), across);
}
template <Transform transform>
HOLDFAST_AVX2 void split4(std::uint8_t const* source, std::uint8_t* const* planes) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        auto a = gather_bytes<transform>(load256(source + 4 * i));
        auto b = gather_bytes<transform>(load256(source + 4 * i + 32));
        auto c = gather_bytes<transform>(load256(source + 4 * i + 64));
        auto d = gather_bytes<transform>(load256(source + 4 * i + 96));
        auto ab02 = _mm256_unpacklo_epi64(a, b), ab13 = _mm256_unpackhi_epi64(a, b);
        auto cd02 = _mm256_unpacklo_epi64(c, d), cd13 = _mm256_unpackhi_epi64(c, d);
        store256(planes[0] + i, _mm256_permute2x128_si256(ab02, cd02, 0x20));
        store256(planes[1] + i, _mm256_permute2x128_si256(ab13, cd13, 0x20));
        store256(planes[2] + i, _mm256_permute2x128_si256(ab02, cd02, 0x31));
        store256(planes[3] + i, _mm256_permute2x128_si256(ab13, cd13, 0x31));
    }
}
template <Transform transform>
HOLDFAST_AVX2 void merge4(std::uint8_t const* const* planes, std::uint8_t* target) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        auto p0 = load256(planes[0] + i), p1 = load256(planes[1] + i);
        auto p2 = load256(planes[2] + i), p3 = load256(planes[3] + i);
        auto low01 = _mm256_unpacklo_epi8(p0, p1), high01 = _mm256_unpackhi_epi8(p0, p1);
        auto low23 = _mm256_unpacklo_epi8(p2, p3), high23 = _mm256_unpackhi_epi8(p2, p3);
        // Elements 0-3 and 16-19, 4-7 and 20-23, 8-11 and 24-27, 12-15 and 28-31.
        auto a = backward32<transform>(_mm256_unpacklo_epi16(low01, low23));
        auto b = backward32<transform>(_mm256_unpackhi_epi16(low01, low23));
        auto c = backward32<transform>(_mm256_unpacklo_epi16(high01, high23));
        auto d = backward32<transform>(_mm256_unpackhi_epi16(high01, high23));
        store256(target + 4 * i, _mm256_permute2x128_si256(a, b, 0x20));
        store256(target + 4 * i + 32, _mm256_permute2x128_si256(c, d, 0x20));
        store256(target + 4 * i + 64, _mm256_permute2x128_si256(a, b, 0x31));
        store256(target + 4 * i + 96, _mm256_permute2x128_si256(c, d, 0x31));
    }
}

HOLDFAST_AVX2 std::uint32_t sum_avx2(std::uint8_t const* plane) {
    auto const zero = _mm256_setzero_si256();
    auto total = zero;
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        total = _mm256_add_epi64(total, _mm256_sad_epu8(load256(plane + i), zero));
    }
    auto half = _mm_add_epi64(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    return static_cast<std::uint32_t>(_mm_cvtsi128_si32(half) + _mm_extract_epi32(half, 2));
}

template <Transform transform>
HOLDFAST_AVX512 void split2_avx512(std::uint8_t const* source, std::uint8_t* const* planes) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        auto x = _mm512_loadu_si512(source + 2 * i);
        if constexpr (transform == Transform::rotate) {
            x = _mm512_or_si512(_mm512_slli_epi16(x, 1), _mm512_srli_epi16(x, 15));
        } else if constexpr (transform == Transform::zigzag) {
            x = _mm512_xor_si512(_mm512_slli_epi16(x, 1), _mm512_srai_epi16(x, 15));
        }
        _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(planes[0] + i), _mm512_cvtepi16_epi8(x));
        _mm256_storeu_si256(reinterpret_cast<__m256i_u*>(planes[1] + i),
                            _mm512_cvtepi16_epi8(_mm512_srli_epi16(x, 8)));
    }
}
template <Transform transform>
HOLDFAST_AVX512 void merge2_avx512(std::uint8_t const* const* planes, std::uint8_t* target) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 32) {
        auto low = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<__m256i_u const*>(planes[0] + i)));
        auto high = _mm512_cvtepu8_epi16(_mm256_loadu_si256(reinterpret_cast<__m256i_u const*>(planes[1] + i)));
        auto x = _mm512_or_si512(low, _mm512_slli_epi16(high, 8));
        if constexpr (transform == Transform::rotate) {
            x = _mm512_or_si512(_mm512_srli_epi16(x, 1), _mm512_slli_epi16(x, 15));
        } else if constexpr (transform == Transform::zigzag) {
            auto sign = _mm512_sub_epi16(_mm512_setzero_si512(), _mm512_and_si512(x, _mm512_set1_epi16(1)));
            x = _mm512_xor_si512(_mm512_srli_epi16(x, 1), sign);
        }
        _mm512_storeu_si512(target + 2 * i, x);
    }
}

// The low bytes of 16 elements, and back.
HOLDFAST_AVX512 inline void narrow32(std::uint8_t* to, __m512i x) {
    _mm_storeu_si128(reinterpret_cast<__m128i_u*>(to), _mm512_cvtepi32_epi8(x));
}
HOLDFAST_AVX512 inline __m512i widen32(std::uint8_t const* from) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<__m128i_u const*>(from)));
}

template <Transform transform>
HOLDFAST_AVX512 void split4_avx512(std::uint8_t const* source, std::uint8_t* const* planes) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 16) {
        auto x = _mm512_loadu_si512(source + 4 * i);
        if constexpr (transform == Transform::rotate) {
            x = _mm512_rol_epi32(x, 1);
        } else if constexpr (transform == Transform::zigzag) {
            x = _mm512_xor_si512(_mm512_slli_epi32(x, 1), _mm512_srai_epi32(x, 31));
        }
        narrow32(planes[0] + i, x);
        narrow32(planes[1] + i, _mm512_srli_epi32(x, 8));
        narrow32(planes[2] + i, _mm512_srli_epi32(x, 16));
        narrow32(planes[3] + i, _mm512_srli_epi32(x, 24));
    }
}
template <Transform transform>
HOLDFAST_AVX512 void merge4_avx512(std::uint8_t const* const* planes, std::uint8_t* target) {
    for (std::size_t i = 0; i < kPlaneBlock; i += 16) {
        auto x = _mm512_or_si512(
            _mm512_or_si512(widen32(planes[0] + i), _mm512_slli_epi32(widen32(planes[1] + i), 8)),
            _mm512_or_si512(_mm512_slli_epi32(widen32(planes[2] + i), 16),
                            _mm512_slli_epi32(widen32(planes[3] + i), 24)));
        if constexpr (transform == Transform::rotate) {
            x = _mm512_ror_epi32(x, 1);
        } else if constexpr (transform == Transform::zigzag) {
            auto sign = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_and_si512(x, _mm512_set1_epi32(1)));
            x = _mm512_xor_si512(_mm512_srli_epi32(x, 1), sign);
        }
        _mm512_storeu_si512(target + 4 * i, x);
    }
}

template <Transform transform>
PlaneKernel avx2(std::size_t width, PlaneKernel portable) {
    switch (width) {
        case 1: return {split1<transform>, merge1<transform>, sum_avx2};
        case 2: return {split2<transform>, merge2<transform>, sum_avx2};
        case 4: return {split4<transform>, merge4<transform>, sum_avx2};
        default: return {portable.split, portable.merge, sum_avx2};
    }
}
template <Transform transform>
PlaneKernel avx512(std::size_t width, PlaneKernel lesser) {
    switch (width) {
        case 2: return {split2_avx512<transform>, merge2_avx512<transform>, sum_avx2};
        case 4: return {split4_avx512<transform>, merge4_avx512<transform>, sum_avx2};
        default: return lesser;
    }
}

}  // namespace

PlaneKernel plane_kernel_avx2(ElementForm form, PlaneKernel portable) {
    switch (form.transform) {
        case Transform::rotate: return avx2<Transform::rotate>(form.width, portable);
        case Transform::zigzag: return avx2<Transform::zigzag>(form.width, portable);
        case Transform::none: break;
    }
    return avx2<Transform::none>(form.width, portable);
}

PlaneKernel plane_kernel_avx512(ElementForm form, PlaneKernel portable) {
    auto lesser = plane_kernel_avx2(form, portable);
    switch (form.transform) {
        case Transform::rotate: return avx512<Transform::rotate>(form.width, lesser);
        case Transform::zigzag: return avx512<Transform::zigzag>(form.width, lesser);
        case Transform::none: break;
    }
    return avx512<Transform::none>(form.width, lesser);
}

}  // namespace holdfast

#endif
