#include "datasets/bisect_between.h"

#include <gtest/gtest.h>

#include <bit>

namespace holdfast {
namespace {

TEST(BisectBetween, FindsTheNeighboursWithAsFewQuestionsAsItTakes) {
    for (std::size_t size = 1; size < 70; ++size) {
        for (std::size_t last = 0; last < size; ++last) {
            std::size_t probes = 100, asked = 0;
            auto found = bisect_between({0, size}, probes, [&](std::size_t i) -> Result<bool> {
                EXPECT_TRUE(i > 0 && i < size) << "what is known is not asked for";
                ++asked;
                return i <= last;
            });
            ASSERT_TRUE(found);
            EXPECT_EQ(found->held, last);
            EXPECT_EQ(found->failed, last + 1);
            EXPECT_LE(asked, std::bit_width(size - 1));
            EXPECT_EQ(probes, 100 - asked);
        }
    }
}

TEST(BisectBetween, SaysHowFarItCameWhenTheProbesAreUsedUp) {
    std::size_t probes = 2;
    auto found = bisect_between({0, 1000}, probes, [](std::size_t i) -> Result<bool> { return i <= 300; });
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->exact());
    EXPECT_EQ(found->held, 250u);
    EXPECT_EQ(found->failed, 500u);
    EXPECT_EQ(probes, 0u);
}

TEST(BisectBetween, AQuestionThatFailsIsNoAnswer) {
    std::size_t probes = 9;
    auto found = bisect_between({0, 9}, probes, [](std::size_t) -> Result<bool> { return fail(ErrorKind::damaged, "no"); });
    EXPECT_FALSE(found);
}

}  // namespace
}  // namespace holdfast
