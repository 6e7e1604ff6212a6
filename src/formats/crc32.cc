#include "formats/crc32.h"

#include <array>

namespace holdfast {
namespace {

// Eight bytes a step ("slicing by 8", Kounavis and Berry, 2008).
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;
constexpr Tables make_tables() {
    Tables tables{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        auto value = i;
        for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
        tables[0][i] = value;
    }
    for (std::size_t t = 1; t < 8; ++t) {
        for (std::size_t i = 0; i < 256; ++i) tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 0xff];
    }
    return tables;
}
constexpr Tables kTables = make_tables();

}  // namespace

std::uint32_t crc32(ByteView bytes, std::uint32_t before) {
    auto sum = ~before;
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + i, 8);
        word ^= sum;
        sum = 0;
        for (std::size_t k = 0; k < 8; ++k) sum ^= kTables[7 - k][word >> (8 * k) & 0xff];
    }
    for (; i < bytes.size(); ++i) sum = sum >> 8 ^ kTables[0][(sum ^ bytes[i]) & 0xff];
    return ~sum;
}

}  // namespace holdfast
