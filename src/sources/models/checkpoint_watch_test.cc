#include "sources/models/checkpoint_watch.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "archive/test_directory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

class CheckpointWatchTest : public testing::Test {
  protected:
    // As if the file had been written to so long before `now`.
    void write(std::string const& name, std::string const& content, Duration before_now = 1h) {
        home.file(name, content);
        auto const seconds = std::chrono::floor<std::chrono::seconds>(now - before_now).time_since_epoch().count();
        timespec const times[2] = {{.tv_sec = seconds, .tv_nsec = 0}, {.tv_sec = seconds, .tv_nsec = 0}};
        ASSERT_EQ(::utimensat(AT_FDCWD, (home / name).c_str(), times, 0), 0);
    }
    CheckpointWatch watch(Time captured, CheckpointRules rules = {}) {
        return {{.paths = {home.path().string()}, .exclude = {"*.tmp"}, .checkpoints = std::move(rules)}, captured};
    }

    TestDirectory home;
    Time now{std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch())};
};

TEST_F(CheckpointWatchTest, NamesWhatCameSinceTheLastPoint) {
    write("step-1/a.pt", "1");
    EXPECT_THAT(watch(Time{}).look(now).come, ElementsAre(home / "step-1"));
    EXPECT_THAT(watch(now - 1h).look(now).come, ElementsAre(home / "step-1"));
    // Changed is not written to: a file that was moved here is as old as it was.
    auto later = watch(now + 1h);
    EXPECT_THAT(later.look(now).come, IsEmpty()) << "a point has it";
    write("step-2/a.pt", "2");
    write("notes/readme.txt", "no checkpoint");
    EXPECT_THAT(later.look(now).come, ElementsAre(home / "step-2"));
    EXPECT_THAT(later.look(now).come, IsEmpty()) << "once";
    std::filesystem::remove_all(home / "step-1");
    EXPECT_THAT(later.look(now).come, IsEmpty()) << "what goes is no reason";
}

TEST_F(CheckpointWatchTest, WaitsUntilItHasSettled) {
    auto watched = watch(Time{}, {.settle = 10s});
    write("step-1/a.pt", "1", 4s);
    auto look = watched.look(now);
    EXPECT_THAT(look.come, IsEmpty());
    EXPECT_EQ(look.again_in, 6s);
    write("step-1/b.pt", "1", 1s);
    look = watched.look(now);
    EXPECT_THAT(look.come, IsEmpty());
    EXPECT_EQ(look.again_in, 9s);
    look = watched.look(now + 9s);
    EXPECT_THAT(look.come, ElementsAre(home / "step-1"));
    EXPECT_EQ(look.again_in, std::nullopt);
}

TEST_F(CheckpointWatchTest, WaitsForWhatIsMissing) {
    auto watched = watch(Time{});
    write("step-1/a.pt.tmp", "1", 1min);
    write("step-1/b.pt", "1");
    write("step-2/m.safetensors.index.json", R"({"weight_map":{"t":"a.safetensors"}})");
    write("step-3/a.pt", "3");
    EXPECT_THAT(watched.look(now).come, ElementsAre(home / "step-3"));
    std::filesystem::rename(home / "step-1/a.pt.tmp", home / "step-1/a.pt");
    EXPECT_THAT(watched.look(now).come, ElementsAre(home / "step-1"));
    write("step-2/a.safetensors", "1");
    EXPECT_THAT(watched.look(now).come, ElementsAre(home / "step-2"));
}

TEST_F(CheckpointWatchTest, WaitsForItsMark) {
    auto watched = watch(Time{}, {.settle = 0s, .done = "DONE"});
    write("step-1/a.pt", "1", 2s);
    auto look = watched.look(now);
    EXPECT_THAT(look.come, IsEmpty());
    EXPECT_EQ(look.again_in, 1s);
    write("step-1/DONE", "", 1s);
    look = watched.look(now);
    EXPECT_THAT(look.come, ElementsAre(home / "step-1"));
    EXPECT_EQ(look.again_in, std::nullopt);
    // The next one is written over it.
    write("step-1/a.pt", "2", 0s);
    EXPECT_THAT(watched.look(now).come, IsEmpty());
    write("step-1/DONE", "", 0s);
    EXPECT_THAT(watched.look(now).come, ElementsAre(home / "step-1"));
}

}  // namespace
}  // namespace holdfast
