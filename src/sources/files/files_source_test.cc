#include "sources/files/files_source.h"

#include <gmock/gmock.h>

#include "archive/diff.h"
#include "archive/test_directory.h"
#include "archive/test_repository.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Through the real way in and out: chunks, frames, packs, index.
class FilesSourceTest : public testing::Test {
  protected:
    TestDirectory home, target, cache;
    ManualClock clock{Time(std::chrono::seconds(4'000'000'000))};
    SeededRandom random{1};
    CachingRepository repository{clock, random, cache.path()};

    Capture capture(Source& source) {
        auto ingest = make_ingest(repository, {}, {});
        EXPECT_TRUE(ingest);
        CaptureContext context{repository, **ingest, "d", {}, {}, {}};
        auto captured = source.capture(context);
        EXPECT_TRUE(captured) << captured.error().message;
        EXPECT_TRUE((*ingest)->flush());
        EXPECT_TRUE(source.committed(repository));
        return captured ? std::move(*captured) : Capture{};
    }
    RestoreResult restore(Source& source, RecoveryPoint const& point, RestoreOptions options = {},
                          std::string path = "") {
        auto fetch = make_fetch(repository, {}, {});
        EXPECT_TRUE(fetch);
        RestoreContext context{**fetch, point, std::move(path), target.path(), std::move(options), {}, {}, {}};
        auto result = source.restore(context);
        EXPECT_TRUE(result) << result.error().message;
        return result ? std::move(*result) : RestoreResult{};
    }
    std::vector<std::string> differences(RecoveryPoint const& point) {
        auto fetch = make_fetch(repository, {}, {});
        std::vector<std::string> lines;
        auto visit = [&](Difference const& difference) -> Result<void> {
            lines.push_back(std::string(name(difference.change)) + " " + difference.path + ": " + difference.detail);
            return {};
        };
        EXPECT_TRUE(diff_live(**fetch, point.tree, target.path(), {}, visit, {}));
        return lines;
    }
};

TEST_F(FilesSourceTest, RoundTrip) {
    for (int i = 0; i < 300; ++i) {
        home.file("d" + std::to_string(i % 7) + "/f" + std::to_string(i), std::string(static_cast<std::size_t>(i * 40), 'x'));
    }
    auto large = noise(70 << 20, 5);  // more extents than lie inline
    home.file("large", as_text(large));
    ::symlink("large", (home / "link").c_str());
    ::truncate(home.file("sparse", "begin").c_str(), 1ll << 40);
    auto source = make_files_source({.paths = {home.path().string()}});
    auto first = capture(*source);
    EXPECT_EQ(first.problem_count, 0u);
    EXPECT_EQ(first.point.files, 303u);
    EXPECT_EQ(first.point.root, home.path().string());
    EXPECT_EQ(first.point.attributes["paths"], home.path().string());
    auto restored = restore(*source, first.point);
    EXPECT_THAT(restored.problems, IsEmpty());
    EXPECT_THAT(differences(first.point), IsEmpty());
    EXPECT_EQ(target.read("large"), as_text(large));
    EXPECT_EQ(restore(*source, first.point).bytes_written, 0u);
    EXPECT_THAT(*source->validate(target.path(), {}), IsEmpty());

    // The second capture reads only what changed, and is the same where nothing did.
    home.file("d1/f1", "changed");
    auto second = capture(*source);
    EXPECT_EQ(second.point.unreadable, 0u);
    EXPECT_NE(second.point.tree, first.point.tree);
    restore(*source, second.point);
    EXPECT_THAT(differences(second.point), IsEmpty());
}

TEST_F(FilesSourceTest, WhatTheCapturePassedOverIsNotForeign) {
    home.file("a/keep", "1");
    home.file("a/x.lock", "2");
    home.file("cache/y", "3");
    auto source = make_files_source({.paths = {home.path().string()}, .exclude = {"*.lock", home / "cache"}});
    auto captured = capture(*source);
    EXPECT_EQ(captured.point.files, 1u);
    target.file("a/x.lock", "mine");
    target.file("cache/y", "mine");
    target.file("foreign", "");
    auto result = restore(*source, captured.point, {.delete_extra = true});
    EXPECT_EQ(result.deleted, 1u);
    EXPECT_EQ(target.read("a/x.lock"), "mine");
    EXPECT_EQ(target.read("cache/y"), "mine");
    EXPECT_EQ(target.read("a/keep"), "1");
    // Below a path of the point the patterns mean the same.
    target.file("z.lock", "mine");
    restore(*source, captured.point, {.delete_extra = true}, "/a/");
    EXPECT_EQ(target.read("z.lock"), "mine");
    EXPECT_EQ(target.read("keep"), "1");
    EXPECT_FALSE(target.has("a"));
}

TEST_F(FilesSourceTest, AMissingSourceIsAnError) {
    auto source = make_files_source({.paths = {home / "nowhere"}});
    auto ingest = make_ingest(repository, {}, {});
    CaptureContext context{repository, **ingest, "d", {}, {}, {}};
    auto captured = source->capture(context);
    ASSERT_FALSE(captured);
    EXPECT_EQ(captured.error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace holdfast
