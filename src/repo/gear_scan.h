#pragma once

#include "base/bytes.h"
#include "repo/chunker.h"

namespace holdfast {

// A rolling hash on its way: it covers the bytes before `at`. Each byte shifts it left by one and adds its value of the table,
// so after 64 bytes nothing of what came before is left in it.
struct GearPosition {
    std::size_t at = 0;
    std::uint64_t hash = 0;
};

// Moves on byte by byte, to `until` at most; true behind the first byte where the masked bits of the hash, which are its highest,
// are zero.
bool find_cut(GearTable const& gear, std::uint8_t const* bytes, std::size_t until, std::uint64_t mask, GearPosition& position);

// Moves on through `bytes` up to `until` at most, past bytes behind none of which the masked bits of the hash are zero. The
// 64 bytes before `at` are there. Where it stops need not be where that ends: the rest is for find_cut().
using GearPass = void (*)(GearTable const& gear, std::uint8_t const* bytes, std::size_t until, std::uint64_t mask,
                          GearPosition& position);

// With AVX-512: eight places of the stream at a time. Null without.
GearPass gear_pass_avx512();
// What is worth calling here; null when looking at each byte is as fast. It is found out by measuring, once (some 100 us):
// whether gathering from memory is quick is no question of the instruction set.
GearPass best_gear_pass();

}  // namespace holdfast
