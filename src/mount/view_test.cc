#include "mount/view.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <thread>

#include "archive/fake_chunks.h"
#include "archive/test_directory.h"
#include "mount/fuse_session.h"
#include "mount/point_names.h"
#include "mount/renewed_fetch.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Entry entry(EntryType type, std::uint64_t link_group = 0) {
    Entry entry;
    entry.type = type;
    entry.mode = 0640;
    entry.mtime_seconds = -5;
    entry.mtime_nanoseconds = 7;
    entry.link_group = link_group;
    return entry;
}

// Two points of one dataset and one of another; the tree: a, b (links of one file), d/deep, l → a.
class ViewTest : public testing::Test {
  protected:
    ViewTest() {
        TreeBuilder builder(ingest_);
        auto file = entry(EntryType::file, 9);
        file.content = {.size = 3, .depth = 0, .extents = {{chunks_.put(as_bytes("abc")), 0, 3}}};
        file.xattrs["user.x"] = to_bytes("y");
        EXPECT_TRUE(builder.add("a", file));
        EXPECT_TRUE(builder.add("b", file));
        EXPECT_TRUE(builder.add("d/deep", entry(EntryType::file)));
        auto link = entry(EntryType::symlink);
        link.target = "a";
        EXPECT_TRUE(builder.add("l", link));
        tree_ = *builder.finish();
        list_.points = {point("data", 1), point("data", 2), point("files:/srv", 1)};
        open();
    }

    PointInfo point(std::string dataset, int number) {
        PointInfo info;
        info.id.bytes[0] = static_cast<std::uint8_t>(++last_id_);
        info.point.dataset = std::move(dataset);
        info.point.time = Time(std::chrono::seconds(number));
        info.point.tree = tree_;
        return info;
    }

    void open() {
        auto warn = [this](std::string const& text) { warnings_.push_back(text); };
        table_.emplace([this](std::stop_token) -> Result<PointList> { return list_; }, fetch_, clock_, warn);
        view_.emplace(fetch_, &*table_, View::Options{.cache_bytes = 1 << 20, .warn = warn, .stop = {}});
    }

    View::Seen walk(std::string_view path) {
        View::Seen seen;
        seen.node = view_->node(kRootNode);
        for (auto const& part : split(path)) {
            auto next = view_->look_up(seen.node, part);
            if (!next || !*next) {
                ADD_FAILURE() << path << " is not there";
                return seen;
            }
            seen = **next;
        }
        return seen;
    }
    static std::vector<std::string> split(std::string_view path) {
        std::vector<std::string> parts(1);
        for (char c : path) {
            if (c == '/') parts.emplace_back();
            else parts.back() += c;
        }
        return parts;
    }

    std::vector<std::string> names(std::string_view path) {
        auto listing = view_->list(path.empty() ? view_->node(kRootNode) : walk(path).node);
        std::vector<std::string> found;
        for (std::uint64_t i = 0;; ++i) {
            auto item = view_->item(*listing, i);
            if (!item || !*item) return found;
            found.push_back((*item)->name);
        }
    }

    FakeChunks chunks_;
    FakeIngest ingest_{chunks_};
    FakeFetch fetch_{chunks_};
    ManualClock clock_{Time(std::chrono::seconds(1000))};
    Content tree_;
    PointList list_;
    int last_id_ = 0;
    std::vector<std::string> warnings_;
    std::optional<PointTable> table_;
    std::optional<View> view_;
};

TEST_F(ViewTest, ShowsPointsByDatasetAndTime) {
    EXPECT_THAT(names(""), ElementsAre("data", "files:%2Fsrv"));
    EXPECT_THAT(names("data"), ElementsAre("1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z", "latest"));
    EXPECT_EQ(*view_->target(walk("data/latest").node), "1970-01-01T00:00:02Z");
    EXPECT_THAT(names("data/1970-01-01T00:00:01Z"), ElementsAre("a", "b", "d", "l"));
    auto nothing = view_->look_up(walk("data").node, "1970-01-01T00:00:03Z");
    ASSERT_TRUE(nothing);
    EXPECT_FALSE(*nothing);
}

TEST_F(ViewTest, NewPointsAppearAndForgottenOnesGo) {
    EXPECT_EQ(names("data").size(), 3u);
    list_.points.erase(list_.points.begin());
    list_.points.push_back(point("data", 9));
    EXPECT_EQ(names("data").size(), 3u) << "not asked again at once";
    clock_.advance(std::chrono::seconds(10));
    EXPECT_THAT(names("data"), ElementsAre("1970-01-01T00:00:02Z", "1970-01-01T00:00:09Z", "latest"));
}

TEST_F(ViewTest, TwoPointsOfOneSecondHaveNamesOfTheirOwn) {
    list_.points.push_back(point("data", 2));
    open();
    EXPECT_THAT(names("data"), ElementsAre("1970-01-01T00:00:01Z", "1970-01-01T00:00:02Z",
                                           "1970-01-01T00:00:02Z-04000000", "latest"));
}

TEST_F(ViewTest, StatusIsWhatThePointHolds) {
    auto status = walk("data/1970-01-01T00:00:02Z/a").status;
    EXPECT_EQ(status.st_mode, S_IFREG | 0640u);
    EXPECT_EQ(status.st_size, 3);
    EXPECT_EQ(status.st_mtim.tv_sec, -5);
    EXPECT_EQ(status.st_mtim.tv_nsec, 7);
    EXPECT_EQ(status.st_nlink, 2u);
    EXPECT_EQ(view_->attributes(*walk("data/1970-01-01T00:00:02Z/a").node).at("user.x"), to_bytes("y"));
    EXPECT_EQ(*view_->target(walk("data/1970-01-01T00:00:02Z/l").node), "a");
}

TEST_F(ViewTest, HardLinksAreOneFileAndPointsAreApart) {
    auto a = walk("data/1970-01-01T00:00:02Z/a");
    auto b = walk("data/1970-01-01T00:00:02Z/b");
    auto other = walk("data/1970-01-01T00:00:01Z/a");
    EXPECT_EQ(a.node, b.node);
    EXPECT_EQ(a.status.st_ino, b.status.st_ino);
    EXPECT_NE(a.status.st_ino, other.status.st_ino);
}

TEST_F(ViewTest, WhatIsForgottenComesBackAsTheSame) {
    auto before = view_->known_names();
    auto first = walk("data/1970-01-01T00:00:02Z/d");
    walk("data/1970-01-01T00:00:02Z/d");
    auto inode = first.status.st_ino;
    auto id = first.node->id;
    view_->forget(id, 1);
    EXPECT_NE(view_->node(id), nullptr) << "looked up twice, forgotten once";
    view_->forget(id, 1);
    EXPECT_EQ(view_->node(id), nullptr);
    auto again = walk("data/1970-01-01T00:00:02Z/d");
    EXPECT_EQ(again.status.st_ino, inode);
    EXPECT_NE(again.node->id, id);
    EXPECT_EQ(view_->known_names(), before + 3) << "data, the point, d";
}

TEST_F(ViewTest, ADamagedDirectoryIsToldOnceWithItsPath) {
    auto directory = walk("data/1970-01-01T00:00:02Z/d");
    chunks_.damaged.insert(*directory.node->entry().content.extents[0].chunk);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(view_->look_up(directory.node, "deep"));
    ASSERT_EQ(warnings_.size(), 1u);
    EXPECT_THAT(warnings_[0], HasSubstr("'data/1970-01-01T00:00:02Z/d': "));
    EXPECT_THAT(warnings_[0], HasSubstr("damaged"));
    EXPECT_EQ(view_->complaints(), 1u);
}

TEST_F(ViewTest, ReadsAFile) {
    auto node = walk("data/latest").node;
    node = walk("data/1970-01-01T00:00:02Z/a").node;
    auto file = view_->open(node);
    ASSERT_TRUE(file);
    auto pieces = view_->read(node, **file, 1, 100);
    ASSERT_TRUE(pieces);
    ASSERT_EQ(pieces->size(), 1u);
    EXPECT_EQ(as_text((*pieces)[0].bytes), "bc");
}

TEST(PointNames, EveryDatasetHasADirectoryOfItsOwn) {
    EXPECT_EQ(directory_name("files:/srv/a%b"), "files:%2Fsrv%2Fa%25b");
    EXPECT_EQ(directory_name(".."), "%2E.");
    EXPECT_NE(directory_name("a/b"), directory_name("a%2Fb"));
}

TEST(RenewedFetch, FindsWhatWasPackedAgain) {
    FakeChunks before, after;
    auto id = after.put(as_bytes("moved"));
    ManualClock clock(Time{});
    int opened = 0;
    auto open = [&](std::stop_token) -> Result<std::unique_ptr<Fetch>> {
        return std::unique_ptr<Fetch>(std::make_unique<FakeFetch>(opened++ == 0 ? before : after));
    };
    auto fetch = RenewedFetch::open(open, clock, {});
    ASSERT_TRUE(fetch);
    auto bytes = (*fetch)->chunk(id, {});
    ASSERT_TRUE(bytes) << bytes.error().message;
    EXPECT_EQ(as_text(*bytes), "moved");
    EXPECT_EQ(opened, 2);
    for (int i = 0; i < 5; ++i) EXPECT_FALSE((*fetch)->chunk(ChunkId{}, {}));
    EXPECT_EQ(opened, 2) << "what is really missing does not have the index read for each who asks";
}

// The kernel may have a handle closed as soon as it has an answer about it, on another thread than the one that gave it.
TEST_F(ViewTest, ADirectoryIsClosedWhileTheLastAnswerAboutItReturns) {
    TestDirectory at;
    auto session = FuseSession::mount(*view_, at.path(), {});
    if (!session) GTEST_SKIP() << "this system mounts nothing: " << session.error().message;
    std::jthread serving([&](std::stop_token stop) { EXPECT_TRUE((*session)->serve(stop)); });
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 4; ++reader) {
        readers.emplace_back([&] {
            for (int i = 0; i < 300; ++i) {
                auto* directory = ::opendir((at.path() / "data").c_str());  // above points the kernel keeps no list
                ASSERT_NE(directory, nullptr);
                int names = 0;
                while (::readdir(directory)) ++names;
                EXPECT_EQ(names, 5) << "two points, latest, '.' and '..'";
                ::closedir(directory);
            }
        });
    }
    readers.clear();
}

}  // namespace
}  // namespace holdfast
