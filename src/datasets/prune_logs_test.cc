#include "datasets/prune_logs.h"

#include <gtest/gtest.h>

#include <set>

#include "datasets/test_workspace.h"
#include "repo/wal_log.h"
#include "repo/wal_object.h"
#include "sources/postgres/same_system.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kSegment = 1u << 20;

// Log is written in pieces of half a segment; its names alone decide.
struct ClusterLog {
    TestWorkspace test;
    Time now = parse_rfc3339("2026-11-27T10:00:00Z").value();

    void base(std::string const& timeline, std::uint64_t start, std::string const& leave_out = "", std::string const& dataset = "db") {
        auto ingest = test.repository().begin_ingest({}, {}).value();
        now += std::chrono::hours(1);
        RecoveryPoint point{.dataset = dataset, .kind = "postgres", .started = now, .time = now, .root = "/srv", .tree = {},
                            .unreadable = 0, .host = "test", .version = "0",
                            .attributes = {{"system_identifier", "7"}, {"timeline", timeline},
                                           {"lsn_start", to_text(Lsn{start})}, {"lsn", to_text(Lsn{start + 100})},
                                           {"wal_segment_bytes", std::to_string(kSegment)}}};
        point.attributes.erase(leave_out);
        auto published = test.repository().publish(*ingest, std::move(point), {});
        ASSERT_TRUE(published) << published.error().message;
    }
    // Pieces first … last of a timeline.
    void log(std::uint32_t timeline, int first, int last, std::string const& dataset = "db") {
        auto& repository = test.repository();
        auto stream = postgres::cluster_log(repository.keys(), dataset, 7);
        for (int piece = first; piece <= last; ++piece) {
            auto begin = static_cast<std::uint64_t>(piece) * kSegment / 2;
            auto sealed = seal_wal_range(repository, stream, timeline, begin, Bytes(kSegment / 2, 1), now).value();
            ASSERT_TRUE(repository.store().put(ObjectKey(sealed.key), sealed.parts(), {}));
        }
    }
    // Which pieces are there.
    std::set<int> pieces(std::uint32_t timeline, std::string const& dataset = "db") {
        std::set<int> there;
        auto log = list_wal(test.repository(), postgres::cluster_log(test.repository().keys(), dataset, 7), {}).value();
        for (auto const& range : log.timelines[timeline].ranges) there.insert(static_cast<int>(range.first / (kSegment / 2)));
        return there;
    }
    PrunedLogs prune(PruneLogsOptions options = {.grace = Duration(0)}) {
        auto pruned = prune_logs(test.repository(), options, {});
        EXPECT_TRUE(pruned) << pruned.error().message;
        return pruned ? *pruned : PrunedLogs{};
    }
};
struct PruneLogsTest : testing::Test, ClusterLog {};

TEST_F(PruneLogsTest, WhatLiesBeforeEveryBaseBackupGoes) {
    log(1, 0, 9);
    base("1", 7 * kSegment / 2);   // in the middle of segment 3, which begins with piece 6
    base("1", 8 * kSegment / 2);
    auto pruned = prune();
    EXPECT_EQ(pruned.objects, 6u);
    EXPECT_GT(pruned.bytes, 0u);
    EXPECT_EQ(pieces(1), (std::set<int>{6, 7, 8, 9}));
    EXPECT_EQ(prune().objects, 0u) << "and nothing more";
}

TEST_F(PruneLogsTest, ABaseBackupAtABorderNeedsWhatBeginsThere) {
    log(1, 0, 5);
    base("1", 4 * kSegment / 2);
    prune();
    EXPECT_EQ(pieces(1), (std::set<int>{4, 5}));
}

TEST_F(PruneLogsTest, WithoutABaseBackupNothingGoes) {
    log(1, 0, 3);
    EXPECT_EQ(prune().objects, 0u);
    base("1", 4 * kSegment, "", "another");
    EXPECT_EQ(prune().objects, 0u) << "another dataset's";
    EXPECT_EQ(pieces(1).size(), 4u);
}

TEST_F(PruneLogsTest, OneThatDoesNotSayWhatItNeedsKeepsEverything) {
    for (auto const* attribute : {"lsn_start", "timeline", "wal_segment_bytes", "system_identifier"}) {
        SCOPED_TRACE(attribute);
        ClusterLog fresh;
        fresh.log(1, 0, 3);
        fresh.base("1", 3 * kSegment);
        fresh.base("1", 2 * kSegment, attribute);
        EXPECT_EQ(fresh.prune().objects, 0u);
    }
}

TEST_F(PruneLogsTest, TimelinesThatEveryBaseBackupHasLeftGoAndLaterOnesStay) {
    log(1, 0, 3);
    log(2, 2, 7);
    log(3, 2, 3);  // a branch that went back: its base backup may be being made
    base("2", 6 * kSegment / 2);
    prune();
    EXPECT_TRUE(pieces(1).empty());
    EXPECT_EQ(pieces(2), (std::set<int>{6, 7}));
    EXPECT_EQ(pieces(3), (std::set<int>{2, 3}));
}

TEST_F(PruneLogsTest, TheOldestBaseBackupCountsWhateverItsTimeline) {
    log(1, 0, 9);
    log(2, 4, 9);
    base("1", 8 * kSegment / 2);
    base("2", 4 * kSegment / 2);  // brought back to an earlier moment, and goes on from there
    prune();
    EXPECT_EQ(pieces(1), (std::set<int>{4, 5, 6, 7, 8, 9}));
    EXPECT_EQ(pieces(2), (std::set<int>{4, 5, 6, 7, 8, 9}));
}

TEST_F(PruneLogsTest, WhatIsYoungStaysAndADryRunRemovesNothing) {
    log(1, 0, 3);
    base("1", kSegment);
    EXPECT_EQ(prune({}).objects, 0u) << "stored less than a day ago";
    EXPECT_EQ(prune({.dry_run = true, .grace = Duration(0)}).objects, 2u);
    EXPECT_EQ(pieces(1).size(), 4u);
}

TEST_F(PruneLogsTest, StoppedInTheMiddleTheOldestAreGone) {
    log(1, 0, 7);
    base("1", 3 * kSegment);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(prune_logs(test.repository(), {.grace = Duration(0)}, stop.get_token()));
    auto log = list_wal(test.repository(), postgres::cluster_log(test.repository().keys(), "db", 7), {}).value();
    EXPECT_EQ(log.timelines[1].covered().size(), 1u);
    prune();
    EXPECT_EQ(pieces(1), (std::set<int>{6, 7}));
}

}  // namespace
}  // namespace holdfast
