#include "formats/pg_page.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

namespace holdfast {
namespace {

constexpr std::size_t kLanes = 32;
constexpr std::uint32_t kFnvPrime = 16777619;
constexpr std::size_t kRows = kPgPageBytes / (kLanes * sizeof(std::uint32_t));
constexpr std::size_t kChecksumOffset = 8;

// One seed a column: "checksumBaseOffsets" of PostgreSQL's checksum_impl.h.
alignas(64) constexpr std::array<std::uint32_t, kLanes> kSeeds = {
    0x5B1F36E9, 0xB8525960, 0x02AB50AA, 0x1DE66D2A, 0x79FF467A, 0x9BB9F8A3, 0x217E7CD2, 0x83E13D2C,
    0xF8D4474F, 0xE39EB970, 0x42C6AE16, 0x993216FA, 0x7B093B5D, 0x98DAFF3C, 0xF718902A, 0x0B1C9CDB,
    0xE58F764B, 0x187636BC, 0x5D7B3BB1, 0xE73DE7DE, 0x92BEC979, 0xCCA6C0B2, 0x304A0979, 0x85AA43D4,
    0x783125BB, 0x6CA8EAA2, 0xE407EAC6, 0x4B5CFC3E, 0x9FBF8C76, 0x15CA20BE, 0xF2CA9FD3, 0x959BD756,
};

// Folds one page into one word. The lanes are one wide vector that the compiler maps to whatever
// registers the target has, at every optimisation level; always inlined, so that each caller below
// compiles it for its own target.
[[gnu::always_inline]] inline std::uint32_t fold_page(std::uint8_t const* page) {
    typedef std::uint32_t Lanes __attribute__((vector_size(kLanes * sizeof(std::uint32_t))));
    Lanes sums;
    std::memcpy(&sums, kSeeds.data(), sizeof sums);
    for (std::size_t row = 0; row < kRows; ++row) {
        Lanes words;
        std::memcpy(&words, page + row * sizeof words, sizeof words);
        if (row == 0) words[kChecksumOffset / 4] &= 0xffff0000;
        auto mixed = sums ^ words;
        sums = (mixed * kFnvPrime) ^ (mixed >> 17);
    }
    for (int round = 0; round < 2; ++round) sums = (sums * kFnvPrime) ^ (sums >> 17);
    std::uint32_t folded = 0;
    for (std::size_t lane = 0; lane < kLanes; ++lane) folded ^= sums[lane];
    return folded;
}

std::uint32_t fold_portable(std::uint8_t const* page) { return fold_page(page); }

#if defined(__x86_64__)
__attribute__((target("avx2"))) std::uint32_t fold_avx2(std::uint8_t const* page) {
    return fold_page(page);
}
__attribute__((target("avx512f,avx512dq"))) std::uint32_t fold_avx512(std::uint8_t const* page) {
    return fold_page(page);
}
#endif

using Fold = std::uint32_t (*)(std::uint8_t const*);
Fold best_fold() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return fold_avx512;
    if (__builtin_cpu_supports("avx2")) return fold_avx2;
#endif
    return fold_portable;
}

std::uint16_t reduce(std::uint32_t folded, std::uint32_t block) {
    return static_cast<std::uint16_t>((folded ^ block) % 65535 + 1);
}

template <typename T>
T read_field(ByteView page, std::size_t offset) {
    T value;
    std::memcpy(&value, page.data() + offset, sizeof value);
    return value;
}

bool header_is_sane(PgPageHeader const& header) {
    constexpr std::uint16_t kValidFlags = 0x0007;
    return (header.flags & ~kValidFlags) == 0 && header.lower <= header.upper &&
           header.upper <= header.special && header.special <= kPgPageBytes && header.special % 8 == 0;
}

}  // namespace

PgPageHeader read_pg_page_header(ByteView page) {
    assert(page.size() == kPgPageBytes);
    PgPageHeader header;
    // The position is two words, the high one first, each in the machine's byte order.
    header.lsn.value = std::uint64_t{read_field<std::uint32_t>(page, 0)} << 32 | read_field<std::uint32_t>(page, 4);
    header.checksum = read_field<std::uint16_t>(page, kChecksumOffset);
    header.flags = read_field<std::uint16_t>(page, 10);
    header.lower = read_field<std::uint16_t>(page, 12);
    header.upper = read_field<std::uint16_t>(page, 14);
    header.special = read_field<std::uint16_t>(page, 16);
    auto size_and_layout = read_field<std::uint16_t>(page, 18);
    header.page_size = size_and_layout & 0xff00;
    header.layout = static_cast<std::uint8_t>(size_and_layout & 0xff);
    return header;
}

std::uint16_t pg_page_checksum(ByteView page, std::uint32_t block) {
    assert(page.size() == kPgPageBytes);
    static Fold const fold = best_fold();
    return reduce(fold(page.data()), block);
}

std::uint16_t pg_page_checksum_portable(ByteView page, std::uint32_t block) {
    assert(page.size() == kPgPageBytes);
    return reduce(fold_portable(page.data()), block);
}

bool is_new_pg_page(ByteView page) {
    assert(page.size() == kPgPageBytes);
    return page[0] == 0 && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

std::string_view name(PgPageState state) {
    switch (state) {
        case PgPageState::sound: return "sound";
        case PgPageState::fresh: return "fresh";
        case PgPageState::bad_checksum: return "bad checksum";
        case PgPageState::bad_header: return "bad header";
    }
    return "bad header";
}

PgPageState check_pg_page(ByteView page, std::uint32_t block, PgPageCheckOptions options) {
    auto header = read_pg_page_header(page);
    // `upper` of 0 says "new" to PostgreSQL, which then skips the checksum; a wiped header over
    // leftover bytes must not pass for that.
    if (header.upper == 0) return is_new_pg_page(page) ? PgPageState::fresh : PgPageState::bad_header;
    if (options.checksums && pg_page_checksum(page, block) != header.checksum)
        return PgPageState::bad_checksum;
    return header_is_sane(header) ? PgPageState::sound : PgPageState::bad_header;
}

}  // namespace holdfast
