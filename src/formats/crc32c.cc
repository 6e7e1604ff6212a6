#include "formats/crc32c.h"

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
__attribute__((target("sse4.2"))) std::uint32_t update_sse42(std::uint32_t crc, ByteView bytes) {
    std::uint64_t wide = crc;
    while (bytes.size() >= 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data(), sizeof word);
        wide = _mm_crc32_u64(wide, word);
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
