#include "guard/duty.h"

#include <gtest/gtest.h>

namespace holdfast::guard {
namespace {

using namespace std::chrono_literals;

Time at(Duration since) { return Time{} + 1000h + since; }

TEST(NextDue, RepeatsFromTheBeginning) {
    EXPECT_EQ(next_due({}, 1h, 0, at(0s)), at(0s)) << "never done";
    EXPECT_EQ(next_due(at(0s), 1h, 0, at(10min)), at(1h));
    EXPECT_EQ(next_due(at(0s), 1h, 0, at(1h)), at(1h));
}

TEST(NextDue, MakesUpForWhatWasMissedOnce) {
    // Down for a day: one is due, and the next one an hour after it.
    EXPECT_LE(next_due(at(0s), 1h, 0, at(24h)), at(24h));
    EXPECT_EQ(next_due(at(24h), 1h, 0, at(24h)), at(25h));
}

TEST(NextDue, ComesBackSoonAfterFailuresButNeverLaterThanDue) {
    EXPECT_EQ(next_due(at(0s), 1h, 1, at(1s)), at(kRetryFirst));
    EXPECT_EQ(next_due(at(0s), 1h, 2, at(1s)), at(2 * kRetryFirst));
    EXPECT_EQ(next_due(at(0s), 1h, 3, at(1s)), at(4 * kRetryFirst));
    EXPECT_EQ(next_due(at(0s), 1h, 4000000000U, at(1s)), at(1h));
    EXPECT_EQ(next_due(at(0s), 5s, 1, at(1s)), at(5s));
}

TEST(NextDue, AClockThatWasSetBackDelaysNothing) {
    EXPECT_EQ(next_due(at(8766h), 1h, 0, at(0s)), at(0s));
}

}  // namespace
}  // namespace holdfast::guard
