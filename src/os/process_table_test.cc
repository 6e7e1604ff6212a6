#include "os/process_table.h"

#include <cstdlib>
#include <filesystem>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include "os/child_process.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

class ProcessTable : public testing::Test {
  protected:
    ProcessTable() {
        auto pattern = (fs::temp_directory_path() / "below.XXXXXX").string();
        place_ = ::mkdtemp(pattern.data());
    }
    ~ProcessTable() override { fs::remove_all(place_); }

    std::unique_ptr<ChildProcess> start(fs::path const& directory, std::vector<std::string> argv) {
        fs::create_directories(directory);
        auto child = ChildProcess::start({.argv = std::move(argv), .directory = directory.string()});
        EXPECT_TRUE(child);
        return std::move(*child);
    }

    fs::path place_;
};

TEST_F(ProcessTable, FindsWhatWorksBelowADirectory) {
    auto const inside = start(place_ / "a" / "b", {"sleep", "60"});
    auto const beside = start(place_.string() + "-beside", {"sleep", "60"});
    auto const found = processes_below(place_.string() + "/");
    ASSERT_TRUE(found);
    ASSERT_EQ(found->size(), 1u);
    EXPECT_EQ(found->front().pid, inside->pid());
    EXPECT_EQ(found->front().name, "sleep");
    EXPECT_EQ(found->front().command, "sleep 60 ");
    fs::remove_all(place_);
    EXPECT_EQ(processes_below(place_.string())->size(), 1u) << "the directory is gone, the process is not";
    fs::remove_all(place_.string() + "-beside");
}

TEST_F(ProcessTable, EndsThemAndNobodyElse) {
    auto const polite = start(place_ / "a", {"sleep", "60"});
    auto const stubborn = start(place_ / "b", {"sh", "-c", "trap '' TERM; echo ready > ready; while :; do sleep 0.1; done"});
    auto const beside = start(place_.string() + "-beside", {"sleep", "60"});
    while (!fs::exists(place_ / "b" / "ready")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    auto const ended = stop_processes_below(place_.string(), std::chrono::milliseconds(300));
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_TRUE(polite->wait(std::chrono::seconds(5)));
    EXPECT_TRUE(stubborn->wait(std::chrono::seconds(5)));
    EXPECT_FALSE(beside->wait(std::chrono::milliseconds(0)));
    EXPECT_TRUE(processes_below(place_.string())->empty());
    EXPECT_TRUE(stop_processes_below(place_.string(), std::chrono::seconds(1))->empty());
    fs::remove_all(place_.string() + "-beside");
}

}  // namespace
}  // namespace holdfast
