#include "guard/alarm_book.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast::guard {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class AlarmBookTest : public testing::Test {
  protected:
    AlarmBookTest() : directory_(testing::TempDir() + "alarms-" + std::to_string(::getpid())) { reopen(); }
    ~AlarmBookTest() override { std::filesystem::remove_all(directory_); }

    void reopen() {
        auto opened = AlarmBook::open(file(), clock);
        ASSERT_TRUE(opened) << opened.error().message;
        book = std::move(*opened);
    }
    std::filesystem::path file() const { return directory_ / "guard" / "alarms"; }
    // What is told now; empty: nothing.
    std::string told() {
        std::string text;
        EXPECT_TRUE(book->deliver("plan", [&](AlarmBook::Message const& message) -> Result<void> {
            text = message.subject + "\n" + message.text;
            return {};
        }));
        return text;
    }

    ManualClock clock{Time{} + 500000h};
    std::unique_ptr<AlarmBook> book;

  private:
    std::filesystem::path directory_;
};

TEST_F(AlarmBookTest, TellsTheBeginningAndTheEndOnce) {
    ASSERT_TRUE(book->raise("backup of 'a'", "the disk\nis full\t!"));
    EXPECT_THAT(told(), AllOf(HasSubstr("[holdfast] plan: 1 alarm\n"), HasSubstr("backup of 'a': the disk\nis full\t!")));
    ASSERT_TRUE(book->raise("backup of 'a'", "the disk\nis full\t!"));
    EXPECT_EQ(told(), "");
    clock.advance(90min);
    ASSERT_TRUE(book->clear("backup of 'a'"));
    ASSERT_TRUE(book->clear("backup of 'a'"));
    EXPECT_THAT(told(), AllOf(HasSubstr("all is well again"), HasSubstr("backup of 'a': lasted 1h 30m")));
    EXPECT_EQ(told(), "");
    EXPECT_EQ(book->raised(), 0u);
}

TEST_F(AlarmBookTest, WhatNobodyHeardOfNeedsNoEnd) {
    ASSERT_TRUE(book->raise("a", "x"));
    ASSERT_TRUE(book->clear("a"));
    EXPECT_EQ(told(), "");
}

TEST_F(AlarmBookTest, RemembersAcrossRestarts) {
    ASSERT_TRUE(book->raise("a", "one \\ thing"));
    reopen();
    EXPECT_THAT(told(), HasSubstr("a: one \\ thing"));
    reopen();
    EXPECT_EQ(told(), "") << "a restart tells nothing twice";
    EXPECT_EQ(book->raised(), 1u);
    ASSERT_TRUE(book->clear("a"));
    reopen();
    EXPECT_THAT(told(), HasSubstr("What is over"));
    reopen();
    EXPECT_EQ(told(), "");
}

TEST_F(AlarmBookTest, WhatCouldNotBeToldIsToldLater) {
    ASSERT_TRUE(book->raise("a", "x"));
    auto refused = book->deliver("plan", [](AlarmBook::Message const&) -> Result<void> {
        return fail(ErrorKind::unreachable, "no server");
    });
    EXPECT_EQ(refused.error().message, "no server");
    EXPECT_THAT(told(), HasSubstr("a: x"));
}

TEST_F(AlarmBookTest, WhatIsStillWrongIsToldAgainAfterADay) {
    ASSERT_TRUE(book->raise("a", "x"));
    EXPECT_NE(told(), "");
    clock.advance(23h);
    EXPECT_EQ(told(), "");
    clock.advance(1h);
    EXPECT_THAT(told(), AllOf(HasSubstr("What is still wrong"), HasSubstr("a (since "), Not(HasSubstr("wrong now"))));
    EXPECT_EQ(told(), "");
}

TEST_F(AlarmBookTest, WhatEndsWhileItIsToldIsSaidToHaveEnded) {
    ASSERT_TRUE(book->raise("a", "x"));
    ASSERT_TRUE(book->deliver("plan", [&](AlarmBook::Message const&) { return book->clear("a"); }));
    EXPECT_THAT(told(), HasSubstr("What is over"));
}

TEST_F(AlarmBookTest, WhatComesBackBeforeItsEndWasToldNeverEnded) {
    ASSERT_TRUE(book->raise("a", "x"));
    EXPECT_NE(told(), "");
    ASSERT_TRUE(book->clear("a"));
    ASSERT_TRUE(book->raise("a", "x"));
    EXPECT_EQ(told(), "");
    EXPECT_EQ(book->raised(), 1u);
}

TEST_F(AlarmBookTest, ADamagedFileIsAnAlarmAndNoObstacle) {
    ASSERT_TRUE(book->raise("a", "x"));
    for (auto text : {"", "holdfast alarms 1\na\tb\n", "holdfast alarms 1\na\t-\t-\t-\tx\n", "holdfast alarms 1\na", "\xff\n"}) {
        std::ofstream(file(), std::ios::trunc) << text;
        reopen();
        EXPECT_THAT(told(), HasSubstr("is damaged: what had been raised before was forgotten")) << text;
    }
}

}  // namespace
}  // namespace holdfast::guard
