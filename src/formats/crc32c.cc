#include "formats/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

#include "formats/crc_tables.h"

namespace holdfast {
namespace {

constexpr CrcTables kTables32c = crc_tables(0x82f63b78u);

std::uint32_t update_portable(std::uint32_t crc, ByteView bytes) {
    while (bytes.size() >= 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data(), sizeof word);
        word ^= crc;
        crc = 0;
        for (std::size_t i = 0; i < 8; ++i) crc ^= kTables32c[7 - i][(word >> (8 * i)) & 0xff];
        bytes = bytes.subspan(8);
    }
    for (auto byte : bytes) crc = (crc >> 8) ^ kTables32c[0][(crc ^ byte) & 0xff];
    return crc;
}

#if defined(__x86_64__)
// The instruction takes three cycles and one can begin in each: three lanes of bytes are summed side by side, and
// the sums joined. A lane's sum is moved over the bytes of the next by multiplying it with x^(8 * bytes), modulo the
// polynomial (Adler, crc32c.c; the arithmetic is zlib's crc32_combine()).
constexpr std::size_t kLaneBytes = 1024;

constexpr std::uint32_t multiply(std::uint32_t a, std::uint32_t b) {
    std::uint32_t product = 0;
    for (std::uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
        if (a & bit) product ^= b;
        b = b & 1 ? (b >> 1) ^ 0x82f63b78u : b >> 1;
    }
    return product;
}

using ShiftTables = std::array<std::array<std::uint32_t, 256>, 4>;
constexpr ShiftTables shift_tables() {
    std::uint32_t power = 1u << 30;  // x^1; the bits are reflected
    for (std::size_t bits = 1; bits < 8 * kLaneBytes; bits *= 2) power = multiply(power, power);
    ShiftTables tables{};
    for (std::size_t i = 0; i < tables.size(); ++i)
        for (std::uint32_t byte = 0; byte < 256; ++byte) tables[i][byte] = multiply(byte << (8 * i), power);
    return tables;
}
constexpr ShiftTables kShift = shift_tables();
static_assert((kLaneBytes & (kLaneBytes - 1)) == 0);

std::uint64_t over_a_lane(std::uint64_t crc) {
    return kShift[0][crc & 0xff] ^ kShift[1][crc >> 8 & 0xff] ^ kShift[2][crc >> 16 & 0xff] ^ kShift[3][crc >> 24 & 0xff];
}

std::uint64_t word_at(std::uint8_t const* bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

__attribute__((target("sse4.2"))) std::uint32_t update_sse42(std::uint32_t crc, ByteView bytes) {
    std::uint64_t wide = crc;
    while (bytes.size() >= 3 * kLaneBytes) {
        std::uint64_t second = 0, third = 0;
        for (auto const *at = bytes.data(), *end = at + kLaneBytes; at < end; at += 8) {
            wide = _mm_crc32_u64(wide, word_at(at));
            second = _mm_crc32_u64(second, word_at(at + kLaneBytes));
            third = _mm_crc32_u64(third, word_at(at + 2 * kLaneBytes));
        }
        wide = over_a_lane(over_a_lane(wide) ^ second) ^ third;
        bytes = bytes.subspan(3 * kLaneBytes);
    }
    while (bytes.size() >= 8) {
        wide = _mm_crc32_u64(wide, word_at(bytes.data()));
        bytes = bytes.subspan(8);
    }
    crc = static_cast<std::uint32_t>(wide);
    for (auto byte : bytes) crc = _mm_crc32_u8(crc, byte);
    return crc;
}
#endif

std::uint32_t update(std::uint32_t crc, ByteView bytes) {
#if defined(__x86_64__)
    static bool const fast = __builtin_cpu_supports("sse4.2");
    if (fast) return update_sse42(crc, bytes);
#endif
    return update_portable(crc, bytes);
}

}  // namespace

void Crc32c::update(ByteView bytes) { state_ = holdfast::update(state_, bytes); }

std::uint32_t crc32c(ByteView bytes) { return ~update(~0u, bytes); }

std::uint32_t crc32c_portable(ByteView bytes) { return ~update_portable(~0u, bytes); }

}  // namespace holdfast
