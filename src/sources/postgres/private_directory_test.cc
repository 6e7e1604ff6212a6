#include "sources/postgres/private_directory.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "archive/test_directory.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;

std::size_t count(TestDirectory const& parent) {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(parent.path()), fs::directory_iterator()));
}

TEST(PrivateDirectory, IsGoneWithItsObject) {
    TestDirectory parent;
    {
        auto made = PrivateDirectory::make(parent.path(), {});
        ASSERT_TRUE(made) << made.error().message;
        EXPECT_TRUE(made->write("file", "text", {}));
        EXPECT_EQ(fs::status(made->path()).permissions(), fs::perms::owner_all);
        auto other = std::move(*made);
        EXPECT_TRUE(fs::exists(other.path() + "/file"));
    }
    EXPECT_EQ(count(parent), 0u);
}

TEST(PrivateDirectory, WhatAKilledProcessLeftIsRemovedAndNothingElse) {
    TestDirectory parent;
    parent.file("holdfast-cluster-file", "no directory");
    parent.file("holdfast-other/lock", "not of this kind");
    parent.file("holdfast-cluster-old/file", "knows no lock");
    auto const used = PrivateDirectory::make(parent.path(), {});
    ASSERT_TRUE(used && used->write("file", "text", {}));
    auto const child = ::fork();
    if (child == 0) {
        auto const left = PrivateDirectory::make(parent.path(), {});
        if (left && left->write("file", "text", {})) ::kill(::getpid(), SIGKILL);
        ::_exit(7);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_EQ(count(parent), 5u) << "it left nothing: the test tests nothing";

    auto const next = PrivateDirectory::make(parent.path(), {});
    ASSERT_TRUE(next);
    EXPECT_EQ(count(parent), 5u);
    EXPECT_TRUE(fs::exists(used->path() + "/file")) << "it is in use";
    EXPECT_TRUE(parent.has("holdfast-cluster-file"));
    EXPECT_TRUE(parent.has("holdfast-other/lock"));
    EXPECT_TRUE(parent.has("holdfast-cluster-old/file"));
}

TEST(PrivateDirectory, OfSomebodyElseStays) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can make what belongs to others";
    TestDirectory parent;
    parent.file("holdfast-cluster-theirs/lock", "");
    auto const theirs = parent.directory("holdfast-cluster-theirs", 0700);
    ASSERT_EQ(::chown(theirs.c_str(), 12345, 12345), 0);
    auto const made = PrivateDirectory::make(parent.path(), {});
    EXPECT_TRUE(fs::exists(theirs));
    auto const server = PrivateDirectory::make(parent.path(), UserId{.uid = 12345, .gid = 12345, .name = {}, .home = {}});
    EXPECT_FALSE(fs::exists(theirs)) << "now it is the server's user's";
}

}  // namespace
}  // namespace holdfast::postgres
