#include "drill/place.h"

#include <cstdlib>
#include <fstream>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>

#include "drill/isolated_runbook.h"
#include "os/child_process.h"

namespace holdfast::drill {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class DrillPlace : public testing::Test {
  protected:
    DrillPlace() {
        auto pattern = (fs::temp_directory_path() / "place.XXXXXX").string();
        state_ = ::mkdtemp(pattern.data());
    }
    ~DrillPlace() override { EXPECT_TRUE(remove_tree(state_)); }

    PlaceOptions options(std::string id) { return {.state = state_, .id = std::move(id)}; }
    bool is_noted(std::string const& id) { return fs::exists(state_ / "drills" / id); }

    // A drill that is killed by -9 once its place is made; returns the place.
    fs::path killed_drill(std::string const& id) {
        auto const child = ::fork();
        if (child == 0) {
            auto place = Place::make(options(id));
            if (place) std::ofstream(place->path() / "files" / "restored") << "data";
            ::raise(SIGKILL);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_TRUE(WIFSIGNALED(status));
        return state_ / "scratch" / ("holdfast-drill-" + id);
    }

    fs::path state_;
};

mode_t mode_of(fs::path const& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0);
    return info.st_mode & 07777;
}

TEST_F(DrillPlace, IsPrivateAndGoesAway) {
    auto place = Place::make(options("20261122T103107-5f0c"));
    ASSERT_TRUE(place) << place.error().message;
    EXPECT_EQ(place->path().parent_path(), state_ / "scratch");
    EXPECT_EQ(mode_of(place->path()), 0700u);
    EXPECT_EQ(mode_of(files_of(place->path())), 0700u);
    EXPECT_TRUE(is_noted("20261122T103107-5f0c"));
    std::ofstream(files_of(place->path()) / "x") << "data";
    for (auto const& statement : place->clean_up()) EXPECT_TRUE(statement.holds) << statement.what;
    EXPECT_FALSE(fs::exists(place->path()));
    { auto const last = std::move(*place); }
    EXPECT_FALSE(is_noted("20261122T103107-5f0c"));
}

TEST_F(DrillPlace, GoesAwayWithoutBeingAsked) {
    fs::path path;
    {
        auto const place = Place::make(options("a"));
        path = place->path();
    }
    EXPECT_FALSE(fs::exists(path));
    EXPECT_FALSE(is_noted("a"));
}

TEST_F(DrillPlace, LiesWhereTheUserWantsIt) {
    auto wanted = options("a");
    wanted.in = state_ / "elsewhere";
    auto const place = Place::make(wanted);
    EXPECT_EQ(place->path(), state_ / "elsewhere" / "holdfast-drill-a") << "never the directory itself: it is removed";
}

TEST_F(DrillPlace, LetsTheOwnersOfDatabasesPass) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root restores files of others";
    auto with_databases = options("a");
    with_databases.databases = true;
    ::chmod(state_.c_str(), 0700);
    auto const place = Place::make(with_databases);
    ASSERT_TRUE(place) << place.error().message;
    EXPECT_EQ(place->path().parent_path(), "/var/tmp");
    EXPECT_EQ(mode_of(place->path()), 0711u);
    EXPECT_EQ(mode_of(files_of(place->path())), 0700u);
}

TEST_F(DrillPlace, EndsWhatRunsInItAndSaysSo) {
    auto place = Place::make(options("a"));
    auto const child = ChildProcess::start({.argv = {"sleep", "60"}, .directory = files_of(place->path()).string()});
    auto const evidence = place->clean_up();
    ASSERT_EQ(evidence.size(), 2u);
    EXPECT_TRUE(evidence[0].holds);
    EXPECT_THAT(evidence[0].detail, HasSubstr("sleep"));
    EXPECT_TRUE((*child)->wait(std::chrono::seconds(5)));
}

TEST_F(DrillPlace, IsCleanedUpAfterAKill) {
    auto const place = killed_drill("20261122T103107-5f0c");
    ASSERT_TRUE(fs::exists(place / "files" / "restored"));
    auto const orphan = ChildProcess::start({.argv = {"sleep", "60"}, .directory = (place / "files").string()});
    auto const done = sweep_dead_drills(state_);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_THAT(*done, ElementsAre(HasSubstr("which was cut off; ended sleep")));
    EXPECT_FALSE(fs::exists(place));
    EXPECT_FALSE(is_noted("20261122T103107-5f0c"));
    EXPECT_TRUE((*orphan)->wait(std::chrono::seconds(5)));
    EXPECT_THAT(*sweep_dead_drills(state_), IsEmpty());
}

TEST_F(DrillPlace, OfALivingDrillIsLeftAlone) {
    auto const place = Place::make(options("a"));
    EXPECT_THAT(*sweep_dead_drills(state_), IsEmpty());
    EXPECT_TRUE(fs::exists(place->path()));
    EXPECT_EQ(Place::make(options("a")).error().kind, ErrorKind::exists);
}

TEST_F(DrillPlace, OfNobodyIsLeftAlone) {
    auto const place = killed_drill("a");
    std::ofstream(place / ".holdfast-drill") << "b";
    EXPECT_THAT(*sweep_dead_drills(state_), ElementsAre(HasSubstr("left alone")));
    EXPECT_TRUE(fs::exists(place / "files" / "restored"));

    fs::create_directories(state_ / "drills");
    fs::create_directories(state_ / "precious");
    std::ofstream(state_ / "drills" / "c") << (state_ / "precious").string();
    fs::create_symlink(state_ / "precious", state_ / "holdfast-drill-d");
    std::ofstream(state_ / "drills" / "d") << (state_ / "holdfast-drill-d").string();
    ASSERT_TRUE(sweep_dead_drills(state_));
    EXPECT_TRUE(fs::exists(state_ / "precious"));
}

TEST_F(DrillPlace, WithoutTheRightsOfItsModesIsRemoved) {
    fs::create_directories(state_ / "tree" / "closed" / "deeper");
    std::ofstream(state_ / "tree" / "closed" / "deeper" / "x") << "x";
    fs::create_symlink("/etc", state_ / "tree" / "link");
    ::chmod((state_ / "tree" / "closed" / "deeper").c_str(), 0);
    ::chmod((state_ / "tree" / "closed").c_str(), 0500);
    auto const child = ::fork();
    if (child == 0) {
        if (::geteuid() == 0) {
            // As root every mode is passed: be somebody else who owns the tree.
            auto const own = [](fs::path const& path) { return ::lchown(path.c_str(), 65534, 65534) == 0; };
            auto const owned = own(state_) && own(state_ / "tree") && own(state_ / "tree" / "closed") &&
                               own(state_ / "tree" / "closed" / "deeper") && ::setgid(65534) == 0 && ::setuid(65534) == 0;
            if (!owned) ::_exit(3);
        }
        ::_exit(remove_tree(state_ / "tree") ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(WEXITSTATUS(status), 0);
    EXPECT_FALSE(fs::exists(state_ / "tree"));
    EXPECT_TRUE(fs::exists("/etc/passwd"));
    EXPECT_TRUE(remove_tree(state_ / "nothing"));
}

}  // namespace
}  // namespace holdfast::drill
