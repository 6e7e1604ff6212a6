#include "datasets/ladder.h"

#include <gmock/gmock.h>

#include "datasets/back_up.h"
#include "datasets/restore_point.h"
#include "datasets/test_workspace.h"
#include "datasets/verify_points.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using std::chrono::hours;
using std::chrono::minutes;

struct LadderTest : testing::Test {
    TestWorkspace test;
    Time now = system_clock().now();
    std::unique_ptr<Workspace> workspace = open("1h");

    std::unique_ptr<Workspace> open(std::string const& rpo) {
        auto options = test.options();
        options.repository_url.clear();
        options.plan_file = test.plan("data", rpo);
        auto opened = Workspace::open(std::move(options));
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }
    Standing only() {
        auto found = standings(*workspace, {});
        EXPECT_TRUE(found) << found.error().message;
        EXPECT_THAT(*found, SizeIs(1));
        return found->front();
    }
    void reach(PointInfo const& info, catalog::Rung rung) {
        auto* catalog = workspace->catalog().value();
        auto id = test.repository().id().hex();
        ASSERT_TRUE(catalog->note_point(catalog_point(test.repository(), info)));
        ASSERT_TRUE(catalog->reach(id, info.id.hex(), rung, ""));
    }
};

TEST_F(LadderTest, WithoutAPointTheObjectiveIsMissed) {
    auto standing = only();
    EXPECT_EQ(standing.dataset, "data");
    EXPECT_EQ(standing.tier, "critical");
    EXPECT_EQ(standing.kind, "files");
    EXPECT_EQ(standing.objective, Duration(hours(1)));
    EXPECT_EQ(standing.points, 0u);
    EXPECT_EQ(standing.state, Standing::State::missed);
    EXPECT_EQ(standing.reason, "there is no recovery point");
    EXPECT_FALSE(standing.achieved);
}

TEST_F(LadderTest, WhatIsOnlyStoredDoesNotCount) {
    auto info = test.add("data", now - minutes(1));
    auto standing = only();
    EXPECT_EQ(standing.points, 1u);
    EXPECT_EQ(standing.stored.point, info.id);
    EXPECT_EQ(standing.stored.time, info.point.time);
    EXPECT_FALSE(standing.hashed.point);
    EXPECT_EQ(standing.state, Standing::State::missed);
    EXPECT_THAT(standing.reason, HasSubstr("no point is verified yet"));
}

TEST_F(LadderTest, AgesDecide) {
    auto info = test.add("data", now - minutes(10));
    reach(info, catalog::Rung::hashed);
    auto met = only();
    EXPECT_EQ(met.state, Standing::State::met);
    EXPECT_THAT(met.reason, IsEmpty());
    ASSERT_TRUE(met.achieved);
    EXPECT_GE(*met.achieved, minutes(10));
    EXPECT_LT(*met.achieved, minutes(12));

    workspace = open("12m");
    auto at_risk = only();
    EXPECT_EQ(at_risk.state, Standing::State::at_risk);
    EXPECT_THAT(at_risk.reason, HasSubstr("80 %"));

    workspace = open("5m");
    auto missed = only();
    EXPECT_EQ(missed.state, Standing::State::missed);
    EXPECT_THAT(missed.reason, HasSubstr("the newest point is 10m"));
}

TEST_F(LadderTest, NewerPointsThatAreNotVerifiedDoNotHelp) {
    reach(test.add("data", now - hours(2)), catalog::Rung::validated);
    auto newer = test.add("data", now - minutes(1));
    auto standing = only();
    EXPECT_EQ(standing.state, Standing::State::missed);
    EXPECT_THAT(standing.reason, HasSubstr("newer points are not verified"));
    EXPECT_EQ(standing.stored.point, newer.id);
    EXPECT_NE(standing.validated.point, newer.id);
    EXPECT_GE(*standing.achieved, hours(2));
}

TEST_F(LadderTest, HigherRungsIncludeLowerOnes) {
    auto older = test.add("data", now - minutes(30));
    auto newer = test.add("data", now - minutes(20));
    reach(older, catalog::Rung::validated);
    reach(newer, catalog::Rung::restored);
    auto standing = only();
    EXPECT_EQ(standing.hashed.point, newer.id);
    EXPECT_EQ(standing.restored.point, newer.id);
    EXPECT_EQ(standing.validated.point, older.id);
    EXPECT_TRUE(standing.validated.reached);
}

TEST_F(LadderTest, APointOfTheFutureHasNoNegativeAge) {
    reach(test.add("data", now + hours(1)), catalog::Rung::hashed);
    EXPECT_EQ(only().achieved, Duration(0));
}

TEST_F(LadderTest, ListsWhatThePlanDoesNotName) {
    test.add("files:/srv/other", now);
    auto found = standings(*workspace, {}).value();
    ASSERT_THAT(found, SizeIs(2));
    EXPECT_EQ(found[1].dataset, "files:/srv/other");
    EXPECT_EQ(found[1].kind, "files");
    EXPECT_EQ(found[1].state, Standing::State::unknown);
    EXPECT_EQ(found[1].reason, "no objective is stated");
}

TEST_F(LadderTest, BackupVerifyAndRestoreClimbIt) {
    test.directory.file("source/a", "alpha");
    test.directory.file("source/sub/b", std::string(300'000, 'b'));
    std::vector<std::string> warnings;
    auto warn = [&](std::string const& text) { warnings.push_back(text); };
    auto progress = [](Progress const&) {};
    auto dataset = workspace->dataset("data").value();
    auto done = back_up(*workspace, dataset, "primary", progress, warn, {});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->repository, "primary");
    EXPECT_EQ(done->point.point.files, 2u);
    EXPECT_EQ(done->problem_count, 0u);
    EXPECT_TRUE(only().stored.point);
    EXPECT_FALSE(only().hashed.point);

    auto verified = verify_points(*workspace, "primary", {.data = true, .scratch = ""}, progress, warn, {});
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_TRUE(verified->whole());
    EXPECT_EQ(only().hashed.point, done->point.id);
    EXPECT_FALSE(only().restored.point);
    EXPECT_EQ(only().state, Standing::State::met);

    auto point = find_point(*workspace, "data", {}, {}).value();
    auto target = test.directory.path() / "target";
    auto restored =
        restore_point(*workspace, point, {.path = "sub", .target = target, .restore = {}, .tablespaces = {}},
                      progress, warn, {});
    ASSERT_TRUE(restored) << restored.error().message;
    // A part proves nothing of the whole.
    EXPECT_FALSE(only().restored.point);
    target = test.directory.path() / "whole";
    restored = restore_point(*workspace, point, {.path = "", .target = target, .restore = {}, .tablespaces = {}},
                             progress, warn, {});
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_TRUE(restored->verified);
    EXPECT_EQ(only().restored.point, done->point.id);
    EXPECT_FALSE(only().validated.point);
    EXPECT_EQ(test.directory.read("whole/a"), "alpha");
    EXPECT_THAT(compare_with_point(*workspace, point, target, {}, {}).value(), IsEmpty());
    test.directory.file("whole/a", "beta!");
    EXPECT_THAT(compare_with_point(*workspace, point, target, {}, {}).value(), SizeIs(1));
    EXPECT_THAT(warnings, IsEmpty());
}

TEST_F(LadderTest, DamageIsFoundAndTakesThePointOffTheLadder) {
    test.directory.file("source/a", "alpha");
    auto ignore = [](std::string const&) {};
    auto progress = [](Progress const&) {};
    auto dataset = workspace->dataset("data").value();
    auto done = back_up(*workspace, dataset, "primary", progress, ignore, {});
    ASSERT_TRUE(done) << done.error().message;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(test.repository_path() + "/packs")) {
        if (!entry.is_regular_file()) continue;
        // More than parity mends.
        std::fstream file(entry.path(), std::ios::binary | std::ios::in | std::ios::out);
        file.seekp(static_cast<std::streamoff>(entry.file_size() / 4));
        file << std::string(entry.file_size() / 2, '!');
    }
    auto verified = verify_points(*workspace, "primary", {.data = true, .scratch = ""}, progress, ignore, {});
    ASSERT_TRUE(verified) << verified.error().message;
    EXPECT_FALSE(verified->whole());
    EXPECT_FALSE(only().hashed.point);
    EXPECT_EQ(only().state, Standing::State::missed);
}

}  // namespace
}  // namespace holdfast
