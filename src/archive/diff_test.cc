#include "archive/diff.h"

#include <gmock/gmock.h>
#include <sys/xattr.h>

#include "archive/back_up.h"
#include "archive/fake_chunks.h"
#include "archive/test_directory.h"
#include "archive/test_repository.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class DiffTest : public testing::Test {
  protected:
    TestDirectory home;
    FakeChunks chunks;
    ManualClock clock{Time(std::chrono::seconds(4'000'000'000))};
    SeededRandom random{1};
    CachingRepository repository{clock, random, {}};
    FakeFetch fetch{chunks};

    Content capture(std::string const& path) {
        FakeIngest ingest(chunks);
        auto result = back_up_tree(repository, ingest, "d", {.paths = {path}}, {}, {}, {});
        EXPECT_TRUE(result);
        return result->tree;
    }
    Content capture() { return capture(home.path().string()); }

    static DifferenceVisit into(std::vector<std::string>& lines) {
        return [&](Difference const& difference) -> Result<void> {
            lines.push_back(std::string(name(difference.change)) + " " + difference.path + ": " + difference.detail);
            return {};
        };
    }
    std::vector<std::string> trees(Content const& a, Content const& b) {
        std::vector<std::string> lines;
        auto done = diff_trees(fetch, a, b, into(lines), {});
        EXPECT_TRUE(done) << done.error().message;
        return lines;
    }
    std::vector<std::string> live(Content const& tree, CompareOptions const& options = {}) {
        std::vector<std::string> lines;
        auto done = diff_live(fetch, tree, home.path(), options, into(lines), {});
        EXPECT_TRUE(done) << done.error().message;
        return lines;
    }
    // Times that do not move while a test changes things.
    void freeze(std::string_view path) {
        timespec times[2] = {{0, UTIME_OMIT}, {1000, 0}};
        ::utimensat(AT_FDCWD, (home / path).c_str(), times, AT_SYMLINK_NOFOLLOW);
    }
    void freeze_all() {
        for (auto const& item : std::filesystem::recursive_directory_iterator(home.path())) {
            freeze(item.path().lexically_relative(home.path()).string());
        }
        freeze("");
    }
    void make() {
        home.file("a/file", "one");
        home.file("a/same", "same");
        home.file("d/deep/x", "x");
        home.file("gone/y", "y");
        home.file("mode", "m");
        home.file("becomes", "dir");
        ::symlink("to", (home / "link").c_str());
        ::mkfifo((home / "pipe").c_str(), 0600);
        freeze_all();
    }
    void change() {
        home.file("a/file", "two");
        ::chmod((home / "mode").c_str(), 0600);
        std::filesystem::remove_all(home / "gone");
        ::unlink((home / "becomes").c_str());
        home.file("becomes/z", "z");
        home.file("new/n", "n");
        ::unlink((home / "link").c_str());
        ::symlink("elsewhere", (home / "link").c_str());
        freeze_all();
        freeze("a/file");
        ::setxattr((home / "d").c_str(), "user.x", "1", 1, 0);
    }
};

TEST_F(DiffTest, TreesTellEachPathOnce) {
    make();
    auto a = capture();
    EXPECT_THAT(trees(a, a), IsEmpty());
    change();
    auto b = capture();
    EXPECT_THAT(trees(a, b),
                ElementsAre("content a/file: ", "type becomes: file → directory", "added becomes/z: file",
                            "metadata d: attribute user.x", "removed gone: directory", "removed gone/y: file",
                            "content link: ", "metadata mode: mode 0644 → 0600", "added new: directory",
                            "added new/n: file"));
    EXPECT_THAT(trees(b, a), testing::Contains("added gone/y: file"));
    ::chmod(home.path().c_str(), 0751);
    EXPECT_THAT(trees(b, capture()), ElementsAre("metadata : mode 0700 → 0751"));
}

TEST_F(DiffTest, EqualDirectoriesAreNotRead) {
    make();
    auto a = capture();
    home.file("a/file", "two");
    auto b = capture();
    auto same = TreeReader(fetch, a).find("d", {});
    chunks.damaged.insert(*same->content.extents[0].chunk);
    EXPECT_THAT(trees(a, b), testing::Not(IsEmpty()));
}

TEST_F(DiffTest, LiveTellsTheSame) {
    make();
    auto tree = capture();
    EXPECT_THAT(live(tree), IsEmpty());
    change();
    EXPECT_THAT(live(tree),
                ElementsAre("content a/file: from byte 0 on", "type becomes: file → directory",
                            "added becomes/z: file", "metadata d: attribute user.x", "removed gone: directory",
                            "removed gone/y: file", "content link: ", "metadata mode: mode 0644 → 0600",
                            "added new: directory", "added new/n: file"));
    home.file("a/file", "longer");
    CompareOptions options{.owners = false, .times = false, .exclude = {"new", home / "becomes", "gone"}};
    EXPECT_THAT(live(tree, options),
                ElementsAre("content a/file: size 3 → 6", "metadata d: attribute user.x", "content link: ",
                            "metadata mode: mode 0644 → 0600"));
    options.exclude = {"/srv/new", "/srv/becomes", "/srv/gone"};
    options.captured_root = "/srv";
    EXPECT_THAT(live(tree, options),
                ElementsAre("content a/file: size 3 → 6", "metadata d: attribute user.x", "content link: ",
                            "metadata mode: mode 0644 → 0600"));
    EXPECT_EQ(diff_live(fetch, tree, home / "nowhere", {}, {}, {}).error().kind, ErrorKind::not_found);
}

TEST_F(DiffTest, LiveSeesTimesLinksAndTheRoot) {
    home.file("a", "1");
    ::link((home / "a").c_str(), (home / "b").c_str());
    freeze_all();
    auto tree = capture();
    EXPECT_THAT(live(tree), IsEmpty());
    ::unlink((home / "b").c_str());
    home.file("b", "1");
    ::chmod(home.path().c_str(), 0710);
    auto lines = live(tree);
    EXPECT_THAT(lines, ElementsAre("metadata : mode 0700 → 0710, mtime", "metadata b: hard link, mtime"));
    EXPECT_THAT(live(tree, {.times = false}),
                ElementsAre("metadata : mode 0700 → 0710", "metadata b: hard link"));
}

TEST_F(DiffTest, HolesAreZeros) {
    home.file("sparse", "begin");
    ::truncate((home / "sparse").c_str(), 1 << 20);
    home.file("zeros", std::string(1 << 20, '\0'));
    freeze_all();
    auto tree = capture();
    std::string text = "begin";
    text.resize(1 << 20);
    home.file("sparse", text);
    home.file("zeros", "");
    ::truncate((home / "zeros").c_str(), 1 << 20);
    freeze_all();
    EXPECT_THAT(live(tree), IsEmpty());
    text[500'000] = 'x';
    home.file("sparse", text);
    freeze_all();
    EXPECT_THAT(live(tree), ElementsAre("content sparse: from byte 4096 on"));
}

TEST_F(DiffTest, NothingIsAddedBesideAnIncompleteDirectory) {
    home.file("x/one", "1");
    home.file("x/two", "2");
    auto tree = capture(home / "x/one");
    std::vector<std::string> lines;
    ASSERT_TRUE(diff_live(fetch, tree, home / "x", {}, into(lines), {}));
    EXPECT_THAT(lines, IsEmpty());
}

TEST_F(DiffTest, SpecialBitsCountWhenAsked) {
    home.file("a", "1");
    ::chmod((home / "a").c_str(), 04755);
    freeze_all();
    auto tree = capture();
    ::chmod((home / "a").c_str(), 0755);
    EXPECT_EQ(live(tree).size(), 1u);
    EXPECT_THAT(live(tree, {.special_bits = false}), IsEmpty());
}

TEST_F(DiffTest, ASymlinkInADirectorysPlaceIsNotFollowed) {
    home.file("d/x", "1");
    auto tree = capture();
    TestDirectory outside;
    outside.file("x", "1");
    std::filesystem::remove_all(home / "d");
    ::symlink(outside.path().c_str(), (home / "d").c_str());
    EXPECT_THAT(live(tree, {.times = false}), ElementsAre("type d: directory → symlink", "removed d/x: file"));
}

TEST_F(DiffTest, VisitEndsIt) {
    make();
    auto tree = capture();
    change();
    int seen = 0;
    DifferenceVisit visit = [&](Difference const&) -> Result<void> {
        ++seen;
        return fail(ErrorKind::cancelled, "enough");
    };
    EXPECT_EQ(diff_live(fetch, tree, home.path(), {}, visit, {}).error().message, "enough");
    EXPECT_EQ(diff_trees(fetch, tree, capture(), visit, {}).error().message, "enough");
    EXPECT_EQ(seen, 2);
}

}  // namespace
}  // namespace holdfast
