#include "repo/gear_scan.h"

#include <algorithm>
#include <chrono>

#if defined(__x86_64__)
// g++ 12 takes what its own headers leave undefined on purpose for a mistake of ours.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#endif

namespace holdfast {

bool find_cut(GearTable const& gear, std::uint8_t const* bytes, std::size_t until, std::uint64_t mask, GearPosition& position) {
    auto [at, hash] = position;
    // Four at a time, each from the hash before them all: the additions do not wait for each other.
    for (; at + 4 <= until; at += 4) {
        auto a = gear[bytes[at]];
        auto b = (a << 1) + gear[bytes[at + 1]];
        auto c = (b << 1) + gear[bytes[at + 2]];
        auto d = (c << 1) + gear[bytes[at + 3]];
        a += hash << 1, b += hash << 2, c += hash << 3, d += hash << 4;
        if (std::min(std::min(a, b), std::min(c, d)) <= ~mask) break;
        hash = d;
    }
    bool found = false;
    while (at < until && !found) {
        hash = (hash << 1) + gear[bytes[at++]];
        found = (hash & mask) == 0;
    }
    position = {at, hash};
    return found;
}

#if defined(__x86_64__)
namespace {

// Bytes that each of the eight looks at, from its own place on.
constexpr std::size_t kStride = 2048;
constexpr std::size_t kStep = 8 * kStride;
constexpr std::size_t kWindow = 64;

#define HOLDFAST_GEAR_AVX512 [[gnu::target("avx512f,avx512bw,avx512dq")]]

// Eight bytes further in each lane; the lanes whose masked bits were zero on the way.
HOLDFAST_GEAR_AVX512 inline __mmask8 advance(GearTable const& gear, std::uint8_t const* at, __m512i places, __m512i mask,
                                             __m512i& hash) {
    auto const low = _mm512_set1_epi64(0xff);
    auto words = _mm512_i64gather_epi64(places, at, 1);
    __mmask8 zero = 0;
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
        auto added = _mm512_i64gather_epi64(_mm512_and_si512(words, low), gear.data(), 8);
        hash = _mm512_add_epi64(_mm512_add_epi64(hash, hash), added);
        zero |= _mm512_testn_epi64_mask(hash, mask);
        words = _mm512_srli_epi64(words, 8);
    }
    return zero;
}

HOLDFAST_GEAR_AVX512 void pass_avx512(GearTable const& gear, std::uint8_t const* bytes, std::size_t until,
                                      std::uint64_t mask, GearPosition& position) {
    auto const places = _mm512_set_epi64(7 * kStride, 6 * kStride, 5 * kStride, 4 * kStride, 3 * kStride, 2 * kStride, kStride, 0);
    auto const masks = _mm512_set1_epi64(static_cast<long long>(mask));
    for (; position.at + kStep <= until; position.at += kStep) {
        auto const* begin = bytes + position.at;
        // What came before its place decides the hash of each lane, except the first: that goes on with what there is.
        auto hash = _mm512_setzero_si512();
        for (std::size_t i = 0; i < kWindow; i += 8) advance(gear, begin - kWindow + i, places, masks, hash);
        hash = _mm512_mask_set1_epi64(hash, 1, static_cast<long long>(position.hash));
        __mmask8 zero = 0;
        for (std::size_t i = 0; i < kStride && zero == 0; i += 8) zero = advance(gear, begin + i, places, masks, hash);
        if (zero != 0) return;
        position.hash = static_cast<std::uint64_t>(_mm512_reduce_or_epi64(_mm512_maskz_mov_epi64(0x80, hash)));
    }
}

// Nanoseconds of the quickest of some calls.
template <typename Call>
std::int64_t quickest(Call const& call) {
    auto best = std::chrono::nanoseconds::max();
    for (int i = 0; i < 5; ++i) {
        auto const begin = std::chrono::steady_clock::now();
        call();
        best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - begin);
    }
    return best.count();
}

}  // namespace

GearPass gear_pass_avx512() {
    auto const has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
    return has ? pass_avx512 : nullptr;
}

GearPass best_gear_pass() {
    static GearPass const best = []() -> GearPass {
        auto const pass = gear_pass_avx512();
        if (pass == nullptr) return nullptr;
        GearTable gear;
        std::uint64_t value = 1;
        for (auto& one : gear) one = value = value * 6364136223846793005u + 1442695040888963407u;
        Bytes bytes(kWindow + 2 * kStep);
        for (auto& one : bytes) one = static_cast<std::uint8_t>((value = value * 6364136223846793005u + 1) >> 56);
        constexpr std::uint64_t kNever = ~0ull;
        GearPosition wide_end, narrow_end;
        auto wide = quickest([&] {
            wide_end = {.at = kWindow, .hash = 1};
            pass(gear, bytes.data(), bytes.size(), kNever, wide_end);
        });
        auto narrow = quickest([&] {
            narrow_end = {.at = kWindow, .hash = 1};
            find_cut(gear, bytes.data(), bytes.size(), kNever, narrow_end);
        });
        return wide_end.hash == narrow_end.hash && wide < narrow ? pass : nullptr;
    }();
    return best;
}
#else
GearPass gear_pass_avx512() { return nullptr; }
GearPass best_gear_pass() { return nullptr; }
#endif

}  // namespace holdfast
