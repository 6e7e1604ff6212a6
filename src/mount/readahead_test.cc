#include "mount/readahead.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

constexpr std::uint64_t kMebi = 1u << 20;

TEST(Readahead, GrowsWhileSomebodyReadsOn) {
    Readahead ahead(16 * kMebi);
    EXPECT_EQ(ahead.after(0, kMebi), (AheadRange{kMebi, 3 * kMebi}));
    EXPECT_EQ(ahead.after(kMebi, 2 * kMebi), (AheadRange{3 * kMebi, 6 * kMebi}));
    std::uint64_t asked = 6 * kMebi;
    int batches = 0;
    for (std::uint64_t at = 2 * kMebi; at < 64 * kMebi; at += kMebi) {
        auto range = ahead.after(at, at + kMebi);
        if (!range) continue;
        ++batches;
        EXPECT_EQ(range->begin, asked) << "nothing twice, nothing left out";
        asked = range->end;
        EXPECT_LE(asked, at + kMebi + 16 * kMebi) << "never beyond the bound";
    }
    EXPECT_GE(asked, 64 * kMebi);
    EXPECT_LT(batches, 15) << "not again before half of the window is used up";
}

TEST(Readahead, LeavesRandomReadersAlone) {
    Readahead ahead(16 * kMebi);
    for (std::uint64_t at : {900, 100, 700, 300, 500}) {
        EXPECT_FALSE(ahead.after(at * kMebi, at * kMebi + 8192).has_value());
    }
    EXPECT_TRUE(ahead.after(500 * kMebi + 8192, 500 * kMebi + 16384).has_value()) << "two in a row are a run";
}

TEST(Readahead, BearsRequestsThatOvertakeEachOther) {
    Readahead ahead(16 * kMebi);
    ahead.after(0, 128 << 10);
    ahead.after(256 << 10, 384 << 10);
    ahead.after(128 << 10, 256 << 10);
    auto range = ahead.after(3 * kMebi / 2 - (1 << 18), 3 * kMebi / 2);
    ASSERT_TRUE(range.has_value());
    EXPECT_GE(range->begin, 3 * kMebi / 2);
}

}  // namespace
}  // namespace holdfast
