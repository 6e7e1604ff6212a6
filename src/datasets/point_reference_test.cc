#include "datasets/point_reference.h"

#include <gmock/gmock.h>

#include "datasets/suspicion.h"
#include "datasets/test_workspace.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

struct PointReferenceTest : testing::Test {
    TestWorkspace test;
    PointInfo first = test.add("data", "2026-01-01T10:00:00Z");
    PointInfo second = test.add("data", "2026-01-02T10:00:00.250Z");
    PointInfo third = test.add("data", "2026-01-03T10:00:00Z");

    Result<PointReference> find(std::string_view text, FindPointOptions options = {}) {
        return find_point(test.workspace(), text, options, {});
    }
    PointId id(std::string_view text) {
        auto found = find(text);
        EXPECT_TRUE(found) << text << ": " << found.error().message;
        return found ? found->info.id : PointId{};
    }
    Error refused(std::string_view text, FindPointOptions options = {}) {
        auto found = find(text, options);
        EXPECT_FALSE(found) << text;
        return found ? Error{} : found.error();
    }
};

TEST_F(PointReferenceTest, FindsByName) {
    EXPECT_EQ(id("data"), third.id);
    EXPECT_EQ(id("data@latest"), third.id);
    EXPECT_EQ(id("data~0"), third.id);
    EXPECT_EQ(id("data~1"), second.id);
    EXPECT_EQ(id("data~2"), first.id);
    auto found = find("data").value();
    EXPECT_EQ(found.repository, test.repository_path());
    EXPECT_THAT(found.newer_damaged, IsEmpty());
}

TEST_F(PointReferenceTest, FindsTheNewestThatIsNotYoungerThanATime) {
    EXPECT_EQ(id("data@2026-01-01T10:00:00Z"), first.id);
    EXPECT_EQ(id("data@2026-01-02T09:59:59Z"), first.id);
    EXPECT_EQ(id("data@2026-01-02T11:00:01+01:00"), second.id);
    EXPECT_EQ(id("data@2027-01-01T00:00:00Z"), third.id);
    // `points` shows 10:00:00 for 10:00:00.250: what is read there names that point.
    EXPECT_EQ(id("data@2026-01-02T10:00:00Z"), second.id);
    EXPECT_EQ(id("data@2026-01-02T10:00:00.249Z"), first.id);
    // As late as times go.
    EXPECT_EQ(id("data@2261-12-31T23:59:59Z"), third.id);

    auto early = refused("data@2025-12-31T00:00:00Z");
    EXPECT_EQ(early.kind, ErrorKind::not_found);
    EXPECT_THAT(early.message, HasSubstr("the oldest point is younger"));
}

TEST_F(PointReferenceTest, FindsByTheBeginningOfAnId) {
    EXPECT_EQ(id(second.id.hex()), second.id);
    EXPECT_EQ(id(second.id.hex().substr(0, 16)), second.id);
    auto few = refused("00a");
    EXPECT_EQ(few.kind, ErrorKind::not_found);
    EXPECT_THAT(few.message, HasSubstr("no recovery point '00a'"));
    auto none = refused("ffffffffffffffff");
    EXPECT_EQ(none.kind, ErrorKind::not_found);
    EXPECT_THAT(none.message, HasSubstr("begins with 'ffffffffffffffff'"));
}

TEST_F(PointReferenceTest, AnAmbiguousBeginningIsUsage) {
    // Points are sealed until two share four digits (some 300), and only those two are stored.
    auto& repository = test.repository();
    std::map<std::string, SealedPoint> sealed;
    std::string shared;
    for (int i = 0; shared.empty(); ++i) {
        RecoveryPoint point{.dataset = "other", .kind = "files", .started = {}, .time = Time(std::chrono::seconds(i)),
                            .root = "/", .tree = {}, .host = "", .version = "", .attributes = {}};
        auto one = seal_point(point, repository.keys(), system_random());
        auto four = one.id.hex().substr(0, 4);
        auto [other, added] = sealed.emplace(four, one);
        if (added) continue;
        for (auto const& stored : {one, other->second}) {
            ASSERT_TRUE(repository.store().put(ObjectKey(stored.key), stored.object, {}));
        }
        shared = four;
    }
    auto error = refused(shared);
    EXPECT_EQ(error.kind, ErrorKind::usage);
    EXPECT_THAT(error.message, HasSubstr("begins the ids of 2 points"));
    EXPECT_EQ(error.hint, "write more digits of the id");
}

TEST_F(PointReferenceTest, ANameThatLooksLikeAnIdIsAName) {
    auto feed = test.add("feed", "2026-01-01T00:00:00Z");
    EXPECT_EQ(id("feed"), feed.id);
    auto like_an_id = test.add(first.id.hex().substr(0, 8), "2026-01-01T00:00:00Z");
    EXPECT_EQ(id(first.id.hex().substr(0, 8)), like_an_id.id);
    EXPECT_EQ(id(first.id.hex().substr(0, 9)), first.id);
}

TEST_F(PointReferenceTest, NamesWithMarksAreSplitAtTheLast) {
    auto odd = test.add("files:/srv/me@home~1", "2026-01-01T00:00:00Z");
    EXPECT_EQ(id("files:/srv/me@home~1@latest"), odd.id);
    EXPECT_EQ(id("files:/srv/me@home~1@2026-06-01T00:00:00Z"), odd.id);
    EXPECT_EQ(refused("files:/srv/me@home~1").kind, ErrorKind::usage);
    EXPECT_EQ(refused("data~-1").kind, ErrorKind::not_found);
    EXPECT_EQ(refused("data~99999999999999999999999").kind, ErrorKind::not_found);
}

TEST_F(PointReferenceTest, RefusalsSayWhatToDo) {
    auto typo = refused("daat@latest");
    EXPECT_EQ(typo.kind, ErrorKind::not_found);
    EXPECT_EQ(typo.hint, "did you mean 'data'?");
    auto far = refused("data~3");
    EXPECT_EQ(far.kind, ErrorKind::not_found);
    EXPECT_THAT(far.message, HasSubstr("only 3 points"));
    for (auto const* text : {"data@", "data@yesterday", "data@2026-01-01", "data@2026-01-01T10:00:00"}) {
        auto error = refused(text);
        EXPECT_EQ(error.kind, ErrorKind::usage) << text;
        EXPECT_THAT(error.hint, HasSubstr("latest")) << text;
    }
    EXPECT_EQ(refused("").kind, ErrorKind::not_found);
    EXPECT_EQ(refused("@latest").kind, ErrorKind::not_found);
}

TEST_F(PointReferenceTest, PartialPointsAreLeftOutOnRequest) {
    auto partial = test.add("data", *parse_rfc3339("2026-01-04T10:00:00Z"), 2);
    EXPECT_EQ(id("data"), partial.id);
    auto whole = find("data", {.whole_only = true});
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->info.id, third.id);
}

TEST_F(PointReferenceTest, TellsOfDamagedPointsThatAreYounger) {
    auto damage = [&](PointInfo const& info) {
        for (auto const& entry : std::filesystem::recursive_directory_iterator(test.repository_path())) {
            if (entry.path().filename().string().find(info.id.hex()) == std::string::npos) continue;
            std::ofstream(entry.path(), std::ios::binary | std::ios::trunc) << "rotten";
        }
    };
    damage(third);
    auto workspace = Workspace::open(test.options()).value();
    auto found = find_point(*workspace, "data", {}, {});
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_EQ(found->info.id, second.id);
    EXPECT_THAT(found->newer_damaged, SizeIs(1));
    // Not where a state before it was asked for, nor where an id was.
    EXPECT_THAT(find_point(*workspace, "data@2026-01-02T12:00:00Z", {}, {})->newer_damaged, IsEmpty());
    EXPECT_THAT(find_point(*workspace, first.id.hex(), {}, {})->newer_damaged, IsEmpty());

    damage(first);
    damage(second);
    auto nothing = Workspace::open(test.options()).value();
    auto none = find_point(*nothing, "data", {}, {});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::damaged);
}

TEST_F(PointReferenceTest, TellsOfSuspectPointsAndTheNewestThatIsNot) {
    EXPECT_THAT(stand_in_warnings(find("data").value()), IsEmpty());
    auto suspect = [&](std::string_view time) {
        return test.add("data", parse_rfc3339(time).value(), 0, {{kSuspectAttribute, "all is noise"}});
    };
    suspect("2026-01-04T10:00:00Z");
    auto latest = suspect("2026-01-05T10:00:00Z");
    auto warnings = stand_in_warnings(find("data@latest").value());
    ASSERT_THAT(warnings, SizeIs(1));
    EXPECT_THAT(warnings[0], AllOf(HasSubstr(latest.id.brief()), HasSubstr("is suspect (all is noise)"),
                                   HasSubstr("the newest that is not is " + third.id.brief())));
    // Who names the point means it, and an older one is not in question.
    EXPECT_THAT(stand_in_warnings(find(latest.id.hex()).value()), IsEmpty());
    EXPECT_THAT(stand_in_warnings(find("data@2026-01-03T10:00:00Z").value()), IsEmpty());
}

TEST(SplitPointPath, SplitsBehindThePoint) {
    EXPECT_THAT(split_point_path("data"), Pair("data", ""));
    EXPECT_THAT(split_point_path("3fa2b1c4:etc/hosts"), Pair("3fa2b1c4", "etc/hosts"));
    EXPECT_THAT(split_point_path("data:etc/a:b"), Pair("data", "etc/a:b"));
    EXPECT_THAT(split_point_path("data@latest:etc"), Pair("data@latest", "etc"));
    EXPECT_THAT(split_point_path("data~2:etc"), Pair("data~2", "etc"));
    EXPECT_THAT(split_point_path("data@2026-11-22T10:31:07Z:etc"), Pair("data@2026-11-22T10:31:07Z", "etc"));
    EXPECT_THAT(split_point_path("data@2026-11-22 10:31:07.5+01:00:etc"),
                Pair("data@2026-11-22 10:31:07.5+01:00", "etc"));
    EXPECT_THAT(split_point_path("data@2026-11-22T10:31:07Z"), Pair("data@2026-11-22T10:31:07Z", ""));
}

TEST(SplitPointPath, AdHocNamesKeepTheirColons) {
    EXPECT_THAT(split_point_path("files:/srv/data"), Pair("files:/srv/data", ""));
    EXPECT_THAT(split_point_path("files:/srv/data:sub/x"), Pair("files:/srv/data", "sub/x"));
    EXPECT_THAT(split_point_path("files:/srv/a:b@latest:sub/x"), Pair("files:/srv/a:b@latest", "sub/x"));
    EXPECT_THAT(split_point_path("postgres:db1:5432,db2:5432~1"), Pair("postgres:db1:5432,db2:5432~1", ""));
    EXPECT_THAT(split_point_path("models:/m@latest:a.safetensors"), Pair("models:/m@latest", "a.safetensors"));
}

TEST(SplitPointPath, MarksInPathsBelongToThePath) {
    EXPECT_THAT(split_point_path("data:notes.txt~1"), Pair("data", "notes.txt~1"));
    EXPECT_THAT(split_point_path("3fa2b1c4:mail/me@latest"), Pair("3fa2b1c4", "mail/me@latest"));
    EXPECT_THAT(split_point_path("data@latest:old~2:x"), Pair("data@latest", "old~2:x"));
}

}  // namespace
}  // namespace holdfast
