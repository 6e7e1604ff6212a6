#include "formats/crc32.h"

#include "formats/crc_tables.h"

namespace holdfast {
namespace {

constexpr CrcTables kTables32 = crc_tables(0xedb88320u);

}  // namespace

std::uint32_t crc32(ByteView bytes, std::uint32_t before) {
    auto sum = ~before;
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + i, 8);
        word ^= sum;
        sum = 0;
        for (std::size_t k = 0; k < 8; ++k) sum ^= kTables32[7 - k][word >> (8 * k) & 0xff];
    }
    for (; i < bytes.size(); ++i) sum = sum >> 8 ^ kTables32[0][(sum ^ bytes[i]) & 0xff];
    return ~sum;
}

}  // namespace holdfast
