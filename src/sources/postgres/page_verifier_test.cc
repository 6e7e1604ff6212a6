#include "sources/postgres/page_verifier.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

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

TEST(PageVerifier, APageThatWasBeingWrittenIsReadAgain) {
    Bytes file, whole;
    for (std::uint32_t block = 0; block < 4; ++block) {
        auto page = page_of(block, {1});
        whole.insert(whole.end(), page.begin(), page.end());
    }
    file = whole;
    file[1 * kPgPageBytes + 5000] ^= 1;  // right at the third look
    file[3 * kPgPageBytes + 5000] ^= 1;  // stays wrong
    std::map<std::uint64_t, int> looks;
    auto again = [&](std::uint64_t number, ByteSpan page) {
        if (++looks[number] == 3 && number == 1) std::copy_n(whole.begin() + kPgPageBytes, page.size(), page.begin());
        return true;
    };
    std::vector<BadPage> bad;
    PageVerifier verifier({.backup_start = kStart}, [&](BadPage const& page) { bad.push_back(page); });
    verifier.update(ByteSpan(file).first(2 * kPgPageBytes), again);
    verifier.update(ByteSpan(file).subspan(2 * kPgPageBytes), again);
    ASSERT_EQ(bad.size(), 1u);
    EXPECT_EQ(bad[0].block, 3u);
    EXPECT_EQ(looks[1], 3);
    EXPECT_GT(looks[3], 1);
    EXPECT_EQ(looks.size(), 2u);
    EXPECT_TRUE(std::equal(file.begin(), file.begin() + 3 * kPgPageBytes, whole.begin()));
    EXPECT_EQ(verifier.pages(), 4u);
}

// The log explains it already; or it is gone.
TEST(PageVerifier, WhatNeedsNoSecondLookGetsNone) {
    auto torn = page_of(0, kStart);
    torn[5000] ^= 1;
    auto fail = [](std::uint64_t, ByteSpan) -> bool { ADD_FAILURE(); return false; };
    int bad = 0;
    PageVerifier verifier({.backup_start = kStart}, [&](BadPage const& page) { bad += page.torn; });
    verifier.update(ByteSpan(torn), fail);
    EXPECT_EQ(bad, 1);
    auto cut = page_of(1, {1});
    cut[5000] ^= 1;
    cut.resize(cut.size() + 100);
    int looks = 0;
    PageVerifier other({.first_block = 1}, [&](BadPage const& page) { bad += !page.torn; });
    other.update(ByteSpan(cut), [&](std::uint64_t, ByteSpan) { ++looks; return false; });
    EXPECT_EQ(bad, 2);
    EXPECT_EQ(looks, 1);
    EXPECT_FALSE(other.whole());
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
