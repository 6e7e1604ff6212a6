#include "datasets/receive_log.h"

#include <gtest/gtest.h>

#include "datasets/test_workspace.h"
#include "sources/postgres/same_system.h"

namespace holdfast {
namespace {

struct ReceiveLogTest : testing::Test {
    TestWorkspace test;
    Time now = parse_rfc3339("2026-11-27T10:00:00Z").value();

    // A base backup that ended at `lsn` of a timeline.
    void base(std::string const& timeline, std::string const& lsn) {
        auto ingest = test.repository().begin_ingest({}, {}).value();
        now += std::chrono::hours(1);
        RecoveryPoint point{.dataset = "db", .kind = "postgres", .started = now, .time = now, .root = "/srv", .tree = {},
                            .unreadable = 0, .host = "test", .version = "0",
                            .attributes = {{"system_identifier", "7"}, {"timeline", timeline}, {"lsn", lsn}}};
        auto published = test.repository().publish(*ingest, std::move(point), {});
        ASSERT_TRUE(published) << published.error().message;
    }
    void log(std::uint32_t timeline, std::uint64_t first, std::uint64_t end) {
        auto& repository = test.repository();
        auto stream = postgres::cluster_log(repository.keys(), "db", 7);
        auto sealed = seal_wal_range(repository, stream, timeline, first, Bytes(end - first, 1), now).value();
        auto put = repository.store().put(ObjectKey(sealed.key), sealed.parts(), {});
        ASSERT_TRUE(put) << put.error().message;
    }
    bool cut_off() {
        auto found = log_is_cut_off(test.repository(), "db", {});
        EXPECT_TRUE(found) << found.error().message;
        return *found;
    }
};

TEST_F(ReceiveLogTest, ABaseBackupReachesTheEndOfALogWithoutGap) {
    EXPECT_FALSE(cut_off()) << "nothing at all";
    base("1", "0/150");
    EXPECT_FALSE(cut_off()) << "no log yet";
    log(1, 0x100, 0x200);
    log(1, 0x200, 0x300);
    EXPECT_FALSE(cut_off());
    log(2, 0x300, 0x400);
    EXPECT_FALSE(cut_off()) << "another timeline";
}

TEST_F(ReceiveLogTest, AGapBehindItCutsItOffUntilTheNextOne) {
    base("1", "0/150");
    log(1, 0x100, 0x200);
    log(1, 0x280, 0x300);
    EXPECT_TRUE(cut_off());
    base("1", "0/290");
    EXPECT_FALSE(cut_off()) << "a gap before it is not its concern";
}

TEST_F(ReceiveLogTest, ALogThatBeganLaterIsCutOff) {
    base("1", "0/50");
    log(1, 0x100, 0x200);
    EXPECT_TRUE(cut_off());
}

TEST_F(ReceiveLogTest, AGapOnALaterTimelineCutsItOff) {
    base("1", "0/150");
    log(1, 0x100, 0x200);
    log(2, 0x200, 0x300);
    log(2, 0x380, 0x400);
    EXPECT_TRUE(cut_off());
}

}  // namespace
}  // namespace holdfast
