#include "datasets/log_position.h"

#include <gtest/gtest.h>

#include "datasets/test_workspace.h"
#include "repo/wal_object.h"
#include "sources/postgres/same_system.h"

namespace holdfast {
namespace {

struct LogPositionTest : testing::Test {
    TestWorkspace test;
    Time ten = parse_rfc3339("2026-11-27T10:00:00Z").value();
    RecoveryPoint point{.dataset = "db", .kind = "postgres", .started = ten, .time = ten, .root = "/srv", .tree = {}, .host = "",
                        .version = "", .attributes = {{"system_identifier", "7"}, {"timeline", "1"}, {"lsn_start", "0/100100"},
                                                      {"lsn", "0/100200"}, {"wal_segment_bytes", "1048576"}}};

    void log(std::uint32_t timeline, std::uint64_t first, std::uint64_t end, Duration after) {
        auto& repository = test.repository();
        auto stream = postgres::cluster_log(repository.keys(), "db", 7);
        auto sealed = seal_wal_range(repository, stream, timeline, first, Bytes(end - first, 1), ten + after).value();
        ASSERT_TRUE(repository.store().put(ObjectKey(sealed.key), sealed.parts(), {}));
    }
    std::optional<Duration> complete() {
        auto found = log_complete_until(test.workspace(), test.repository(), point, {});
        EXPECT_TRUE(found) << found.error().message;
        return found && *found ? std::optional(**found - ten) : std::nullopt;
    }
};
using std::chrono::minutes;

TEST_F(LogPositionTest, TheLastObjectSaysIt) {
    EXPECT_EQ(complete(), std::nullopt) << "no log";
    log(1, 0x100000, 0x100180, minutes(1));
    EXPECT_EQ(complete(), std::nullopt) << "none behind the base backup";
    log(1, 0x100180, 0x100300, minutes(2));
    EXPECT_EQ(complete(), minutes(2));
    log(2, 0x100300, 0x100400, minutes(3));
    EXPECT_EQ(complete(), minutes(3)) << "on the timeline that goes on";
}

TEST_F(LogPositionTest, AGapEndsIt) {
    log(1, 0x100180, 0x100300, minutes(2));
    log(1, 0x100380, 0x100400, minutes(3));
    EXPECT_EQ(complete(), std::nullopt);
}

TEST_F(LogPositionTest, ALogThatBeganLaterDoesNotCount) {
    log(1, 0x100280, 0x100300, minutes(2));
    EXPECT_EQ(complete(), std::nullopt);
}

TEST_F(LogPositionTest, ATimelineThatMayHaveLeftBeforeTheBaseBackupDoesNotCount) {
    log(1, 0x100180, 0x100300, minutes(2));
    log(2, 0x100000, 0x100400, minutes(3));
    EXPECT_EQ(complete(), std::nullopt);
}

TEST_F(LogPositionTest, AServerThatHasNothingToSayIsHeard) {
    KeptLogPosition kept(test.workspace(), test.repository(), "db");
    kept.hear(ten + minutes(30));
    EXPECT_EQ(complete(), std::nullopt) << "without log it says nothing";
    log(1, 0x100180, 0x100300, minutes(2));
    EXPECT_EQ(complete(), minutes(30));
    kept.hear(ten + minutes(40));
    EXPECT_EQ(complete(), minutes(30)) << "it was written a moment ago";
}

}  // namespace
}  // namespace holdfast
