// Trees of files through the real engine on real threads, small enough for the thread sanitizer. What
// a tree holds is tested beside this, over chunks that are faked.
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "archive/back_up.h"
#include "archive/diff.h"
#include "archive/restore.h"
#include "archive/test_directory.h"
#include "archive/test_repository.h"

namespace holdfast {
namespace {

using testing::IsEmpty;

class Threads : public testing::Test {
  protected:
    static constexpr int kFiles = 120;

    TestDirectory source, target, cache;
    ManualClock clock{Time(std::chrono::seconds(4'000'000'000))};
    SeededRandom random{1};
    CachingRepository repository{clock, random, cache.path(), make_thread_executor(3)};

    void SetUp() override {
        for (int i = 0; i < kFiles; ++i) {
            auto name = "d" + std::to_string(i % 7) + "/f" + std::to_string(i);
            source.file(name, as_text(prose(static_cast<std::size_t>(i) * 97, static_cast<std::uint64_t>(i % 50))));
        }
        source.file("large", as_text(noise(3 << 20, 5)));
    }
    BackUpResult back_up() {
        auto ingest = make_ingest(repository, {.pack_bytes = 1 << 18, .frames_in_flight_bytes = 1 << 20, .zstd_level = 1},
                                  {});
        EXPECT_TRUE(ingest);
        std::atomic<std::uint64_t> told = 0;
        auto progress = [&](Progress const& at) { told = at.bytes; };
        auto result = back_up_tree(repository, **ingest, "d", {.paths = {source.path().string()}}, progress, {}, {});
        EXPECT_TRUE(result) << result.error().message;
        EXPECT_TRUE((*ingest)->flush());
        EXPECT_TRUE(commit_capture_cache(repository, "d"));
        return result ? std::move(*result) : BackUpResult{};
    }
    Result<RestoreResult> restore(Content const& tree, RestoreOptions const& options = {}, std::stop_token stop = {}) {
        auto fetch = TRY(make_fetch(repository, {}, stop));
        std::atomic<std::uint64_t> told = 0;
        auto progress = [&](Progress const& at) { told = at.bytes; };
        return restore_tree(*fetch, tree, "", target.path(), options, progress, stop);
    }
    std::vector<std::string> differences(Content const& tree) {
        auto fetch = make_fetch(repository, {}, {}).value();
        std::vector<std::string> lines;
        auto visit = [&](Difference const& difference) -> Result<void> {
            lines.push_back(difference.path + ": " + difference.detail);
            return {};
        };
        EXPECT_TRUE(diff_live(*fetch, tree, target.path(), {}, visit, {}));
        return lines;
    }
};

TEST_F(Threads, WhatGoesInComesOut) {
    auto first = back_up();
    EXPECT_EQ(first.files, kFiles + 1u);
    auto restored = restore(first.tree);
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(restored->files, kFiles + 1u);
    EXPECT_THAT(differences(first.tree), IsEmpty());

    source.file("d3/f3", "changed");
    source.file("new", as_text(noise(400'000, 6)));
    clock.advance(std::chrono::hours(1));
    auto second = back_up();
    EXPECT_EQ(second.unchanged, kFiles + 0u);
    ASSERT_TRUE(restore(second.tree));
    EXPECT_THAT(differences(second.tree), IsEmpty());
    EXPECT_EQ(target.read("d3/f3"), "changed");
}

TEST_F(Threads, DamageCostsWhatItTouches) {
    auto tree = back_up().tree;
    auto& store = repository.objects();
    std::size_t hurt = 0;
    for (auto const& key : store.keys("packs/")) {
        // Packs of the large file alone: a tree's pack costs all that it names.
        auto& bytes = store.objects[key];
        if (bytes.size() <= (1 << 18) || hurt++ % 2 != 0) continue;
        // More than parity mends.
        auto third = static_cast<std::ptrdiff_t>(bytes.size() / 3);
        std::fill(bytes.begin() + third, bytes.end() - third, std::uint8_t{0});
    }
    ASSERT_GT(hurt, 1u);
    EXPECT_FALSE(restore(tree));
    auto restored = restore(tree, {.skip_damaged = true});
    ASSERT_TRUE(restored) << restored.error().message;
    EXPECT_THAT(restored->damaged, testing::Contains("large"));
    EXPECT_EQ(target.read("d6/f6"), source.read("d6/f6"));
}

TEST_F(Threads, StopsWhenAskedAndGoesOnLater) {
    auto tree = back_up().tree;
    std::stop_source stop;
    std::atomic<int> reads = 0;
    repository.objects().before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation.starts_with("get") && ++reads == 4) stop.request_stop();
        return {};
    };
    auto stopped = restore(tree, {}, stop.get_token());
    repository.objects().before = nullptr;
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().kind, ErrorKind::cancelled);
    ASSERT_TRUE(restore(tree));
    EXPECT_THAT(differences(tree), IsEmpty());
}

}  // namespace
}  // namespace holdfast
