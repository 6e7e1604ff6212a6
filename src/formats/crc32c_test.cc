#include "formats/crc32c.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

// Test vectors of RFC 3720, appendix B.4, and the usual check value.
TEST(Crc32c, KnownValues) {
    EXPECT_EQ(crc32c(as_bytes("123456789")), 0xE3069283u);
    EXPECT_EQ(crc32c(Bytes(32, 0x00)), 0x8A9136AAu);
    EXPECT_EQ(crc32c(Bytes(32, 0xFF)), 0x62A8AB43u);
    EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, PiecesAndPortableCodeAgreeWithTheWhole) {
    Bytes bytes(1000);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 31 + i / 7);
    auto whole = crc32c(bytes);
    for (std::size_t cut = 0; cut <= bytes.size(); cut += 13) {
        Crc32c crc;
        crc.update(ByteView(bytes).first(cut));
        crc.update(ByteView(bytes).subspan(cut));
        EXPECT_EQ(crc.value(), whole);
        EXPECT_EQ(crc32c_portable(ByteView(bytes).first(cut)), crc32c(ByteView(bytes).first(cut)));
    }
}

// Long enough for lanes that are summed side by side, and what is left of them.
TEST(Crc32c, LanesAreJoined) {
    Bytes bytes(20'000);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i * 131 + i / 251);
    for (std::size_t size = 3'000; size <= bytes.size(); size += 487)
        EXPECT_EQ(crc32c(ByteView(bytes).first(size)), crc32c_portable(ByteView(bytes).first(size))) << size;
    Crc32c crc;
    for (std::size_t at = 0; at < bytes.size(); at += 5'000) crc.update(ByteView(bytes).subspan(at, 5'000));
    EXPECT_EQ(crc.value(), crc32c_portable(bytes));
}

}  // namespace
}  // namespace holdfast
