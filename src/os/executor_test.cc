#include "os/executor.h"

#include <atomic>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(Executor, ThreadsRunEveryTask) {
    auto executor = make_thread_executor(3);
    std::atomic<int> sum = 0;
    for (int i = 1; i <= 1000; ++i) executor->post([&sum, i] { sum += i; });
    executor->wait_until([&] { return sum == 500500; });
    EXPECT_EQ(sum, 500500);
}

TEST(Executor, SeededOrderRepeats) {
    auto order = [](std::uint64_t seed) {
        std::vector<int> ran;
        auto executor = make_seeded_executor(seed);
        for (int i = 0; i < 20; ++i) executor->post([&ran, i] { ran.push_back(i); });
        executor->wait_until([&] { return ran.size() == 20; });
        return ran;
    };
    EXPECT_EQ(order(1), order(1));
    EXPECT_NE(order(1), order(2));
}

TEST(Executor, DestructorRunsWhatIsQueued) {
    std::atomic<int> ran = 0;
    {
        auto executor = make_thread_executor(1);
        for (int i = 0; i < 100; ++i) executor->post([&] { ++ran; });
    }
    EXPECT_EQ(ran, 100);
}

}  // namespace
}  // namespace holdfast
