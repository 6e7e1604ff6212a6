#include "sources/models/models_source.h"

#include <gmock/gmock.h>

#include "archive/test_directory.h"
#include "archive/test_repository.h"

namespace holdfast {
namespace {

// Through the real way in and out: chunks, frames, packs, index.
class ModelsSourceTest : public testing::Test {
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
    RestoreResult restore(Source& source, RecoveryPoint const& point, ProgressCallback progress = {}) {
        auto fetch = make_fetch(repository, {}, {});
        EXPECT_TRUE(fetch);
        RestoreContext context{**fetch, point, "",  target.path(), {.delete_extra = true, .durable = false},
                               {},      std::move(progress), {}};
        auto result = source.restore(context);
        EXPECT_TRUE(result) << result.error().message;
        return result ? std::move(*result) : RestoreResult{};
    }
};

TEST_F(ModelsSourceTest, WhatTheCapturePassedOverIsNotForeign) {
    home.file("vit/weights.bin", "1");
    home.file("vit/x.tmp", "2");
    home.file("cache/y", "3");
    auto source = make_models_source({.paths = {home.path().string()}, .exclude = {"*.tmp", home / "cache"}});
    auto captured = capture(*source);
    EXPECT_EQ(captured.point.files, 1u);
    EXPECT_EQ(captured.point.attributes["paths"], home.path().string());
    target.file("vit/x.tmp", "mine");
    target.file("cache/y", "mine");
    target.file("foreign", "");
    auto result = restore(*source, captured.point);
    EXPECT_EQ(result.deleted, 1u);
    EXPECT_EQ(target.read("vit/x.tmp"), "mine");
    EXPECT_EQ(target.read("cache/y"), "mine");
    EXPECT_EQ(target.read("vit/weights.bin"), "1");
    EXPECT_FALSE(target.has("foreign"));
}

TEST_F(ModelsSourceTest, ProgressKnowsTheWhole) {
    home.file("weights.bin", std::string(1 << 20, 'w'));
    auto source = make_models_source({.paths = {home.path().string()}});
    auto captured = capture(*source);
    Progress last;
    restore(*source, captured.point, [&](Progress const& at) { last = at; });
    EXPECT_EQ(last.files_total, 1u);
    EXPECT_EQ(last.bytes_total, captured.point.bytes);
}

}  // namespace
}  // namespace holdfast
