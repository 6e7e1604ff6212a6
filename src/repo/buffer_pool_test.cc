#include "repo/buffer_pool.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(BufferPool, GivesBackWhatFits) {
    BufferPool pool(10u << 20);
    auto buffer = pool.take(1u << 20);
    EXPECT_GE(buffer.capacity(), 1u << 20);
    buffer.resize(1000);
    auto const* data = buffer.data();
    pool.give(std::move(buffer));
    EXPECT_NE(pool.take(4u << 20).data(), data);    // too small for it
    EXPECT_NE(pool.take(100'000).data(), data);     // too large for it
    auto again = pool.take(1'000'000);
    EXPECT_EQ(again.data(), data);
    EXPECT_NE(pool.take(1'000'000).data(), data);   // it is out
}

TEST(BufferPool, KeepsNoMoreThanItMay) {
    BufferPool pool(2u << 20);
    auto first = pool.take(1u << 20), second = pool.take(1u << 20);
    auto const* data = first.data();
    pool.give(std::move(first));
    pool.give(std::move(second));  // 2.5 MiB of capacity: one goes
    auto kept = pool.take(1u << 20);
    auto fresh = pool.take(1u << 20);
    EXPECT_NE(kept.data(), fresh.data());
    (void)data;
    BufferPool none(0);
    none.give(none.take(1u << 20));
    EXPECT_GE(none.take(1u << 20).capacity(), 1u << 20);
}

}  // namespace
}  // namespace holdfast
