#include "guard/log_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace holdfast::guard {
namespace {

using postgres::WalEvent;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Kind = WalEvent::Kind;

struct LogListenerTest : testing::Test {
    StreamedLog log;
    std::map<std::string, std::string> wrong;  // about → concern, as an alarm book would have it
    std::vector<std::string> lines;
    Duty::Tell tell = [this](Duty::Outcome const& outcome) {
        if (!outcome.text.empty()) lines.push_back(outcome.text);
        if (!outcome.concern) return;
        if (outcome.concern->empty()) wrong.erase(outcome.about);
        else wrong[outcome.about] = *outcome.concern;
    };
    bool cut_off = false;
    unsigned looked = 0;
    LogListener listener{log, tell, [this]() -> Result<bool> {
                             ++looked;
                             return cut_off;
                         }};

    void hear(Kind kind, bool alarm = false, std::string message = "said") {
        listener.hear({.kind = kind, .message = std::move(message), .alarm = alarm, .timeline = 1, .durable = {}, .server = {}});
    }
    std::vector<std::string> alarms() const {
        std::vector<std::string> all;
        for (auto const& [about, concern] : wrong) all.push_back(about);
        return all;
    }
};

TEST_F(LogListenerTest, LostLogMakesABaseBackupAndIsOverWithIt) {
    hear(Kind::receiving);
    EXPECT_FALSE(log.base_is_wanted());
    hear(Kind::slot_lost, true, "the slot is gone");
    hear(Kind::gap, true, "the log from 1/0 to 2/0 is missing");
    EXPECT_TRUE(log.base_is_wanted());
    EXPECT_THAT(wrong["lost log"], HasSubstr("from 1/0 to 2/0"));
    hear(Kind::receiving);
    hear(Kind::position);
    EXPECT_THAT(alarms(), ElementsAre("lost log")) << "a log that comes in again mends nothing";
    log.base_is_made(log.base_begins());
    hear(Kind::position);
    EXPECT_THAT(alarms(), IsEmpty());
}

TEST_F(LogListenerTest, ABaseBackupThatBeganBeforeTheGapIsNotEnough) {
    auto begun = log.base_begins();
    hear(Kind::gap, true);
    log.base_is_made(begun);
    hear(Kind::position);
    EXPECT_TRUE(log.base_is_wanted());
    EXPECT_THAT(alarms(), ElementsAre("lost log"));
}

TEST_F(LogListenerTest, WhatARunBeforeLeftBehindAGapIsFoundOnce) {
    cut_off = true;
    hear(Kind::receiving);
    EXPECT_TRUE(log.base_is_wanted());
    EXPECT_THAT(alarms(), ElementsAre("lost log"));
    log.base_is_made(log.base_begins());
    hear(Kind::receiving);
    EXPECT_FALSE(log.base_is_wanted()) << "else each reconnection would make another base backup";
    EXPECT_EQ(looked, 1u);
}

TEST_F(LogListenerTest, AServerThatRestartsIsNoAlarmAndOneThatStaysAwayIs) {
    hear(Kind::receiving);
    hear(Kind::disconnected, false, "connection refused");
    EXPECT_THAT(alarms(), IsEmpty());
    hear(Kind::disconnected, true, "no log for 30 s");
    EXPECT_THAT(alarms(), ElementsAre(""));
    hear(Kind::disconnected, false, "no such host");
    EXPECT_THAT(alarms(), ElementsAre("")) << "another reason is no end";
    hear(Kind::receiving);
    EXPECT_THAT(alarms(), IsEmpty());
    EXPECT_THAT(lines, testing::Contains("connection refused"));
}

TEST_F(LogListenerTest, EachTroubleBeginsAndEndsOnItsOwn) {
    for (auto kind : {Kind::repository, Kind::spool, Kind::lag}) hear(kind, true);
    hear(Kind::position);
    EXPECT_THAT(alarms(), ElementsAre("lag", "repository", "spool"));
    hear(Kind::spool);
    EXPECT_THAT(alarms(), ElementsAre("lag", "repository"));
    hear(Kind::lag);
    hear(Kind::repository);
    EXPECT_THAT(alarms(), IsEmpty());
}

TEST_F(LogListenerTest, WhatAGuardBeforeRaisedEndsWhenItIsNotFoundAgain) {
    wrong = {{"", "down"}, {"lag", "much"}, {"lost log", "a gap"}};
    hear(Kind::disconnected, false);
    EXPECT_THAT(alarms(), ElementsAre("", "lag", "lost log")) << "nothing is known yet";
    hear(Kind::receiving);
    hear(Kind::position);
    EXPECT_THAT(alarms(), IsEmpty());
}

TEST_F(LogListenerTest, KnowsUntilWhenTheLogIsComplete) {
    hear(Kind::position);
    EXPECT_FALSE(log.complete_until());
    auto time = Time{} + std::chrono::hours(5);
    listener.hear({.kind = Kind::position, .message = {}, .timeline = 1, .durable = {}, .server = {}, .complete = time});
    EXPECT_EQ(log.complete_until(), time);
}

}  // namespace
}  // namespace holdfast::guard
