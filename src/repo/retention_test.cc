#include "repo/retention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using std::chrono::hours;
using Days = std::chrono::days;

Time const kNow = *parse_rfc3339("2026-11-22T12:00:00Z");

RetentionPoint received(std::uint8_t number, std::optional<Time> time) {
    RetentionPoint point;
    point.id.bytes[0] = number;
    point.received = time;
    return point;
}

std::vector<int> kept(RetentionRules const& rules, std::vector<RetentionPoint> const& points, Time now = kNow) {
    std::vector<int> numbers;
    auto verdicts = judge(rules, points, now);
    EXPECT_TRUE(verdicts);
    for (auto const& verdict : *verdicts) {
        EXPECT_FALSE(verdict.reasons.empty());
        if (verdict.keep) numbers.push_back(verdict.id.bytes[0]);
    }
    return numbers;
}

// One point every six hours, the last one now.
std::vector<RetentionPoint> series(int count, Time last = kNow) {
    std::vector<RetentionPoint> points;
    for (int i = 0; i < count; ++i)
        points.push_back(received(static_cast<std::uint8_t>(i), last - hours(6) * (count - 1 - i)));
    return points;
}

TEST(Retention, KeepsTheNewestOfEachPeriodThatHasOne) {
    auto points = series(12);  // 11: day 22 at 12:00; 9: day 22 at 0:00; 8: day 21 at 18:00 …
    EXPECT_THAT(kept({.last = 2}, points), ElementsAre(10, 11));
    EXPECT_THAT(kept({.daily = 3}, points), ElementsAre(4, 8, 11));
    EXPECT_THAT(kept({.within = hours(13)}, points), ElementsAre(9, 10, 11));
    EXPECT_THAT(kept({.hourly = 2, .daily = 2}, points), ElementsAre(8, 10, 11));
    // Days without a point do not count.
    points.erase(points.begin() + 5, points.begin() + 9);
    EXPECT_THAT(kept({.daily = 2}, points), ElementsAre(4, 11));
}

TEST(Retention, WeeksBeginOnMondayAndYearsInJanuary) {
    std::vector<RetentionPoint> points = {
        received(0, parse_rfc3339("2025-12-31T23:59:59Z").value()),
        received(1, parse_rfc3339("2026-01-01T00:00:00Z").value()),
        received(2, parse_rfc3339("2026-11-15T23:00:00Z").value()),  // a Sunday
        received(3, parse_rfc3339("2026-11-16T00:00:00Z").value()),  // the Monday after it
        received(4, kNow)};                                          // the Sunday of that week
    EXPECT_THAT(kept({.weekly = 2}, points), ElementsAre(2, 4));
    EXPECT_THAT(kept({.yearly = 5}, points), ElementsAre(0, 4));
    EXPECT_THAT(kept({.monthly = 2}, points), ElementsAre(1, 4));
}

TEST(Retention, RulesThatKeepNothingAreRefused) {
    auto verdicts = judge({}, series(3), kNow);
    ASSERT_FALSE(verdicts);
    EXPECT_EQ(verdicts.error().kind, ErrorKind::usage);
    EXPECT_FALSE(judge({.within = Duration(0)}, series(3), kNow));
}

TEST(Retention, AClockTenYearsAheadMakesNothingOld) {
    auto points = series(8);
    EXPECT_EQ(kept({.within = hours(13)}, points, kNow + Days(3650)),
              kept({.within = hours(13)}, points));
    EXPECT_EQ(kept({.daily = 2}, points, kNow + Days(3650)), kept({.daily = 2}, points));
}

TEST(Retention, AClockAYearBehindForgetsNothing) {
    EXPECT_THAT(kept({.last = 1}, series(4), kNow - Days(365)), ElementsAre(0, 1, 2, 3));
}

TEST(Retention, AReceiptFromTheFutureNeitherGoesNorPushesOthersOut) {
    auto points = series(4);
    points.push_back(received(9, kNow + Days(3650)));
    EXPECT_THAT(kept({.last = 1}, points), ElementsAre(3, 9));
    EXPECT_THAT(kept({.within = hours(7)}, points), ElementsAre(2, 3, 9));
}

TEST(Retention, APointWithoutAReceiptStaysAndTakesNoPlace) {
    auto points = series(3);
    points.push_back(received(9, std::nullopt));
    EXPECT_THAT(kept({.last = 1}, points), ElementsAre(2, 9));
}

TEST(Retention, HoldsKeep) {
    auto points = series(4);
    points[0].hold = "legal: case 7";
    auto verdicts = judge({.last = 1}, points, kNow).value();
    EXPECT_TRUE(verdicts[0].keep);
    EXPECT_THAT(verdicts[0].reasons, ElementsAre("held: legal: case 7"));
    EXPECT_FALSE(verdicts[1].keep);
    EXPECT_THAT(verdicts[1].reasons, ElementsAre("no rule keeps it"));
}

TEST(Retention, TheNewestWholePointStaysBehindPartialOnes) {
    auto points = series(4);
    points[2].whole = points[3].whole = false;
    EXPECT_THAT(kept({.last = 1}, points), ElementsAre(1, 3));
}

TEST(Retention, AnUnconfirmedPointHasADayToBeConfirmed) {
    auto points = series(8);
    points[7].confirmed = false;
    points[1].confirmed = false;  // 36 hours old
    EXPECT_THAT(kept({.last = 1}, points), ElementsAre(6, 7));
}

// Whatever the points and the clock: at least one stays, a held one stays, and more rules keep more.
TEST(Retention, PropertiesHoldForRandomHistories) {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random(seed);
        std::vector<RetentionPoint> points(1 + random() % 60);
        for (std::size_t i = 0; i < points.size(); ++i) {
            points[i].id.bytes[0] = static_cast<std::uint8_t>(i);
            if (random() % 10 != 0) points[i].received = kNow - std::chrono::minutes(random() % 600000) + Days(random() % 3);
            points[i].confirmed = random() % 5 != 0;
            points[i].whole = random() % 5 != 0;
            if (random() % 10 == 0) points[i].hold = "held";
        }
        RetentionRules less{.last = static_cast<std::uint32_t>(random() % 2), .daily = 1 + static_cast<std::uint32_t>(random() % 5)};
        auto more = less;
        more.weekly = 3;
        more.within = Days(2);
        auto now = kNow + Days(static_cast<int>(random() % 800) - 400);
        auto few = judge(less, points, now).value();
        auto many = judge(more, points, now).value();
        bool any = false;
        for (std::size_t i = 0; i < points.size(); ++i) {
            any = any || few[i].keep;
            if (!points[i].hold.empty() || !points[i].received) { EXPECT_TRUE(few[i].keep); }
            if (few[i].keep) { EXPECT_TRUE(many[i].keep); }
        }
        EXPECT_TRUE(any);
    }
}

}  // namespace
}  // namespace holdfast
