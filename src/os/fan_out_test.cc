#include "os/fan_out.h"

#include <atomic>
#include <gtest/gtest.h>
#include <mutex>

namespace holdfast {
namespace {

class FanOutTest : public testing::TestWithParam<bool> {
  protected:
    std::unique_ptr<Executor> executor = GetParam() ? make_thread_executor(4) : make_seeded_executor(1);
    std::stop_source stop;
};
INSTANTIATE_TEST_SUITE_P(Executors, FanOutTest, testing::Bool(),
                         [](auto const& info) { return info.param ? "Threads" : "Seeded"; });

TEST_P(FanOutTest, DoesAllWithinTheBound) {
    std::atomic<std::uint64_t> running = 0, most = 0, done = 0;
    std::mutex mutex;
    FanOut all(*executor, 10, stop.get_token());
    for (std::uint64_t i = 0; i < 500; ++i) {
        auto cost = i % 7 + 1;
        all.add(cost, [&, cost]() -> Result<void> {
            auto now = running += cost;
            {
                std::lock_guard lock(mutex);
                most = std::max<std::uint64_t>(most, now);
            }
            ++done;
            running -= cost;
            return {};
        });
    }
    EXPECT_TRUE(all.finish());
    EXPECT_EQ(done, 500u);
    EXPECT_LE(most, 10u);
}

TEST_P(FanOutTest, WhatIsDearerThanAllRunsAlone) {
    std::atomic<int> running = 0, done = 0;
    FanOut all(*executor, 10, stop.get_token());
    for (int i = 0; i < 20; ++i) {
        all.add(1000, [&]() -> Result<void> {
            EXPECT_EQ(++running, 1);
            --running;
            ++done;
            return {};
        });
    }
    EXPECT_TRUE(all.finish());
    EXPECT_EQ(done, 20);
}

TEST_P(FanOutTest, TheFirstErrorEndsIt) {
    std::atomic<int> begun = 0;
    FanOut all(*executor, 1, stop.get_token());
    for (int i = 0; i < 20; ++i) {
        all.add(1, [&, i]() -> Result<void> {
            ++begun;
            if (i == 3) return fail(ErrorKind::io, "the third");
            return {};
        });
    }
    auto finished = all.finish();
    ASSERT_FALSE(finished);
    EXPECT_EQ(finished.error().message, "the third");
    EXPECT_EQ(begun, 4);
    EXPECT_FALSE(all.finish()) << "it stays so";
    EXPECT_FALSE(all.add(1, [] { return Result<void>(); }));
}

TEST_P(FanOutTest, StoppedItBeginsNothing) {
    std::atomic<int> begun = 0;
    FanOut all(*executor, 1, stop.get_token());
    for (int i = 0; i < 20; ++i) {
        all.add(1, [&, i]() -> Result<void> {
            ++begun;
            if (i == 3) stop.request_stop();
            return {};
        });
    }
    EXPECT_EQ(all.finish().error().kind, ErrorKind::cancelled);
    EXPECT_EQ(begun, 4);
}

}  // namespace
}  // namespace holdfast
