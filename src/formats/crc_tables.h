#pragma once

#include <array>
#include <cstdint>

namespace holdfast {

// tables[k][b]: what byte b followed by k zero bytes does to a reflected CRC of 32 bits, so that eight bytes are one
// step ("slicing by 8", Kounavis and Berry, 2008).
using CrcTables = std::array<std::array<std::uint32_t, 256>, 8>;
constexpr CrcTables crc_tables(std::uint32_t polynomial_reflected) {
    CrcTables tables{};
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        auto crc = byte;
        for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? polynomial_reflected : 0);
        tables[0][byte] = crc;
    }
    for (std::size_t k = 1; k < tables.size(); ++k) {
        for (std::size_t byte = 0; byte < 256; ++byte) {
            tables[k][byte] = tables[k - 1][byte] >> 8 ^ tables[0][tables[k - 1][byte] & 0xff];
        }
    }
    return tables;
}

}  // namespace holdfast
