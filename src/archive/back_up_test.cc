#include "archive/back_up.h"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <thread>

#include "archive/capture_cache.h"
#include "archive/capture_plan.h"
#include "archive/fake_chunks.h"
#include "archive/test_directory.h"
#include "archive/test_repository.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class BackUpTest : public testing::Test {
  protected:
    TestDirectory home;
    TestDirectory cache;
    FakeChunks chunks;
    // Far ahead: no file's time is near to a capture's start, so all may be remembered.
    ManualClock clock{Time(std::chrono::seconds(4'000'000'000))};
    SeededRandom random{1};
    CachingRepository repository{clock, random, cache.path()};
    FakeFetch fetch{chunks};
    std::vector<std::string> observed;

    Result<BackUpResult> try_back_up(BackUpOptions const& options, std::stop_token stop = {}) {
        FakeIngest ingest(chunks);
        chunks.appended = 0;
        observed.clear();
        auto observe = [&](std::string const& path, Entry const&) { observed.push_back(path); };
        auto result = back_up_tree(repository, ingest, "d", options, {}, observe, stop);
        if (result) {
            EXPECT_TRUE(commit_capture_cache(repository, "d"));
        }
        return result;
    }
    BackUpResult back_up(BackUpOptions const& options) {
        auto result = try_back_up(options);
        EXPECT_TRUE(result) << result.error().message;
        return result ? std::move(*result) : BackUpResult{};
    }
    BackUpResult back_up_home() { return back_up({.paths = {home.path().string()}}); }

    std::map<std::string, Entry> entries(BackUpResult const& result) {
        std::map<std::string, Entry> all;
        auto visit = [&](std::string const& path, Entry const& entry) -> Result<bool> {
            all.emplace(path, entry);
            return true;
        };
        auto done = TreeReader(fetch, result.tree).walk("", visit, {}, {});
        EXPECT_TRUE(done) << done.error().message;
        return all;
    }
    std::vector<std::string> paths(BackUpResult const& result) {
        std::vector<std::string> all;
        for (auto const& [path, entry] : entries(result)) all.push_back(path);
        return all;
    }
    std::string text(Entry const& entry) {
        auto bytes = fetch.content(entry.content, 1u << 30, {});
        return bytes ? to_text(*bytes) : bytes.error().message;
    }
    DirectoryReader directory(Content const& content) {
        auto reader = DirectoryReader::open(fetch, content, {});
        EXPECT_TRUE(reader);
        while (*reader->next({})) {
        }
        return std::move(*reader);
    }
};

TEST_F(BackUpTest, HoldsEveryType) {
    home.file("a/file", "content");
    home.file("empty", "");
    ::chmod((home / "a/file").c_str(), 04751);
    timespec times[2] = {{0, 0}, {-86'401, 999'999'999}};
    ::utimensat(AT_FDCWD, (home / "a/file").c_str(), times, 0);
    times[1] = {1ll << 33, 1};
    ::utimensat(AT_FDCWD, (home / "empty").c_str(), times, 0);
    ::symlink("../../nowhere\n", (home / "a/link").c_str());
    ::mkfifo((home / "fifo").c_str(), 0600);
    ::mknod((home / "socket").c_str(), S_IFSOCK | 0640, 0);
    ASSERT_EQ(::setxattr((home / "a").c_str(), "user.note", "x\0y", 3, 0), 0);
    ::chmod(home.path().c_str(), 0711);
    if (::getuid() == 0) ::mknod((home / "null").c_str(), S_IFCHR | 0666, makedev(1, 3));

    auto result = back_up_home();
    EXPECT_THAT(result.problems, IsEmpty());
    EXPECT_EQ(result.root, home.path().string());
    auto all = entries(result);
    EXPECT_EQ(result.files, ::getuid() == 0 ? 6u : 5u);
    EXPECT_EQ(result.directories, 1u);
    EXPECT_EQ(result.bytes, 7u);
    EXPECT_EQ(text(all["a/file"]), "content");
    EXPECT_EQ(all["a/file"].mode, 04751u);
    EXPECT_EQ(all["a/file"].mtime_seconds, -86'401);
    EXPECT_EQ(all["a/file"].mtime_nanoseconds, 999'999'999u);
    EXPECT_EQ(all["a/file"].uid, ::getuid());
    EXPECT_EQ(all["empty"].mtime_seconds, 1ll << 33);
    EXPECT_EQ(all["empty"].content, Content{});
    EXPECT_EQ(all["a/link"].target, "../../nowhere\n");
    EXPECT_EQ(all["fifo"].type, EntryType::fifo);
    EXPECT_EQ(all["socket"].type, EntryType::socket);
    EXPECT_EQ(all["socket"].mode, 0640u);
    EXPECT_EQ(all["a"].xattrs["user.note"], (Bytes{'x', 0, 'y'}));
    if (::getuid() == 0) {
        EXPECT_EQ(all["null"].device, makedev(1, 3));
        EXPECT_EQ(all["null"].user, "root");
    }
    EXPECT_EQ(TreeReader(fetch, result.tree).find("", {})->mode, 0711u);
    EXPECT_FALSE(directory(result.tree).incomplete());
    EXPECT_THAT(observed, ElementsAre(home / "a/file", home / "empty"));
}

TEST_F(BackUpTest, NamesOfAnyBytesComeInTheirOrder) {
    for (int byte = 1; byte < 256; ++byte) {
        if (byte != '/' && byte != '.') home.file(std::string(1, static_cast<char>(byte)), "x");
    }
    home.file(std::string(255, '\xff'), "x");
    home.file("aa/b", "x");
    home.file("aa.b", "x");
    auto result = back_up_home();
    EXPECT_EQ(result.files, 253u + 3u);
    EXPECT_EQ(result.problem_count, 0u);
    EXPECT_EQ(paths(result).size(), 253u + 4u);
    EXPECT_EQ(back_up_home().unchanged, result.files);
}

TEST_F(BackUpTest, DeepTreesDoNotEnd) {
    // Deeper than PATH_MAX and than the descriptors that a walk keeps.
    int at = ::open(home.path().c_str(), O_RDONLY | O_DIRECTORY);
    std::string name(50, 'd');
    constexpr int kDepth = 300;
    for (int i = 0; i < kDepth; ++i) {
        ::mkdirat(at, name.c_str(), 0755);
        int next = ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY);
        ::close(at);
        at = next;
        for (auto file : {"a", "z"}) ::close(::openat(at, file, O_CREAT | O_WRONLY, 0644));
    }
    ::close(at);
    auto result = back_up_home();
    EXPECT_EQ(result.problem_count, 0u) << result.problems[0].message;
    EXPECT_EQ(result.directories, 1u * kDepth);
    EXPECT_EQ(result.files, 2u * kDepth);
    auto all = entries(result);
    EXPECT_EQ(all.size(), 3u * kDepth);
    EXPECT_EQ(all.rbegin()->first.size() / 51, 1u);
}

TEST_F(BackUpTest, HolesAreExact) {
    auto path = home.file("sparse", "begin");
    int fd = ::open(path.c_str(), O_RDWR);
    ::pwrite(fd, "middle", 6, 1 << 20);
    ::ftruncate(fd, 1ll << 40);
    home.file("hole", "");
    ::truncate((home / "hole").c_str(), 4096);
    auto result = back_up_home();
    auto all = entries(result);
    auto const& sparse = all["sparse"].content;
    EXPECT_EQ(sparse.size, std::uint64_t{1} << 40);
    ASSERT_EQ(sparse.extents.size(), 4u);
    EXPECT_TRUE(sparse.extents[0].chunk && !sparse.extents[1].chunk && sparse.extents[2].chunk &&
                !sparse.extents[3].chunk);
    EXPECT_EQ(sparse.extents[0].length, 4096u);
    EXPECT_EQ(sparse.extents[0].length + sparse.extents[1].length, 1u << 20);
    EXPECT_EQ(all["hole"].content, (Content{4096, 0, {{std::nullopt, 0, 4096}}}));
    EXPECT_EQ(chunks.appended, 8192u);
    ::close(fd);
}

TEST_F(BackUpTest, HardLinksAreOneFileReadOnce) {
    home.file("a", std::string(1000, 'x'));
    ::link((home / "a").c_str(), (home / "z").c_str());
    home.directory("d");
    ::link((home / "a").c_str(), (home / "d/b").c_str());
    home.file("other", "1");
    ::link((home / "other").c_str(), (home / "other2").c_str());
    home.file("single", "2");
    auto result = back_up_home();
    auto all = entries(result);
    EXPECT_NE(all["a"].link_group, 0u);
    EXPECT_EQ(all["a"].link_group, all["z"].link_group);
    EXPECT_EQ(all["a"].link_group, all["d/b"].link_group);
    EXPECT_EQ(all["z"].content, all["a"].content);
    EXPECT_EQ(all["other"].link_group, all["other2"].link_group);
    EXPECT_NE(all["other"].link_group, all["a"].link_group);
    EXPECT_EQ(all["single"].link_group, 0u);
    EXPECT_EQ(chunks.appended, 1002u);
    // Stable: an unchanged tree is the same tree.
    EXPECT_EQ(back_up_home().tree, result.tree);
}

TEST_F(BackUpTest, UnchangedFilesAreTakenOverUnread) {
    home.file("a/one", "1");
    home.file("b", "22");
    home.file("c", std::string(64 << 16, 'c') + "end");  // lists
    home.file("d/two", "2");
    auto first = back_up_home();
    EXPECT_EQ(first.unchanged, 0u);
    auto second = back_up_home();
    EXPECT_EQ(second.unchanged, 4u);
    EXPECT_EQ(chunks.appended, 0u);
    EXPECT_EQ(second.tree, first.tree);
    EXPECT_THAT(observed, ElementsAre(home / "a/one", home / "b", home / "c", home / "d/two"));

    // Same size and mtime, but another ctime.
    auto status = home.status("b");
    home.file("b", "33");
    timespec times[2] = {status.st_atim, status.st_mtim};
    ::utimensat(AT_FDCWD, (home / "b").c_str(), times, 0);
    home.file("new", "n");
    ::unlink((home / "a/one").c_str());
    auto third = back_up_home();
    EXPECT_EQ(third.unchanged, 2u);
    EXPECT_EQ(text(entries(third)["b"]), "33");
    EXPECT_THAT(paths(third), ElementsAre("a", "b", "c", "d", "d/two", "new"));
    // A mode alone changes the ctime, and so is seen.
    ::chmod((home / "new").c_str(), 0601);
    auto fourth = back_up_home();
    EXPECT_EQ(fourth.unchanged, 3u);
    EXPECT_EQ(entries(fourth)["new"].mode, 0601u);
}

TEST_F(BackUpTest, ChunksThatAreNoLongerKnownAreReadAgain) {
    home.file("small", "s");
    std::string large;
    for (int i = 0; i < 40 << 16; ++i) large += static_cast<char>(i * 7 + (i >> 13));
    home.file("large", large);
    auto first = back_up_home();
    auto all = entries(first);
    ASSERT_EQ(all["large"].content.depth, 1);
    // A data chunk below a list: only the cache knows that the file needs it.
    Extent below;
    ASSERT_TRUE(fetch.extents(all["large"].content, [&](std::span<Extent const> extents) -> Result<void> {
        below = extents.back();
        return {};
    }, {}));
    chunks.forgotten.insert(*below.chunk);
    auto second = back_up_home();
    EXPECT_EQ(second.unchanged, 1u);
    EXPECT_EQ(chunks.appended, large.size());
}

TEST_F(BackUpTest, FilesChangedAboutNowAreNotTrusted) {
    home.file("fresh", "f");
    clock.advance(system_clock().now() - clock.now());
    back_up_home();
    EXPECT_EQ(back_up_home().unchanged, 0u);
    clock.advance(std::chrono::seconds(10));
    back_up_home();
    EXPECT_EQ(back_up_home().unchanged, 1u);
}

TEST_F(BackUpTest, ADamagedOrForeignCacheIsNone) {
    home.file("a", "1");
    home.file("b", "2");
    back_up_home();
    auto place = CaptureCachePlace::of(repository, "d", home.path().string());
    ASSERT_TRUE(place && std::filesystem::exists(place->file));
    std::ifstream in(place->file, std::ios::binary);
    std::string good(std::istreambuf_iterator<char>(in), {});
    auto opens = [&](std::string const& bytes) {
        std::ofstream(place->file, std::ios::binary | std::ios::trunc) << bytes;
        return CaptureCacheReader::open(*place) != nullptr;
    };
    ASSERT_TRUE(opens(good));
    for (std::size_t at = 0; at < good.size(); ++at) {
        auto flipped = good;
        flipped[at] ^= 1;
        ASSERT_FALSE(opens(flipped)) << at;
        ASSERT_FALSE(opens(good.substr(0, at))) << at;
    }
    EXPECT_FALSE(opens(good + "x"));
    EXPECT_EQ(back_up_home().unchanged, 0u);
    EXPECT_EQ(back_up_home().unchanged, 2u);
    // Another dataset, another root, another writer.
    EXPECT_FALSE(CaptureCacheReader::open(*CaptureCachePlace::of(repository, "d", "/elsewhere")));
    std::filesystem::copy_file(place->file, CaptureCachePlace::of(repository, "e", home.path().string())->file);
    EXPECT_FALSE(CaptureCacheReader::open(*CaptureCachePlace::of(repository, "e", home.path().string())));
}

TEST_F(BackUpTest, ACaptureThatIsNotPublishedLeavesTheCache) {
    home.file("a", "1");
    back_up_home();
    home.file("b", "2");
    FakeIngest ingest(chunks);
    ASSERT_TRUE(back_up_tree(repository, ingest, "d", {.paths = {home.path().string()}}, {}, {}, {}));
    auto next = back_up_home();
    EXPECT_EQ(next.unchanged, 1u);
    for (auto const& file : std::filesystem::recursive_directory_iterator(cache.path())) {
        EXPECT_TRUE(file.path().extension().empty()) << file.path();
    }
}

TEST_F(BackUpTest, ClientsWithoutACacheReadEverything) {
    home.file("a", "1");
    CachingRepository bare(clock, random, {});
    FakeIngest ingest(chunks);
    for (int i = 0; i < 2; ++i) {
        auto result = back_up_tree(bare, ingest, "d", {.paths = {home.path().string()}}, {}, {}, {});
        ASSERT_TRUE(result);
        EXPECT_EQ(result->unchanged, 0u);
        EXPECT_TRUE(commit_capture_cache(bare, "d"));
    }
}

TEST(CaptureCache, PathsAreOrderedNameByName) {
    EXPECT_LT(compare_paths("a", "a/b"), 0);
    EXPECT_LT(compare_paths("a/b", "a!"), 0);
    EXPECT_LT(compare_paths("a/b", "a.b"), 0);
    EXPECT_GT(compare_paths("b", "a/b"), 0);
    EXPECT_LT(compare_paths("a\x7f", "a\x80"), 0);
    EXPECT_EQ(compare_paths("x/y", "x/y"), 0);
}

TEST_F(BackUpTest, SeveralPathsHaveTheRootAsRoot) {
    home.file("one/a", "1");
    home.file("one/not", "n");
    home.file("two/b", "2");
    home.file("two/deep/c", "3");
    ::chmod((home / "two").c_str(), 0710);
    ::symlink((home / "one").c_str(), (home / "link").c_str());
    auto result = back_up({.paths = {home / "link/a", home / "two", home / "two/deep"}});
    EXPECT_EQ(result.root, "/");
    EXPECT_EQ(result.problem_count, 0u);
    auto base = home.path().string().substr(1);
    auto all = entries(result);
    EXPECT_EQ(text(all[base + "/one/a"]), "1");
    EXPECT_EQ(text(all[base + "/two/deep/c"]), "3");
    EXPECT_EQ(all.count(base + "/one/not"), 0u);
    EXPECT_EQ(all[base + "/two"].mode, 0710u);
    EXPECT_TRUE(directory(result.tree).incomplete());
    EXPECT_TRUE(directory(all[base + "/one"].content).incomplete());
    EXPECT_FALSE(directory(all[base + "/two"].content).incomplete());
}

TEST_F(BackUpTest, ASingleFileIsHeldByItsDirectory) {
    home.file("x/one", "1");
    home.file("x/two", "2");
    auto result = back_up({.paths = {home / "x/one"}});
    EXPECT_EQ(result.root, home / "x");
    EXPECT_THAT(paths(result), ElementsAre("one"));
    EXPECT_TRUE(directory(result.tree).incomplete());
}

TEST_F(BackUpTest, ASymlinkToTheSourceIsFollowedButNoneInside) {
    home.file("real/a", "1");
    ::symlink("a", (home / "real/inner").c_str());
    ::symlink((home / "real").c_str(), (home / "link").c_str());
    auto result = back_up({.paths = {home / "link"}});
    EXPECT_EQ(result.root, home / "link");
    auto all = entries(result);
    EXPECT_EQ(text(all["a"]), "1");
    EXPECT_EQ(all["inner"].type, EntryType::symlink);
}

TEST_F(BackUpTest, MissingPathsAreNeverAnEmptySuccess) {
    auto none = try_back_up({.paths = {home / "nowhere"}});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().kind, ErrorKind::not_found);
    EXPECT_THAT(none.error().message, HasSubstr("nowhere"));
    EXPECT_EQ(try_back_up({.paths = {home / "nowhere", home / "neither"}}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(try_back_up({.paths = {}}).error().kind, ErrorKind::usage);
    EXPECT_EQ(try_back_up({.paths = {"relative"}}).error().kind, ErrorKind::usage);
    home.file("here", "h");
    auto some = back_up({.paths = {home / "here", home / "nowhere"}});
    EXPECT_EQ(some.files, 1u);
    ASSERT_EQ(some.problem_count, 1u);
    EXPECT_EQ(some.problems[0].path, home / "nowhere");
}

TEST_F(BackUpTest, ExcludesByNameAndPath) {
    home.file("a.tmp", "");
    home.file("d/b.tmp", "");
    home.file("d/keep", "");
    home.file("skip/this", "");
    home.file("skip/wanted/x", "");
    home.file("e/skip/x", "");
    home.file("build/out/x.o", "");
    home.file("build/x.c", "");
    auto result = back_up({.paths = {home.path().string()},
                           .exclude = {"*.tmp", home / "skip", "build/**/*.o"}});
    EXPECT_THAT(paths(result), ElementsAre("build", "build/out", "build/x.c", "d", "d/keep", "e", "e/skip",
                                           "e/skip/x"));
    EXPECT_EQ(result.excluded, 4u);
    // What is named is taken, although it lies in something excluded; nothing else of that is.
    auto base = home.path().string().substr(1) + "/";
    auto both = paths(back_up({.paths = {home.path().string(), home / "skip/wanted"}, .exclude = {"skip"}}));
    EXPECT_THAT(both, testing::Contains(base + "skip/wanted/x"));
    EXPECT_THAT(both, testing::Not(testing::Contains(base + "skip/this")));
}

TEST_F(BackUpTest, RefusesARepositoryInsideTheSource) {
    home.file("repo/packs/x", "p");
    home.file("data/a", "1");
    ::symlink((home / "repo").c_str(), (home / "alias").c_str());
    auto all = home.path().string();
    for (auto const& options : {BackUpOptions{.paths = {all}, .forbidden = {home / "repo"}},
                                BackUpOptions{.paths = {all}, .forbidden = {home / "alias/"}},
                                BackUpOptions{.paths = {home / "repo"}, .forbidden = {home / "repo"}},
                                BackUpOptions{.paths = {home / "alias/packs"}, .forbidden = {home / "repo"}},
                                BackUpOptions{.paths = {home / "data", all}, .forbidden = {home / "repo"}}}) {
        auto refused = try_back_up(options);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::unsafe);
        EXPECT_EQ(chunks.appended, 0u);
    }
    EXPECT_THAT(paths(back_up({.paths = {all}, .exclude = {home / "repo"}, .forbidden = {home / "repo"}})),
                ElementsAre("alias", "data", "data/a"));
    EXPECT_EQ(back_up({.paths = {home / "data"}, .forbidden = {home / "repo"}}).files, 1u);
}

TEST_F(BackUpTest, PassesOverItsOwnCache) {
    auto inside = home.directory("cache");
    home.file("a", "1");
    CachingRepository local(clock, random, inside);
    FakeIngest ingest(chunks);
    auto result = back_up_tree(local, ingest, "d", {.paths = {home.path().string()}}, {}, {}, {});
    ASSERT_TRUE(result);
    EXPECT_THAT(paths(*result), ElementsAre("a"));
}

TEST_F(BackUpTest, FilesThatVanishAreCountedNotReported) {
    home.file("a", "1");
    home.file("b", "2");
    home.file("c", "3");
    FakeIngest ingest(chunks);
    auto observe = [&](std::string const& path, Entry const&) {
        if (path.ends_with("/a")) ::unlink((home / "b").c_str());
    };
    auto result = back_up_tree(repository, ingest, "d", {.paths = {home.path().string()}}, {}, observe, {});
    ASSERT_TRUE(result);
    EXPECT_EQ(result->vanished, 1u);
    EXPECT_EQ(result->problem_count, 0u);
    EXPECT_EQ(result->files, 2u);
}

TEST_F(BackUpTest, FilesThatDoNotHoldStillAreReported) {
    home.file("busy", std::string(3 << 20, 'x'));
    home.file("shrinks", std::string(3 << 20, 's'));
    home.file("calms", std::string(3 << 20, 'c'));
    int rounds = 0;
    auto progress = [&](Progress const& at) {
        if (at.current.ends_with("/busy")) home.file("busy", std::string((3 << 20) + ++rounds, 'y'));
        if (at.current.ends_with("/shrinks")) ::truncate(at.current.c_str(), 5000);
        if (at.current.ends_with("/calms") && rounds < 1000) {
            rounds = 1000;
            home.file("calms", "calm");
        }
    };
    FakeIngest ingest(chunks);
    auto result = back_up_tree(repository, ingest, "d", {.paths = {home.path().string()}}, progress, {}, {});
    ASSERT_TRUE(result);
    auto all = entries(*result);
    EXPECT_TRUE(all["busy"].unsettled);
    EXPECT_TRUE(all["shrinks"].unsettled);
    EXPECT_FALSE(all["calms"].unsettled);
    EXPECT_EQ(text(all["calms"]), "calm");
    EXPECT_LE(all["shrinks"].content.size, 5000u);
    ASSERT_EQ(result->problem_count, 2u);
    EXPECT_EQ(result->problems[0].path, home / "busy");
    EXPECT_THAT(result->problems[0].message, HasSubstr("changed while it was read"));
    // Not trusted the next time.
    ASSERT_TRUE(commit_capture_cache(repository, "d"));
    EXPECT_EQ(back_up_home().unchanged, 1u);
}

TEST_F(BackUpTest, ASymlinkPutInAFilesPlaceIsASymlink) {
    home.file("a", "1");
    home.file("b", "2");
    FakeIngest ingest(chunks);
    // Between the look and the opening nothing can be put here; between two names it can.
    auto observe = [&](std::string const& path, Entry const&) {
        if (!path.ends_with("/a")) return;
        ::unlink((home / "b").c_str());
        ::symlink("/etc/passwd", (home / "b").c_str());
    };
    auto result = back_up_tree(repository, ingest, "d", {.paths = {home.path().string()}}, {}, observe, {});
    ASSERT_TRUE(result);
    EXPECT_EQ(entries(*result)["b"].type, EntryType::symlink);
}

TEST_F(BackUpTest, UnreadableThingsAreProblemsAndTheRestIsKept) {
    if (::getuid() != 0) GTEST_SKIP() << "needs root to become somebody else";
    home.file("open", "1");
    home.file("secret", "2");
    home.file("closed/x", "3");
    home.file("through/wanted/y", "4");
    ::chmod((home / "secret").c_str(), 0);
    ::chmod((home / "closed").c_str(), 0);
    ::chmod((home / "through").c_str(), 0711);
    ::chmod(home.path().c_str(), 0755);
    ::chmod(cache.path().c_str(), 0777);
    // The thread alone becomes nobody: root's rights would hide what is tested.
    BackUpResult result, pair;
    std::optional<Error> refused;
    std::thread([&] {
        ::syscall(SYS_setresuid, -1, 65534, -1);
        result = back_up({.paths = {home.path().string()}});
        pair = back_up({.paths = {home / "through/wanted", home / "open"}});
        auto closed = try_back_up({.paths = {home / "closed"}});
        if (!closed) refused = closed.error();
    }).join();
    auto all = entries(result);
    ASSERT_EQ(result.problem_count, 3u);
    EXPECT_EQ(result.problems[0].path, home / "closed");
    EXPECT_EQ(result.problems[1].path, home / "secret");
    EXPECT_EQ(text(all["open"]), "1");
    EXPECT_EQ(all.count("secret"), 0u);
    EXPECT_EQ(all.count("closed"), 1u);
    EXPECT_TRUE(directory(all["closed"].content).incomplete());
    EXPECT_TRUE(directory(result.tree).incomplete());
    EXPECT_EQ(pair.files, 2u);
    EXPECT_EQ(pair.problem_count, 0u);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->kind, ErrorKind::io);
}

TEST_F(BackUpTest, KernelFileSystemsAreKeptEmpty) {
    if (::getuid() != 0) GTEST_SKIP() << "needs root to mount";
    // The thread alone gets mounts of its own.
    bool mounted = false;
    std::thread([&] {
        if (::unshare(CLONE_NEWNS) != 0) return;
        ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        mounted = true;
        auto proc = home.directory("proc");
        auto other = home.directory("other");
        ASSERT_EQ(::mount("proc", proc.c_str(), "proc", 0, nullptr), 0);
        ASSERT_EQ(::mount("tmpfs", other.c_str(), "tmpfs", 0, nullptr), 0);
        home.file("other/x", "1");
        auto result = back_up_home();
        EXPECT_THAT(paths(result), ElementsAre("other", "other/x", "proc"));
        EXPECT_TRUE(directory(entries(result)["proc"].content).incomplete());
        auto one = back_up({.paths = {home.path().string()}, .one_file_system = true});
        EXPECT_THAT(paths(one), ElementsAre("other", "proc"));
        auto named = back_up({.paths = {home.path().string(), other, home / "proc/self/fdinfo"},
                              .one_file_system = true});
        EXPECT_THAT(paths(named), testing::Contains(other.substr(1) + "/x"));
    }).join();
    if (!mounted) GTEST_SKIP() << "needs a mount namespace";
}

TEST_F(BackUpTest, StopsWhenAsked) {
    home.file("a", "1");
    std::stop_source stop;
    stop.request_stop();
    auto stopped = try_back_up({.paths = {home.path().string()}}, stop.get_token());
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().kind, ErrorKind::cancelled);
}

}  // namespace
}  // namespace holdfast
