#include "sources/postgres/page_verifier.h"

#include <gtest/gtest.h>

#include <cstring>

namespace holdfast::postgres {
namespace {

constexpr Lsn kStart{0x1000}, kEnd{0x2000};

Bytes page_of(std::uint32_t block, Lsn lsn) {
    Bytes page(kPgPageBytes, 0x5a);
    std::uint16_t const header[] = {0, 0, 0, 0, 0, 0, 24, 8000, 8192, 8192 | 4};
    std::memcpy(page.data(), header, sizeof header);
    auto high = static_cast<std::uint32_t>(lsn.value >> 32), low = static_cast<std::uint32_t>(lsn.value);
    std::memcpy(page.data(), &high, 4);
    std::memcpy(page.data() + 4, &low, 4);
    auto checksum = pg_page_checksum(page, block);
    std::memcpy(page.data() + 8, &checksum, 2);
    return page;
}

std::vector<BadPage> verify(Bytes const& bytes, PageVerifierOptions options, std::size_t piece = 1 << 20) {
    std::vector<BadPage> bad;
    PageVerifier verifier(options, [&](BadPage const& page) { bad.push_back(page); });
    for (std::size_t at = 0; at < bytes.size(); at += piece)
        verifier.update(ByteView(bytes).subspan(at, std::min(piece, bytes.size() - at)));
    EXPECT_EQ(verifier.whole(), bytes.size() % kPgPageBytes == 0);
    EXPECT_EQ(verifier.pages(), bytes.size() / kPgPageBytes);
    return bad;
}

TEST(PageVerifier, AnyCutGivesTheSame) {
    Bytes file;
    for (std::uint32_t block = 131072; block < 131077; ++block) {
        auto page = page_of(block, {1});
        if (block == 131074) page[5000] ^= 1;
        file.insert(file.end(), page.begin(), page.end());
    }
    file.resize(file.size() + 100);
    for (std::size_t piece : {1u, 4096u, 8191u, 8192u, 10000u, 1000000u}) {
        auto bad = verify(file, {.backup_start = kStart, .first_block = 131072}, piece);
        ASSERT_EQ(bad.size(), 1u) << piece;
        EXPECT_EQ(bad[0].block, 131074u);
        EXPECT_FALSE(bad[0].torn);
    }
}

TEST(PageVerifier, WhatWasWrittenMeanwhileIsTorn) {
    auto torn = page_of(0, {0x1800});
    torn[8000] ^= 1;
    EXPECT_TRUE(verify(torn, {.backup_start = kStart}).at(0).torn);
    EXPECT_TRUE(verify(torn, {.backup_start = kStart, .backup_end = kEnd}).at(0).torn);
    // Of a cluster that stood still, or with a position that the log never reached.
    EXPECT_FALSE(verify(torn, {}).at(0).torn);
    EXPECT_FALSE(verify(torn, {.backup_start = kStart, .backup_end = Lsn{0x1700}}).at(0).torn);
    auto old = page_of(0, {0xfff});
    old[8000] ^= 1;
    EXPECT_FALSE(verify(old, {.backup_start = kStart}).at(0).torn);
}

TEST(PageVerifier, APageThatWasBeingAddedIsTorn) {
    auto page = page_of(0, {0x1800});
    std::fill_n(page.begin(), 4096, 0);
    EXPECT_TRUE(verify(page, {.backup_start = kStart}).at(0).torn);
    EXPECT_FALSE(verify(page, {}).at(0).torn);
    page[100] = 1;
    EXPECT_FALSE(verify(page, {.backup_start = kStart}).at(0).torn);
    EXPECT_TRUE(verify(Bytes(kPgPageBytes, 0), {}).empty());
}

}  // namespace
}  // namespace holdfast::postgres
