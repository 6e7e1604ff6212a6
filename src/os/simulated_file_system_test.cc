#include "os/simulated_file_system.h"

#include <gtest/gtest.h>
#include <set>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

// The content of a file; nullopt when there is none.
std::optional<std::string> content_of(FileSystem& files, std::string const& path) {
    auto file = files.open(path);
    if (!file)
        return std::nullopt;
    Bytes bytes(*(*file)->size());
    EXPECT_EQ(read_full(**file, 0, bytes), bytes.size());
    return to_text(bytes);
}

// Writes without syncing anything unless asked to.
struct Sync {
    bool data = false;
    bool names = false;
};
void write_file(FileSystem& files, std::string const& path, std::string_view text, Sync sync) {
    auto file = files.create(path, 0600);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE(write_all(**file, as_bytes(text)));
    if (sync.data) {
        ASSERT_TRUE((*file)->sync());
    }
    if (sync.names) {
        ASSERT_TRUE(files.sync_directory("/"));
    }
}

TEST(SimulatedFiles, BehaveAsFilesDo) {
    SimulatedFileSystem files(1);
    EXPECT_EQ(files.make_directory("/", 0700).error().kind, ErrorKind::exists);
    EXPECT_EQ(files.make_directory("/a/b", 0700).error().kind, ErrorKind::not_found);
    ASSERT_TRUE(files.make_directory("/a", 0700));
    EXPECT_EQ(files.make_directory("/a", 0700).error().kind, ErrorKind::exists);
    write_file(files, "/a/one", "1", {});
    EXPECT_EQ(files.create("/a/one", 0600).error().kind, ErrorKind::exists);
    ASSERT_TRUE(files.publish("/a/one", "/two"));
    EXPECT_EQ(files.publish("/a/one", "/two").error().kind, ErrorKind::exists);
    EXPECT_EQ(files.publish("/none", "/three").error().kind, ErrorKind::not_found);
    ASSERT_TRUE(files.remove("/a/one"));
    EXPECT_EQ(files.remove("/a/one").error().kind, ErrorKind::not_found);
    EXPECT_EQ(content_of(files, "/two"), "1");
    EXPECT_EQ(files.list("/")->size(), 2U);
    EXPECT_EQ(files.info("/a")->kind, FileKind::directory);
    EXPECT_EQ(files.open("/a").error().kind, ErrorKind::not_found);
    EXPECT_EQ(files.open("/two/x").error().kind, ErrorKind::not_found);
    EXPECT_EQ(files.create("/two/x", 0600).error().kind, ErrorKind::io);
}

TEST(SimulatedFiles, DataAndNamesAreLostSeparately) {
    SimulatedFileSystem files(1);
    write_file(files, "/nothing", "abc", {});
    write_file(files, "/data", "abc", {.data = true});
    ASSERT_TRUE(files.sync_directory("/"));
    write_file(files, "/both", "abc", {.data = true, .names = true});
    write_file(files, "/name-lost", "abc", {.data = true});
    files.lose_power({});
    EXPECT_EQ(content_of(files, "/nothing"), "");  // its name was synced by chance, its data was not
    EXPECT_EQ(content_of(files, "/data"), "abc");
    EXPECT_EQ(content_of(files, "/both"), "abc");
    EXPECT_EQ(content_of(files, "/name-lost"), std::nullopt);
}

TEST(SimulatedFiles, ADirectoryNeedsItsOwnNameSynced) {
    SimulatedFileSystem files(1);
    ASSERT_TRUE(files.make_directory("/d", 0700));
    write_file(files, "/d/file", "abc", {.data = true});
    ASSERT_TRUE(files.sync_directory("/d"));
    files.lose_power({});
    EXPECT_EQ(content_of(files, "/d/file"), std::nullopt);

    ASSERT_TRUE(files.make_directory("/d", 0700));
    write_file(files, "/d/file", "abc", {.data = true});
    ASSERT_TRUE(files.sync_directory("/d"));
    ASSERT_TRUE(files.sync_directory("/"));
    files.lose_power({});
    EXPECT_EQ(content_of(files, "/d/file"), "abc");
}

TEST(SimulatedFiles, RemovedNamesComeBackUnlessSynced) {
    SimulatedFileSystem files(1);
    write_file(files, "/a", "abc", {.data = true, .names = true});
    ASSERT_TRUE(files.remove("/a"));
    files.lose_power({});
    EXPECT_EQ(content_of(files, "/a"), "abc");
    ASSERT_TRUE(files.remove("/a"));
    ASSERT_TRUE(files.sync_directory("/"));
    files.lose_power({});
    EXPECT_EQ(content_of(files, "/a"), std::nullopt);
}

TEST(SimulatedFiles, PartialLossTearsDataAndNames) {
    std::set<std::optional<std::string>> seen;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        SimulatedFileSystem files(seed);
        write_file(files, "/a", std::string(2000, 'x'), {});
        files.lose_power({.data = Unsynced::partial, .names = Unsynced::partial});
        seen.insert(content_of(files, "/a"));
    }
    EXPECT_TRUE(seen.contains(std::nullopt));
    EXPECT_GT(seen.size(), 10U);  // many sizes, with and without holes
    bool zeros = false;
    for (auto const& text : seen)
        zeros = zeros || (text && text->find('\0') != std::string::npos);
    EXPECT_TRUE(zeros);
}

TEST(SimulatedFiles, KeptMeansKept) {
    SimulatedFileSystem files(1);
    write_file(files, "/a", "abc", {});
    files.lose_power({.data = Unsynced::kept, .names = Unsynced::kept});
    EXPECT_EQ(content_of(files, "/a"), "abc");
}

TEST(SimulatedFiles, ChosenOperationFails) {
    SimulatedFileSystem files(1);
    files.fail_operation(1, ErrorKind::no_space);
    auto file = files.create("/a", 0600);
    ASSERT_TRUE(file);
    EXPECT_EQ((*file)->write(as_bytes("abc")).error().kind, ErrorKind::no_space);
    EXPECT_EQ((*file)->write(as_bytes("abc")), 3U);
    EXPECT_EQ(files.operations(), 3U);
}

TEST(SimulatedFiles, AFailedSyncIsNotMendedByAnother) {
    SimulatedFileSystem files(1);
    auto file = files.create("/a", 0600);
    ASSERT_TRUE(write_all(**file, as_bytes("abc")));
    files.fail_operation(2, ErrorKind::io);
    EXPECT_FALSE((*file)->sync());
    EXPECT_TRUE((*file)->sync());
    ASSERT_TRUE(files.sync_directory("/"));
    files.lose_power({});
    EXPECT_EQ(content_of(files, "/a"), "");
}

TEST(SimulatedFiles, CrashFailsEverythingUntilThePowerIsBack) {
    SimulatedFileSystem files(1);
    write_file(files, "/a", "abc", {.data = true, .names = true});
    files.crash_at(files.operations() + 1);
    auto file = files.create("/b", 0600);
    ASSERT_TRUE(file);
    EXPECT_FALSE((*file)->sync());
    EXPECT_FALSE(files.open("/a"));
    files.lose_power({});
    EXPECT_FALSE((*file)->sync());  // opened before
    EXPECT_EQ(content_of(files, "/a"), "abc");
}

TEST(SimulatedFiles, ShortReadsAndWritesHappen) {
    SimulatedFileSystem files(1);
    files.set_short_io(true);
    std::string text(1000, 'x');
    auto before = files.operations();
    write_file(files, "/a", text, {});
    EXPECT_GT(files.operations(), before + 2);
    EXPECT_EQ(content_of(files, "/a"), text);
}

TEST(SimulatedFiles, CapacityIsALimit) {
    SimulatedFileSystem files(1);
    files.set_capacity(1000);
    write_file(files, "/a", std::string(600, 'x'), {});
    auto file = files.create("/b", 0600);
    auto written = write_all(**file, Bytes(600));
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().kind, ErrorKind::no_space);
    ASSERT_TRUE(files.remove("/b"));
    write_file(files, "/c", std::string(400, 'x'), {});
}

TEST(SimulatedFiles, HookSeesEachOperation) {
    SimulatedFileSystem files(1);
    std::vector<std::string> seen;
    files.set_hook([&](std::uint64_t, std::string const& what) { seen.push_back(what); });
    write_file(files, "/a", "abc", {.data = true, .names = true});
    EXPECT_EQ(seen, (std::vector<std::string>{"open '/a'", "write '/a'", "sync '/a'",
                                              "sync directory '/'"}));
}

TEST(SimulatedFiles, FlipIsSeenAndStays) {
    SimulatedFileSystem files(1);
    write_file(files, "/a", "abc", {.data = true, .names = true});
    files.flip("/a", 1, 1);
    files.lose_power({});
    EXPECT_EQ(content_of(files, "/a"), "acc");
}

TEST(SimulatedFiles, TimeIsOfTheClock) {
    ManualClock clock(Time(100s));
    SimulatedFileSystem files(1, clock);
    clock.advance(5s);
    write_file(files, "/a", "abc", {});
    EXPECT_EQ(files.info("/a")->modified, Time(105s));
}

}  // namespace
}  // namespace holdfast
