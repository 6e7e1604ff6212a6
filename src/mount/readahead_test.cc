#include "mount/readahead.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr std::uint64_t kMiB = 1u << 20;

TEST(Readahead, GrowsWhileSomebodyReadsOn) {
    Readahead ahead(16 * kMiB);
    EXPECT_EQ(ahead.after(0, kMiB), (AheadRange{kMiB, 3 * kMiB}));
    EXPECT_EQ(ahead.after(kMiB, 2 * kMiB), (AheadRange{3 * kMiB, 6 * kMiB}));
    std::uint64_t asked = 6 * kMiB;
    int batches = 0;
    for (std::uint64_t at = 2 * kMiB; at < 64 * kMiB; at += kMiB) {
        auto range = ahead.after(at, at + kMiB);
        if (!range) continue;
        ++batches;
        EXPECT_EQ(range->begin, asked) << "nothing twice, nothing left out";
        asked = range->end;
        EXPECT_LE(asked, at + kMiB + 16 * kMiB) << "never beyond the bound";
    }
    EXPECT_GE(asked, 64 * kMiB);
    EXPECT_LT(batches, 15) << "not again before half of the window is used up";
}

TEST(Readahead, LeavesRandomReadersAlone) {
    Readahead ahead(16 * kMiB);
    for (std::uint64_t at : {900, 100, 700, 300, 500}) {
        EXPECT_FALSE(ahead.after(at * kMiB, at * kMiB + 8192).has_value());
    }
    EXPECT_TRUE(ahead.after(500 * kMiB + 8192, 500 * kMiB + 16384).has_value()) << "two in a row are a run";
}

TEST(Readahead, BearsRequestsThatOvertakeEachOther) {
    Readahead ahead(16 * kMiB);
    ahead.after(0, 128 << 10);
    ahead.after(256 << 10, 384 << 10);
    ahead.after(128 << 10, 256 << 10);
    auto range = ahead.after(3 * kMiB / 2 - (1 << 18), 3 * kMiB / 2);
    ASSERT_TRUE(range.has_value());
    EXPECT_GE(range->begin, 3 * kMiB / 2);
}

}  // namespace
}  // namespace holdfast
