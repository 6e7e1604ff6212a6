#include "os/tree_watch.h"

#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

class TreeWatchTest : public testing::Test {
  protected:
    TreeWatchTest() {
        std::string pattern = (fs::temp_directory_path() / "holdfast-watch-XXXXXX").string();
        EXPECT_NE(mkdtemp(pattern.data()), nullptr);
        top = pattern;
        fs::create_directories(top / "tree/old");
    }
    ~TreeWatchTest() override { fs::remove_all(top); }

    void write(std::string const& name) { std::ofstream(top / "tree" / name) << "x"; }
    Result<TreeWatch> open(TreeWatch::Skip skip = {}) { return TreeWatch::open({top / "tree"}, std::move(skip)); }
    // The kernel queues an event before the call that it is about returns.
    bool heard(TreeWatch& watch) {
        auto changed = watch.wait(0s, {});
        EXPECT_TRUE(changed) << changed.error().message;
        return changed && *changed;
    }

    fs::path top;
};

TEST_F(TreeWatchTest, HearsWhatIsWrittenMovedAndRemoved) {
    write("old/before");
    auto watch = open();
    ASSERT_TRUE(watch) << watch.error().message;
    EXPECT_FALSE(heard(*watch)) << "that was before";
    write("old/a");
    EXPECT_TRUE(heard(*watch));
    EXPECT_FALSE(heard(*watch)) << "once";
    fs::rename(top / "tree/old/a", top / "tree/b");
    EXPECT_TRUE(heard(*watch));
    fs::remove(top / "tree/b");
    EXPECT_TRUE(heard(*watch));
    std::ifstream(top / "tree/old/before").get();
    EXPECT_FALSE(heard(*watch)) << "who reads changes nothing";
    std::ofstream(top / "elsewhere") << "x";
    EXPECT_FALSE(heard(*watch));
}

TEST_F(TreeWatchTest, HearsWhatIsInNewDirectories) {
    auto watch = open();
    ASSERT_TRUE(watch);
    fs::create_directories(top / "tree/new/deep/deeper");
    EXPECT_TRUE(heard(*watch));
    EXPECT_FALSE(heard(*watch));
    write("new/deep/deeper/a");
    EXPECT_TRUE(heard(*watch));
    // Moved: known by its new name, with what is below.
    fs::rename(top / "tree/new", top / "tree/moved");
    EXPECT_TRUE(heard(*watch));
    fs::create_directory(top / "tree/moved/deep/fresh");
    EXPECT_TRUE(heard(*watch));
    write("moved/deep/fresh/a");
    EXPECT_TRUE(heard(*watch));
    // Moved in from outside.
    fs::create_directories(top / "outside/deep");
    fs::rename(top / "outside", top / "tree/inside");
    EXPECT_TRUE(heard(*watch));
    write("inside/deep/a");
    EXPECT_TRUE(heard(*watch));
}

// A file appears in each directory as soon as that exists, and there is nobody who could miss it.
TEST_F(TreeWatchTest, MissesNothingBetweenALookAndAWatch) {
    auto watch = open();
    ASSERT_TRUE(watch);
    constexpr int kDirectories = 200;
    std::jthread writer([&] {
        for (int i = 0; i < kDirectories; ++i) {
            fs::create_directory(top / "tree" / std::to_string(i));
            // Some come at once, some when the directory has been looked at.
            if (i % 20 == 19) std::this_thread::sleep_for(20ms);
            write(std::to_string(i) + "/a");
        }
    });
    auto seen = [&] {
        int files = 0;
        for (auto const& entry : fs::recursive_directory_iterator(top / "tree")) files += entry.is_regular_file() ? 1 : 0;
        return files;
    };
    // Only what was heard is looked at.
    for (int found = 0; found < kDirectories;) {
        auto changed = watch->wait(20s, {});
        ASSERT_TRUE(changed && *changed) << "nothing is heard of the last " << kDirectories - found;
        found = seen();
    }
}

TEST_F(TreeWatchTest, LooksAgainWhenTheKernelLostEvents) {
    auto watch = open();
    ASSERT_TRUE(watch);
    std::size_t queue = 0;
    std::ifstream("/proc/sys/fs/inotify/max_queued_events") >> queue;
    if (queue == 0 || queue > 100'000) GTEST_SKIP() << "the queue holds " << queue << " events";
    // Each has another name than the one before it: equal ones become one.
    for (std::size_t i = 0; i <= queue; ++i) fs::permissions(top / (i % 2 ? "tree" : "tree/old"), fs::perms::owner_all);
    fs::create_directory(top / "tree/lost");
    EXPECT_TRUE(heard(*watch));
    EXPECT_FALSE(heard(*watch));
    write("lost/a");
    EXPECT_TRUE(heard(*watch)) << "the directory's own event was lost";
}

TEST_F(TreeWatchTest, SkipsWhatIsNotWanted) {
    auto watch = open([&](std::string const& directory) { return directory == top / "tree/cache" || directory == top / "tree/old"; });
    ASSERT_TRUE(watch);
    write("old/a");
    EXPECT_FALSE(heard(*watch));
    fs::create_directory(top / "tree/cache");
    EXPECT_TRUE(heard(*watch)) << "its name is in a directory that is watched";
    write("cache/a");
    EXPECT_FALSE(heard(*watch));
}

TEST_F(TreeWatchTest, SaysWhenItsDirectoryIsGone) {
    for (bool moved : {true, false}) {
        fs::create_directories(top / "tree/old");
        auto watch = open();
        ASSERT_TRUE(watch);
        if (moved) {
            fs::rename(top / "tree", top / "away");
        } else {
            fs::remove_all(top / "tree");
        }
        auto changed = watch->wait(0s, {});
        ASSERT_FALSE(changed) << moved;
        EXPECT_EQ(changed.error().kind, ErrorKind::not_found) << changed.error().message;
    }
    EXPECT_EQ(open().error().kind, ErrorKind::not_found);
    std::ofstream(top / "tree") << "a file";
    EXPECT_EQ(open().error().kind, ErrorKind::usage);
}

TEST_F(TreeWatchTest, EndsWhenItIsStopped) {
    auto watch = open();
    ASSERT_TRUE(watch);
    std::stop_source stop;
    std::jthread stopper([&] { stop.request_stop(); });
    auto changed = watch->wait(1h, stop.get_token());
    ASSERT_TRUE(changed);
    EXPECT_FALSE(*changed);
}

}  // namespace
}  // namespace holdfast
