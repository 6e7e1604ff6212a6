#include "archive/restore.h"

#include <gmock/gmock.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <thread>

#include "archive/back_up.h"
#include "archive/fake_chunks.h"
#include "archive/posix.h"
#include "archive/test_directory.h"
#include "archive/test_repository.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RestoreTest : public testing::Test {
  protected:
    TestDirectory source, target, outside;
    FakeChunks chunks;
    ManualClock clock{Time(std::chrono::seconds(4'000'000'000))};
    SeededRandom random{1};
    CachingRepository repository{clock, random, {}};
    FakeFetch fetch{chunks};

    BackUpResult back_up(std::filesystem::path const& path) {
        FakeIngest ingest(chunks);
        auto result = back_up_tree(repository, ingest, "d", {.paths = {path.string()}}, {}, {}, {});
        EXPECT_TRUE(result) << result.error().message;
        return result ? std::move(*result) : BackUpResult{};
    }
    Content capture() { return back_up(source.path()).tree; }
    Result<RestoreResult> try_restore(Content const& tree, RestoreOptions options = {},
                                      std::string_view path = "", std::stop_token stop = {}) {
        chunks.fetched = 0;
        options.durable = false;  // syncing a whole file system is slow where others write
        return restore_tree(fetch, tree, path, target.path(), options, {}, stop);
    }
    RestoreResult restore(Content const& tree, RestoreOptions const& options = {}, std::string_view path = "") {
        auto result = try_restore(tree, options, path);
        EXPECT_TRUE(result) << result.error().message;
        return result ? std::move(*result) : RestoreResult{};
    }
    // What a tree on disk is, without what may differ: numbers of link groups.
    std::map<std::string, Entry> describe(std::filesystem::path const& path) {
        auto result = back_up(path);
        EXPECT_EQ(result.problem_count, 0u);
        std::map<std::string, Entry> all;
        std::map<std::uint64_t, std::uint64_t> groups{{0, 0}};
        auto visit = [&](std::string const& name, Entry const& entry) -> Result<bool> {
            auto one = entry;
            one.link_group = groups.try_emplace(entry.link_group, groups.size()).first->second;
            if (one.type == EntryType::directory) one.content = {};
            all.emplace(name, one);
            return true;
        };
        EXPECT_TRUE(TreeReader(fetch, result.tree).walk("", visit, {}, {}));
        all[""] = *TreeReader(fetch, result.tree).find("", {});
        all[""].content = {};
        return all;
    }
    void expect_same() {
        auto want = describe(source.path());
        auto got = describe(target.path());
        for (auto const& [path, entry] : want) {
            ASSERT_EQ(got.count(path), 1u) << path;
            EXPECT_EQ(got[path], entry) << path << ": mode " << got[path].mode << " time "
                                        << got[path].mtime_seconds;
        }
        EXPECT_EQ(got.size(), want.size());
    }
    static void set_time(std::string const& path, std::int64_t seconds, long nanoseconds) {
        timespec times[2] = {{0, UTIME_OMIT}, {seconds, nanoseconds}};
        ::utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW);
    }
    static std::string noise(std::size_t size, unsigned seed) {
        std::string text(size, '\0');
        for (auto& c : text) c = static_cast<char>((seed = seed * 1664525u + 1013904223u) >> 24);
        return text;
    }
};

bool is_root() { return ::geteuid() == 0; }

TEST_F(RestoreTest, BringsBackEveryType) {
    source.file("a/file", "content");
    source.file("a/large", noise(1 << 20, 1));
    source.file("empty", "");
    source.file("\n\xff\x01 name", "x");
    source.directory("none", 0500);
    source.directory("sticky", 03777);
    ::chmod((source / "a/file").c_str(), 0040);
    ::symlink("/etc/passwd", (source / "a/absolute").c_str());
    ::symlink("../../..", (source / "up").c_str());
    ::mkfifo((source / "fifo").c_str(), 0620);
    ::mknod((source / "socket").c_str(), S_IFSOCK | 0604, 0);
    ::link((source / "a/file").c_str(), (source / "linked").c_str());
    ::link((source / "up").c_str(), (source / "up2").c_str());
    ::setxattr((source / "a/large").c_str(), "user.x", "1", 1, 0);
    ::setxattr((source / "a").c_str(), "user.d", "", 0, 0);
    if (is_root()) {
        ::mknod((source / "null").c_str(), S_IFCHR | 0666, makedev(1, 3));
        ::mknod((source / "disk").c_str(), S_IFBLK | 0600, makedev(7, 200));
        ::lchown((source / "up").c_str(), 12345, 54321);
        ::chown((source / "a/large").c_str(), 12345, 1);
        ::lsetxattr((source / "up").c_str(), "trusted.t", "t", 1, 0);
    }
    set_time(source / "a/file", -1, 1);
    set_time(source / "a/large", 1ll << 33, 999'999'999);
    set_time(source / "up", 5, 6);
    set_time(source / "a", 7, 8);
    set_time(source / "fifo", 9, 10);
    set_time(source.path(), 11, 12);
    auto tree = capture();
    auto first = restore(tree);
    EXPECT_THAT(first.problems, IsEmpty());
    EXPECT_EQ(first.bytes_written, 7u + (1u << 20) + 1u);
    expect_same();
    auto again = restore(tree);
    EXPECT_EQ(again.bytes_written, 0u);
    EXPECT_EQ(again.files_unchanged, again.files);
    EXPECT_EQ(again.files, first.files);
    EXPECT_EQ(chunks.fetched, 0u);
    expect_same();
}

TEST_F(RestoreTest, CreatesTheTargetWithTheRootsMetadata) {
    source.file("x", "1");
    ::chmod(source.path().c_str(), 0751);
    auto to = target.path() / "deep/er/target";
    auto result = restore_tree(fetch, capture(), "", to, {}, {}, {});
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(target.status("deep/er/target").st_mode & 07777, 0751u);
    EXPECT_EQ(target.read("deep/er/target/x"), "1");
    // A root without metadata of its own leaves the target as it is.
    FakeIngest ingest(chunks);
    auto bare = TreeBuilder(ingest).finish();
    ASSERT_TRUE(restore_tree(fetch, *bare, "", to, {}, {}, {}));
    EXPECT_EQ(target.status("deep/er/target").st_mode & 07777, 0751u);
    target.file("file", "");
    EXPECT_EQ(restore_tree(fetch, *bare, "", target / "file", {}, {}, {}).error().kind, ErrorKind::usage);
}

TEST_F(RestoreTest, PartsGoWhereTheTargetIs) {
    source.file("a/b/one", "1");
    source.file("a/two", "2");
    auto tree = capture();
    restore(tree, {}, "a/b");
    EXPECT_EQ(target.read("one"), "1");
    restore(tree, {}, "/a/two/");
    EXPECT_EQ(target.read("two"), "2");
    auto missing = try_restore(tree, {}, "a/three");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
}

TEST_F(RestoreTest, FetchesAndWritesOnlyWhatDiffers) {
    auto text = noise(1 << 20, 7);
    source.file("large", text);
    source.file("small", "same");
    auto tree = capture();
    restore(tree);
    auto inode = target.status("large").st_ino;
    text[500'000] ^= 1;
    target.file("large", text.substr(0, 900'000));
    auto result = restore(tree);
    EXPECT_EQ(target.status("large").st_ino, inode);
    // One chunk in the middle and the two at the end.
    EXPECT_EQ(chunks.fetched, 4u * 65536);
    EXPECT_EQ(result.bytes_written, chunks.fetched);
    EXPECT_EQ(result.files_unchanged, 1u);
    expect_same();
    target.file("large", noise(1 << 20, 7) + "longer");
    restore(tree);
    EXPECT_EQ(chunks.fetched, 0u);
    expect_same();
}

TEST_F(RestoreTest, HolesComeBackAndArePunched) {
    auto path = source.file("sparse", "begin");
    ::truncate(path.c_str(), 8 << 20);
    int fd = ::open(path.c_str(), O_WRONLY);
    ::pwrite(fd, "middle", 6, 4 << 20);
    ::close(fd);
    source.file("hole", "");
    ::truncate((source / "hole").c_str(), 1 << 20);
    source.file("zeros", std::string(1 << 20, '\0'));
    auto tree = capture();
    target.file("sparse", noise(9 << 20, 3));
    target.file("hole", noise(1000, 3));
    target.file("zeros", "");
    ::truncate((target / "zeros").c_str(), 1 << 20);
    restore(tree);
    expect_same();
    EXPECT_EQ(target.status("sparse").st_blocks, source.status("sparse").st_blocks);
    EXPECT_EQ(target.status("zeros").st_blocks, source.status("zeros").st_blocks);
    EXPECT_EQ(restore(tree).files_unchanged, 3u);
}

TEST_F(RestoreTest, ReplacesWhatHasAnotherType) {
    source.file("file", "f");
    source.file("dir/x", "x");
    ::symlink("to", (source / "link").c_str());
    ::mkfifo((source / "fifo").c_str(), 0600);
    source.file("over-fifo", "o");
    auto tree = capture();
    ::symlink((outside / "victim").c_str(), (target / "file").c_str());
    outside.file("victim", "precious");
    target.file("dir", "a file");
    target.directory("link");
    target.file("fifo", "a file");
    ::mkfifo((target / "over-fifo").c_str(), 0600);
    auto result = restore(tree);
    EXPECT_THAT(result.problems, IsEmpty());
    expect_same();
    EXPECT_EQ(outside.read("victim"), "precious");
    // A directory that is not empty holds foreign things: only on request.
    ::unlink((target / "file").c_str());
    target.file("file/foreign/deep", "x");
    auto kept = restore(tree);
    EXPECT_EQ(kept.problem_count, 1u);
    EXPECT_TRUE(target.has("file/foreign/deep"));
    EXPECT_EQ(restore(tree, {.delete_extra = true}).problem_count, 0u);
    expect_same();
}

TEST_F(RestoreTest, DeletesWhatIsForeignOnlyWhenAsked) {
    source.file("a", "1");
    source.file("m/x", "2");
    auto tree = capture();
    restore(tree);
    target.file("0", "");
    target.file("b/deep/er", "");
    target.file("m/y.keep", "");
    target.file("z", "");
    outside.file("victim", "precious");
    ::symlink(outside.path().c_str(), (target / "m/z").c_str());
    EXPECT_EQ(restore(tree).deleted, 0u);
    EXPECT_TRUE(target.has("b/deep/er"));
    auto dry = restore(tree, {.delete_extra = true, .dry_run = true});
    EXPECT_GT(dry.deleted, 0u);
    EXPECT_TRUE(target.has("b/deep/er"));
    RestoreOptions options{.delete_extra = true};
    options.exclude = [](std::string const& path) { return path.ends_with(".keep"); };
    auto result = restore(tree, options);
    EXPECT_EQ(result.deleted, 6u);
    EXPECT_EQ(result.problem_count, 0u);
    EXPECT_TRUE(target.has("m/y.keep"));
    EXPECT_FALSE(target.has("b"));
    EXPECT_FALSE(target.has("m/z"));
    EXPECT_EQ(outside.read("victim"), "precious");
    restore(tree, {.delete_extra = true});
    expect_same();
}

TEST_F(RestoreTest, NothingIsForeignInAnIncompleteDirectory) {
    source.file("x/one", "1");
    auto tree = back_up(source.path() / "x/one").tree;
    target.file("other", "precious");
    ::chmod(target.path().c_str(), 0750);
    auto result = restore(tree, {.delete_extra = true});
    EXPECT_EQ(result.deleted, 0u);
    EXPECT_EQ(target.read("other"), "precious");
    EXPECT_EQ(target.read("one"), "1");
    // It only leads to what was asked for: its metadata stays.
    EXPECT_EQ(target.status("").st_mode & 07777, 0750u);
}

TEST_F(RestoreTest, DeletingNeverLeavesDeepTreesHalf) {
    source.file("a", "1");
    auto tree = capture();
    int at = ::open(target.path().c_str(), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 1500; ++i) {
        ::mkdirat(at, "deeper", 0755);
        int next = ::openat(at, "deeper", O_RDONLY | O_DIRECTORY);
        ::close(at);
        at = next;
    }
    ::close(at);
    auto result = restore(tree, {.delete_extra = true});
    EXPECT_EQ(result.deleted, 1500u);
    EXPECT_EQ(result.problem_count, 0u);
    expect_same();
}

TEST_F(RestoreTest, DeepTreesComeBack) {
    int at = ::open(source.path().c_str(), O_RDONLY | O_DIRECTORY);
    std::string name(100, 'd');
    for (int i = 0; i < 450; ++i) {
        ::mkdirat(at, name.c_str(), 0755);
        int next = ::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY);
        ::close(at);
        at = next;
        int file = ::openat(at, "z", O_CREAT | O_WRONLY, 0644);
        EXPECT_EQ(::write(file, &i, sizeof i), static_cast<ssize_t>(sizeof i));
        ::close(file);
    }
    ::close(at);
    auto result = restore(capture());
    EXPECT_EQ(result.problem_count, 0u);
    EXPECT_EQ(result.directories, 450u);
    expect_same();
}

TEST_F(RestoreTest, HardLinksAreLinkedAgain) {
    source.file("a/first", "one");
    source.directory("b");
    ::link((source / "a/first").c_str(), (source / "b/second").c_str());
    ::link((source / "a/first").c_str(), (source / "z").c_str());
    source.file("c", "two");
    ::link((source / "c").c_str(), (source / "d").c_str());
    auto tree = capture();
    restore(tree);
    expect_same();
    EXPECT_EQ(target.status("z").st_nlink, 3u);
    EXPECT_EQ(restore(tree).files_unchanged, 5u);
    // One name became a file of its own, another lost its content.
    ::unlink((target / "b/second").c_str());
    target.file("b/second", "one");
    target.file("c", "2");
    restore(tree);
    expect_same();
    // A part of the group restores by itself.
    target.directory("part");
    ASSERT_TRUE(restore_tree(fetch, tree, "b", target / "part", {}, {}, {}));
    EXPECT_EQ(target.read("part/second"), "one");
}

TEST_F(RestoreTest, NeverWritesThroughAHardLinkThatLeadsOutside) {
    source.file("a", "new");
    source.file("b", "same");
    ::chmod((source / "b").c_str(), 0600);
    auto tree = capture();
    outside.file("a", "precious");
    outside.file("b", "same");
    ::chmod((outside / "b").c_str(), 0644);
    ::link((outside / "a").c_str(), (target / "a").c_str());
    ::link((outside / "b").c_str(), (target / "b").c_str());
    restore(tree);
    expect_same();
    EXPECT_EQ(outside.read("a"), "precious");
    EXPECT_EQ(outside.status("b").st_mode & 07777, 0644u);
}

TEST_F(RestoreTest, RefusesASymlinkInAParent) {
    source.file("dir/sub/file", "new");
    source.file("other", "o");
    auto tree = capture();
    outside.file("sub/file", "precious");
    ::symlink(outside.path().c_str(), (target / "dir").c_str());
    auto result = restore(tree);
    ASSERT_EQ(result.problem_count, 1u);
    EXPECT_EQ(result.problems[0].path, "dir");
    EXPECT_THAT(result.problems[0].message, HasSubstr("symbolic link"));
    EXPECT_EQ(outside.read("sub/file"), "precious");
    EXPECT_EQ(target.read("other"), "o");
    EXPECT_EQ(restore(tree, {.delete_extra = true}).problem_count, 0u);
    EXPECT_EQ(outside.read("sub/file"), "precious");
    expect_same();
}

TEST_F(RestoreTest, ASymlinkSwappedInWhileItRunsIsNotFollowed) {
    // More directories than descriptors: they are opened again when their files come.
    for (int i = 0; i < 400; ++i) source.file("dir" + std::to_string(i) + "/file", "new" + std::to_string(i));
    auto tree = capture();
    outside.file("file", "precious");
    fetch.before_batch = [&] {
        for (int i = 0; i < 400; ++i) {
            auto path = target / ("dir" + std::to_string(i));
            std::filesystem::rename(path, path + ".moved");
            ::symlink(outside.path().c_str(), path.c_str());
        }
    };
    auto result = try_restore(tree);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::unsafe);
    EXPECT_THAT(result.error().message, HasSubstr("was replaced"));
    EXPECT_EQ(outside.read("file"), "precious");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(outside.path()), {}), 1);
}

TEST_F(RestoreTest, AFileSwappedInWhileItRunsIsNotWritten) {
    source.file("file", "new");
    auto tree = capture();
    outside.file("victim", "precious");
    fetch.before_batch = [&] { ::symlink((outside / "victim").c_str(), (target / "file").c_str()); };
    auto result = restore(tree);
    EXPECT_EQ(result.problem_count, 1u);
    EXPECT_EQ(outside.read("victim"), "precious");
}

TEST_F(RestoreTest, RefusesHostilePoints) {
    // What the encoder would not write: a file named "..", spelled by hand.
    auto entry_bytes = [](std::string const& name) {
        Entry entry;
        entry.name = std::string(name.size(), 'x');
        ByteWriter body;
        encode(entry, body);
        auto bytes = body.take();
        std::copy(name.begin(), name.end(), bytes.begin() + 3);
        return bytes;
    };
    for (std::string name : {"..", "../../x", "/abs", "."}) {
        ByteWriter writer;
        writer.raw(as_bytes("HFT1"));
        writer.blob(entry_bytes(name));
        writer.u16(0);
        Content content{writer.size(), 0, {{chunks.put(writer.view()), 0, writer.size()}}};
        auto result = try_restore(content);
        ASSERT_FALSE(result) << name;
        EXPECT_EQ(result.error().kind, ErrorKind::damaged);
    }
    EXPECT_TRUE(std::filesystem::is_empty(target.path()));
}

TEST_F(RestoreTest, AnInterruptedRestoreGoesOn) {
    for (int i = 0; i < 20; ++i) source.file("f" + std::to_string(i), noise(200'000, static_cast<unsigned>(i)));
    ::chmod((source / "f3").c_str(), 0644);
    auto tree = capture();
    std::stop_source stop;
    int left = 0;
    // Stops in the middle of the fetch: some files are whole, one may be half.
    auto progress = [&](Progress const& at) {
        if (at.bytes > 0 && ++left == 30) stop.request_stop();
    };
    auto stopped = restore_tree(fetch, tree, "", target.path(), {.durable = false}, progress, stop.get_token());
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().kind, ErrorKind::cancelled);
    int whole = 0, half = 0;
    for (int i = 0; i < 20; ++i) {
        auto name = "f" + std::to_string(i);
        auto now = describe(target.path());
        if (now.count(name) && now[name] == describe(source.path())[name]) {
            ++whole;
        } else {
            ++half;
            EXPECT_EQ(target.status(name).st_mode & 07777, 0600u) << name;
        }
    }
    EXPECT_GT(whole, 0);
    EXPECT_GT(half, 0);
    auto result = restore(tree);
    EXPECT_LT(result.bytes_written, 20u * 200'000);
    expect_same();
}

TEST_F(RestoreTest, DamageIsNamedOrSkipped) {
    source.file("a/bad", "lost");
    source.file("a/good", "kept");
    source.file("large", noise(300'000, 2));
    auto tree = capture();
    auto bad = TreeReader(fetch, tree).find("a/bad", {});
    auto large = TreeReader(fetch, tree).find("large", {});
    chunks.damaged.insert(*bad->content.extents[0].chunk);
    auto strict = try_restore(tree);
    ASSERT_FALSE(strict);
    EXPECT_EQ(strict.error().kind, ErrorKind::damaged);
    EXPECT_THAT(strict.error().message, HasSubstr("'a/bad'"));
    chunks.damaged.insert(*large->content.extents[2].chunk);
    ::unlink((target / "large").c_str());
    auto result = restore(tree, {.skip_damaged = true});
    EXPECT_THAT(result.damaged, testing::UnorderedElementsAre("a/bad", "large"));
    EXPECT_EQ(result.problem_count, 2u);
    EXPECT_EQ(target.read("a/good"), "kept");
    EXPECT_FALSE(target.has("a/bad"));
    // What there is of it is there, and nobody takes it for whole.
    EXPECT_EQ(target.status("large").st_mode & 07777, 0600u);
    EXPECT_EQ(target.read("large").substr(200'000), noise(300'000, 2).substr(200'000));
    chunks.damaged.clear();
    EXPECT_EQ(restore(tree).problem_count, 0u);
    expect_same();
    // A chunk that is nowhere, and a directory that can't be read.
    auto directory = TreeReader(fetch, tree).find("a", {});
    chunks.chunks.erase(*directory->content.extents[0].chunk);
    EXPECT_THAT(try_restore(tree).error().message, HasSubstr("directory 'a'"));
    target.file("a/foreign", "");
    auto lost = restore(tree, {.delete_extra = true, .skip_damaged = true});
    EXPECT_THAT(lost.damaged, ElementsAre("a"));
    EXPECT_TRUE(target.has("a/foreign"));
}

TEST_F(RestoreTest, DryRunTouchesNothing) {
    source.file("a/b", "12345");
    source.file("c", "abc");
    auto tree = capture();
    auto nowhere = restore_tree(fetch, tree, "", target / "nowhere", {.dry_run = true}, {}, {});
    ASSERT_TRUE(nowhere) << nowhere.error().message;
    EXPECT_EQ(nowhere->bytes_written, 8u);
    EXPECT_FALSE(target.has("nowhere"));
    target.file("c", "abd");
    target.file("a", "in the way");
    auto result = restore(tree, {.delete_extra = true, .dry_run = true});
    EXPECT_EQ(result.bytes_written, 8u);
    EXPECT_EQ(chunks.fetched, 0u);
    EXPECT_EQ(target.read("c"), "abd");
    EXPECT_EQ(target.read("a"), "in the way");
    target.file("c", "abc");
    EXPECT_EQ(restore(tree, {.dry_run = true}).files_unchanged, 1u);
}

TEST_F(RestoreTest, ExcludedPathsAreLeftAlone) {
    source.file("a/x", "1");
    source.file("b", "2");
    RestoreOptions options;
    options.exclude = [](std::string const& path) { return path == "a"; };
    restore(capture(), options);
    EXPECT_FALSE(target.has("a"));
    EXPECT_EQ(target.read("b"), "2");
}

TEST_F(RestoreTest, SpecialBitsOnlyWhenAsked) {
    source.file("setuid", "1");
    source.file("setgid", "2");
    ::chmod((source / "setuid").c_str(), 04755);
    ::chmod((source / "setgid").c_str(), 02755);
    if (is_root()) {
        // cap_net_raw+ep
        Bytes cap{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
        source.file("capable", "3");
        ASSERT_EQ(::setxattr((source / "capable").c_str(), "security.capability", cap.data(), cap.size(), 0), 0);
    }
    auto tree = capture();
    auto result = restore(tree);
    ASSERT_EQ(result.problem_count, 1u);
    EXPECT_THAT(result.problems[0].message, HasSubstr(is_root() ? "3 files" : "2 files"));
    EXPECT_EQ(target.status("setuid").st_mode & 07777, 0755u);
    EXPECT_EQ(target.status("setgid").st_mode & 07777, 0755u);
    EXPECT_LT(::getxattr((target / "capable").c_str(), "security.capability", nullptr, 0), 0);
    EXPECT_EQ(restore(tree, {.set_special_bits = true}).problem_count, 0u);
    expect_same();
    // What is in force on an unchanged file is not taken away, and not worth a word.
    EXPECT_EQ(restore(tree).problem_count, 0u);
    expect_same();
    // On a file that had to be written it is gone.
    target.file("setuid", "9");
    EXPECT_EQ(restore(tree).problem_count, 1u);
    EXPECT_EQ(target.status("setuid").st_mode & 07777, 0755u);
}

TEST_F(RestoreTest, InheritedAttributesDoNotStay) {
    source.file("d/a", "1");
    auto tree = capture();
    target.directory("d");
    // A default ACL of the directory at hand: user::rwx, user 1000:rwx, group::r-x, mask::rwx, other::r-x.
    Bytes acl{2, 0, 0, 0, 1, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 7, 0, 0xe8, 3, 0, 0, 4, 0, 5, 0, 0xff, 0xff,
              0xff, 0xff, 0x10, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, 0x20, 0, 5, 0, 0xff, 0xff, 0xff, 0xff};
    if (::setxattr((target / "d").c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0) != 0) {
        GTEST_SKIP() << "the file system has no ACLs";
    }
    restore(tree);
    expect_same();
    // And an ACL of the point comes back.
    ::setxattr((source / "d").c_str(), "system.posix_acl_default", acl.data(), acl.size(), 0);
    ::setxattr((source / "d/a").c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0);
    auto result = restore(capture());
    EXPECT_EQ(result.problem_count, 0u);
    expect_same();
    EXPECT_EQ(restore(capture()).files_unchanged, 1u);
}

TEST_F(RestoreTest, WhatOthersMayNotSetIsAProblem) {
    if (!is_root()) GTEST_SKIP() << "needs root to become somebody else";
    source.file("theirs", "1");
    source.file("ro/mine", "2");
    ::chown((source / "theirs").c_str(), 12345, 12345);
    ::mknod((source / "null").c_str(), S_IFCHR | 0666, makedev(1, 3));
    ::chmod((source / "ro/mine").c_str(), 0400);
    for (auto name : {"", "ro", "ro/mine"}) ::chown((source / name).c_str(), 65534, 65534);
    ::setxattr((source / "ro/mine").c_str(), "user.x", "1", 1, 0);
    ::chmod((source / "ro").c_str(), 0500);
    auto tree = capture();
    ::chown(target.path().c_str(), 65534, 65534);
    RestoreResult first, second;
    std::thread([&] {
        ::syscall(SYS_setresgid, -1, 65534, -1);
        ::syscall(SYS_setresuid, -1, 65534, -1);
        first = restore(tree);
        // Again, over directories and files that can't be written as they are.
        target.file("theirs", "changed");
        ::chmod((target / "ro/mine").c_str(), 0600);
        target.file("ro/mine", "changed");
        ::chmod((target / "ro/mine").c_str(), 0000);
        ::chmod((target / "ro").c_str(), 0500);
        second = restore(tree);
    }).join();
    EXPECT_EQ(first.problem_count, 2u);
    EXPECT_EQ(first.problems[0].path, "null");
    EXPECT_EQ(first.problems[1].path, "theirs");
    EXPECT_THAT(first.problems[1].message, HasSubstr("owner"));
    EXPECT_EQ(second.problem_count, 2u);
    EXPECT_EQ(target.read("theirs"), "1");
    EXPECT_EQ(target.read("ro/mine"), "2");
    EXPECT_EQ(target.status("ro/mine").st_mode & 07777, 0400u);
    EXPECT_EQ(target.status("ro").st_mode & 07777, 0500u);
    char value;
    EXPECT_EQ(::getxattr((target / "ro/mine").c_str(), "user.x", &value, 1), 1);
}

TEST_F(RestoreTest, AFullTargetIsNamedAndCanBeFinished) {
    if (!is_root()) GTEST_SKIP() << "needs root to mount";
    for (int i = 0; i < 6; ++i) source.file("f" + std::to_string(i), noise(1 << 20, static_cast<unsigned>(i)));
    auto tree = capture();
    bool mounted = false;
    std::thread([&] {
        if (::unshare(CLONE_NEWNS) != 0) return;
        ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
        ASSERT_EQ(::mount("tmpfs", target.path().c_str(), "tmpfs", 0, "size=4m"), 0);
        mounted = true;
        auto full = try_restore(tree);
        ASSERT_FALSE(full);
        EXPECT_EQ(full.error().kind, ErrorKind::no_space);
        EXPECT_THAT(full.error().message, HasSubstr(target.path().string()));
        EXPECT_THAT(full.error().message, HasSubstr("MiB are still to be written"));
        EXPECT_THAT(full.error().hint, HasSubstr("make room for at least 2"));
        ASSERT_EQ(::mount("tmpfs", target.path().c_str(), "tmpfs", MS_REMOUNT, "size=10m"), 0);
        auto result = restore(tree);
        EXPECT_LT(result.bytes_written, 6u << 20);
        EXPECT_EQ(result.problem_count, 0u);
        for (int i = 0; i < 6; ++i) {
            EXPECT_EQ(target.read("f" + std::to_string(i)), noise(1 << 20, static_cast<unsigned>(i)));
        }
    }).join();
    if (!mounted) GTEST_SKIP() << "needs a mount namespace";
}

TEST_F(RestoreTest, OneChunkInManyFiles) {
    for (int i = 0; i < 300; ++i) source.file("f" + std::to_string(i), "all the same");
    auto tree = capture();
    auto result = restore(tree);
    EXPECT_EQ(result.bytes_written, 300u * 12);
    EXPECT_EQ(chunks.fetched, 12u);
    expect_same();
}

TEST_F(RestoreTest, PartsOfChunksAreFetchedAndComparedByBytes) {
    // Extents over an older chunk, as the page-wise capture of a database makes them.
    Bytes old(65536, 'o');
    for (std::size_t i = 0; i < old.size(); ++i) old[i] = static_cast<std::uint8_t>(i / 300);
    auto chunk = chunks.put(old);
    auto page = chunks.put(Bytes(8192, 'n'));
    Entry entry;
    entry.content = {65536, 0, {{chunk, 0, 8192}, {page, 0, 8192}, {chunk, 16384, 49152}}};
    entry.mode = 0644;
    FakeIngest ingest(chunks);
    TreeBuilder builder(ingest);
    ASSERT_TRUE(builder.add("file", entry));
    auto tree = builder.finish();
    restore(*tree, {.set_owner = false});
    auto text = target.read("file");
    EXPECT_EQ(text.substr(0, 8192), to_text(ByteView(old).first(8192)));
    EXPECT_EQ(text.substr(8192, 8192), std::string(8192, 'n'));
    EXPECT_EQ(text.substr(16384), to_text(ByteView(old).subspan(16384)));
    auto again = restore(*tree, {.set_owner = false});
    EXPECT_EQ(again.bytes_written, 0u);
    // A list that lies about its chunk is damage.
    entry.content = {65536, 0, {{chunk, 8192, 65536}}};
    TreeBuilder lying(ingest);
    ASSERT_TRUE(lying.add("file", entry));
    EXPECT_EQ(try_restore(*lying.finish()).error().kind, ErrorKind::damaged);
}

}  // namespace
}  // namespace holdfast
