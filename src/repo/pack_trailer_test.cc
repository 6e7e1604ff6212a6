#include "repo/pack_trailer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "repo/frame.h"
#include "repo/test_world.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

// What a pack is for those without a key: a body whose end is a "directory", and what follows it.
struct BareExample {
    PackTrailer trailer;
    Bytes object;
};

BareExample make_bare_example(std::size_t size, unsigned percent) {
    BareExample example;
    auto body = noise(size, size + percent);
    example.trailer.directory_offset = kPackHeaderBytes + 1;
    example.trailer.directory_bytes = static_cast<std::uint32_t>(size - kPackHeaderBytes - 1);
    body.resize(padded_pack_bytes(size));
    // In two parts that meet within a sector.
    auto cut = body.size() / 3;
    ByteView const parts[] = {ByteView(body).first(cut), ByteView(body).subspan(cut)};
    auto end = finish_trailer(parts, percent, example.trailer);
    example.object = std::move(body);
    example.object.insert(example.object.end(), end.begin(), end.end());
    return example;
}

// GF(2^8) by the book, not by the library.
std::uint8_t times(std::uint8_t a, std::uint8_t b) {
    unsigned product = 0;
    for (int bit = 0; bit < 8; ++bit) {
        if (b >> bit & 1) product ^= static_cast<unsigned>(a) << bit;
    }
    for (int bit = 15; bit >= 8; --bit) {
        if (product >> bit & 1) product ^= 0x11du << (bit - 8);
    }
    return static_cast<std::uint8_t>(product);
}
std::uint8_t inverse(std::uint8_t a) {
    for (unsigned b = 1; b < 256; ++b) {
        if (times(a, static_cast<std::uint8_t>(b)) == 1) return static_cast<std::uint8_t>(b);
    }
    return 0;
}

TEST(PackTrailer, ParityIsWhatTheFormatSays) {
    auto const example = make_bare_example(9000, 20);
    auto const& trailer = example.trailer;
    ASSERT_EQ(trailer.sector_bytes, 576u);
    ASSERT_EQ(trailer.data_sectors(), 16u);
    ASSERT_EQ(trailer.parity, 3u);
    auto data = [&](std::size_t sector, std::size_t at) -> std::uint8_t {
        auto offset = sector * trailer.sector_bytes + at;
        return offset < trailer.body ? example.object[offset] : 0;
    };
    auto k = static_cast<std::uint8_t>(trailer.data_sectors());
    for (std::uint8_t row = 0; row < trailer.parity; ++row) {
        for (std::size_t at = 0; at < trailer.sector_bytes; ++at) {
            std::uint8_t sum = 0;
            for (std::uint8_t j = 0; j < k; ++j) {
                sum ^= times(data(j, at), inverse(static_cast<std::uint8_t>((k + row) ^ j)));
            }
            auto place = trailer.body + trailer.bytes() + row * trailer.sector_bytes + at;
            ASSERT_EQ(example.object[place], sum) << int{row} << ' ' << at;
        }
    }
}

TEST(PackTrailer, CostsTheShareThatWasAskedFor) {
    for (unsigned percent : {1u, 5u, 10u, 25u}) {
        for (std::size_t size : {500'000u, 5'000'000u, 34'000'000u}) {
            auto example = make_bare_example(size, percent);
            auto more = static_cast<double>(example.object.size() - example.trailer.body) * 100.0 /
                        static_cast<double>(example.trailer.body);
            EXPECT_GT(more, percent * 0.75) << size;
            EXPECT_LT(more, percent * 1.2 + 1.5) << size;
            EXPECT_LE(example.trailer.sectors(), 255u);
            EXPECT_TRUE(check_sectors(example.object));
        }
    }
}

TEST(PackTrailer, OffIsTheFormWithoutParity) {
    auto const example = make_bare_example(3'000'000, 0);
    EXPECT_EQ(example.trailer.parity, 0u);
    EXPECT_EQ(example.object.size(), example.trailer.body + 3 * 16 + 48);
    auto object = example.object;
    auto mended = mend_pack(object);
    ASSERT_TRUE(mended);
    EXPECT_FALSE(mended->any());
    object[5] ^= 1;
    EXPECT_FALSE(mend_pack(object));
}

TEST(PackTrailer, EveryFlippedByteIsFoundAndMended) {
    auto const example = make_bare_example(3000, 5);
    ASSERT_EQ(example.trailer.parity, 1u);
    for (std::size_t i = 0; i < example.object.size(); i += kFlipStride) {
        auto bad = example.object;
        bad[i] ^= static_cast<std::uint8_t>(1 + i % 255);
        EXPECT_FALSE(check_sectors(bad)) << i;
        auto mended = mend_pack(bad);
        ASSERT_TRUE(mended) << i << ": " << mended.error().message;
        EXPECT_TRUE(mended->any()) << i;
        ASSERT_EQ(bad, example.object) << i;
    }
}

TEST(PackTrailer, AsManySectorsAsThereAreOfParityAreMended) {
    std::mt19937 random(7);
    for (unsigned percent : {1u, 5u, 25u}) {
        for (std::size_t size : {700u, 20'000u, 200'001u}) {
            auto const example = make_bare_example(size, percent);
            auto const& trailer = example.trailer;
            for (int round = 0; round < 20; ++round) {
                auto bad = example.object;
                std::set<std::uint64_t> sectors;
                auto most = std::min<std::uint64_t>(trailer.parity, trailer.sectors());
                while (sectors.size() < most) sectors.insert(random() % trailer.sectors());
                for (auto sector : sectors) bad[trailer.offset(sector) + random() % trailer.length(sector)] ^= 0x11;
                auto mended = mend_pack(bad);
                ASSERT_TRUE(mended) << percent << ' ' << size << ": " << mended.error().message;
                EXPECT_EQ(mended->sectors.size(), sectors.size());
                ASSERT_EQ(bad, example.object) << percent << ' ' << size << ", round " << round;
            }
        }
    }
}

TEST(PackTrailer, MoreThanParityMendsIsNamed) {
    auto const example = make_bare_example(20'000, 5);
    auto const& trailer = example.trailer;
    ASSERT_EQ(trailer.parity, 2u);
    auto bad = example.object;
    for (std::uint64_t sector : {3, 9, 20}) bad[trailer.offset(sector)] ^= 1;
    auto mended = mend_pack(bad);
    ASSERT_FALSE(mended);
    EXPECT_EQ(mended.error().kind, ErrorKind::damaged);
    EXPECT_THAT(mended.error().message, HasSubstr("3 of 37 sectors are damaged, the first at byte 1728"));
    // Parity that is damaged itself mends less.
    bad = example.object;
    bad[trailer.offset(3)] ^= 1;
    for (std::uint64_t parity : {0, 1}) bad[trailer.offset(trailer.data_sectors() + parity)] ^= 1;
    EXPECT_FALSE(mend_pack(bad));
}

TEST(PackTrailer, BothTrailersGoneIsNamed) {
    auto const example = make_bare_example(20'000, 5);
    auto bad = example.object;
    bad[bad.size() - 30] ^= 1;
    bad[example.trailer.body + example.trailer.bytes() - 30] ^= 1;
    auto mended = mend_pack(bad);
    ASSERT_FALSE(mended);
    EXPECT_THAT(mended.error().message, HasSubstr("trailer"));
}

// An end that was cut off is read as zeros. The trailer goes first, then the parity, then data.
TEST(PackTrailer, AnEndThatIsGoneIsMendedExactlyOrNamed) {
    auto const example = make_bare_example(20'000, 10);
    std::size_t mended_ones = 0;
    for (std::size_t gone = 1; gone <= example.object.size(); ++gone) {
        auto bad = example.object;
        std::fill(bad.end() - static_cast<std::ptrdiff_t>(gone), bad.end(), std::uint8_t{0});
        auto mended = mend_pack(bad);
        if (!mended) {
            EXPECT_EQ(mended.error().kind, ErrorKind::damaged);
            continue;
        }
        ++mended_ones;
        ASSERT_EQ(bad, example.object) << gone;
    }
    // The trailer and all of the parity.
    EXPECT_GE(mended_ones, example.trailer.parity * example.trailer.sector_bytes + example.trailer.bytes());
}

// Whoever has the store can write any trailer: it must not lead a reader out of its memory.
TEST(PackTrailer, LiesInATrailerAreRefused) {
    auto const example = make_bare_example(20'000, 5);
    std::mt19937 random(3);
    for (int round = 0; round < 20'000; ++round) {
        auto bad = example.object;
        for (int i = 0; i < 3; ++i) bad[bad.size() - 48 + random() % 28] = static_cast<std::uint8_t>(random());
        (void)check_sectors(bad);
        auto trailer = decode_trailer(bad, bad.size());
        EXPECT_TRUE(!trailer || *trailer == example.trailer);
    }
    for (std::size_t size = 0; size < 200; ++size) {
        Bytes none(size, 0xff);
        EXPECT_FALSE(mend_pack(none)) << size;
    }
}

}  // namespace
}  // namespace holdfast
