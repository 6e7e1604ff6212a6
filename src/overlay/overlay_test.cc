#include "overlay/overlay.h"

#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <random>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "archive/fake_chunks.h"
#include "archive/test_directory.h"
#include "os/file.h"
#include "overlay/bring_home.h"
#include "overlay/overlay_session.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kCacheBytes = 8u << 20;

Bytes noise_of(std::mt19937_64& random, std::size_t size) {
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
}

// A point with some files, and a directory that it comes back into.
class OverlayTest : public ::testing::Test {
  protected:
    OverlayTest() {
        chunks.chunk_bytes = 20'000;  // not a multiple of a block
        FakeIngest ingest(chunks);
        TreeBuilder tree(ingest);
        std::mt19937_64 random(3);
        auto add = [&](std::string const& path, std::size_t size) {
            auto stream = ingest.open_stream(ChunkKind::data, {});
            content[path] = noise_of(random, size);
            EXPECT_TRUE(stream->append(content[path]));
            Entry entry;
            entry.mode = 0600;
            entry.uid = ::geteuid();
            entry.gid = ::getegid();
            entry.mtime_seconds = 1'700'000'000;
            entry.content = *stream->finish();
            EXPECT_TRUE(tree.add(path, std::move(entry)));
        };
        add("base/1/100", 40 * kBlockBytes);
        add("base/1/101", 3 * kBlockBytes);
        add("base/1/102", 0);
        add("base/2/200", 200 * kBlockBytes + 17);
        add("control", 500);
        add("once", 30'000);
        part.tree = *tree.finish();
        part.at_once = [](std::string const& path) { return path == "once"; };
        top = scratch.path() / "cluster";
        fs::create_directory(top);
    }
    ~OverlayTest() override { ::umount2(top.c_str(), MNT_DETACH); }

    void prepare() {
        ASSERT_TRUE(write_overlay_about(top, {OverlayPhase::preparing, "test"}));
        auto prepared = prepare_overlay(fetch, part, top, {}, {}, {});
        ASSERT_TRUE(prepared) << prepared.error().message;
        EXPECT_EQ(prepared->files, 5u);
        EXPECT_EQ(prepared->at_once.files, 1u);
        ASSERT_TRUE(write_overlay_about(top, {OverlayPhase::serving, "test"}));
    }
    std::unique_ptr<Overlay> open() {
        auto opened = Overlay::open(top, part, fetch, cache, {.warn = [this](auto const& text) { warned.push_back(text); }, .stop = {}});
        EXPECT_TRUE(opened) << opened.error().message;
        return opened ? std::move(*opened) : nullptr;
    }
    Overlay::Use use(Overlay& overlay, std::string const& path) {
        struct stat status {};
        EXPECT_EQ(::stat((overlay_tree(top) / path).c_str(), &status), 0) << path;
        auto* file = overlay.find(status.st_ino);
        return file ? overlay.use(*file).value() : nullptr;
    }
    // Everything lies at the place itself, as plain files.
    void expect_landed(std::map<std::string, Bytes> const& expected) {
        EXPECT_FALSE(fs::exists(overlay_top(top)));
        for (auto const& [path, bytes] : expected)
            EXPECT_EQ(read_file(top / path, 1u << 24).value_or(Bytes{1}), bytes) << path;
    }

    TestDirectory scratch;
    fs::path top;
    FakeChunks chunks;
    FakeFetch fetch{chunks};
    ChunkCache cache{fetch, kCacheBytes};
    OverlayPart part;
    std::map<std::string, Bytes> content;
    std::vector<std::string> warned;
};

TEST_F(OverlayTest, BringsAllHomeAndLands) {
    prepare();
    EXPECT_FALSE(fs::exists(top / "control")) << "without its mount nobody takes it for what it will be";
    {
        auto overlay = open();
        EXPECT_FALSE(use(*overlay, "once")) << "it is there already";
        Bytes page(kBlockBytes, 7);
        auto file = use(*overlay, "base/2/200");
        ASSERT_TRUE(file->write(5 * kBlockBytes, page));
        std::ranges::copy(page, content["base/2/200"].begin() + 5 * kBlockBytes);
        ASSERT_TRUE(bring_home(*overlay, system_clock(), {}, {}));
        EXPECT_EQ(overlay->bytes_missing(), 0u);
    }
    {
        auto again = open();
        EXPECT_EQ(again->bytes_missing(), 0u) << "it is known durably";
    }
    ASSERT_TRUE(write_overlay_about(top, {OverlayPhase::landing, "test"}));
    ASSERT_TRUE(land_overlay(top, "control"));
    expect_landed(content);
    ASSERT_TRUE(land_overlay(top, "control")) << "it may be repeated";
}

TEST_F(OverlayTest, LandingGoesOnAfterItWasCutOff) {
    prepare();
    ASSERT_TRUE(bring_home(*open(), system_clock(), {}, {}));
    ASSERT_TRUE(write_overlay_about(top, {OverlayPhase::landing, "test"}));
    // As it is after the first of the names.
    fs::rename(overlay_tree(top) / "base", top / "base");
    ASSERT_TRUE(land_overlay(top, "control"));
    expect_landed(content);
}

TEST_F(OverlayTest, OneProcessServesIt) {
    prepare();
    auto first = open();
    auto second = Overlay::open(top, part, fetch, cache, {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::exists);
}

TEST_F(OverlayTest, ARemovedFileIsForgottenAndItsNameIsFree) {
    prepare();
    {
        auto overlay = open();
        auto file = use(*overlay, "base/1/100");
        struct stat status {};
        ASSERT_EQ(::stat((overlay_tree(top) / "base/1/100").c_str(), &status), 0);
        fs::remove(overlay_tree(top) / "base/1/100");
        overlay->name_removed(status.st_ino);
        EXPECT_EQ(overlay->find(status.st_ino), nullptr);
        Bytes bytes(kBlockBytes);
        ASSERT_TRUE(file->read(0, bytes)) << "who has it open still reads it";
        EXPECT_EQ(bytes[9], content["base/1/100"][9]);
        std::ofstream(overlay_tree(top) / "base/1/100") << "another one";
        file.reset();
        ASSERT_TRUE(bring_home(*overlay, system_clock(), {}, {}));
    }
    // Killed between the removal of its name and that of its number.
    fs::remove(overlay_tree(top) / "base/1/101");
    {
        auto overlay = open();
        EXPECT_FALSE(fs::exists(overlay_top(top) / "files/1"));
    }
    ASSERT_TRUE(land_overlay(top, "control"));
    content.erase("base/1/101");
    content["base/1/100"] = to_bytes("another one");
    expect_landed(content);
}

TEST_F(OverlayTest, WhatThePointCantGiveIsToldAndTheRestComesHome) {
    prepare();
    auto overlay = open();
    auto map = FileMap::load(fetch, lower_files(fetch, part, {}).value()[0].content, {}).value();
    chunks.damaged.insert(*map.extent(3).chunk);
    Bytes bytes(kBlockBytes);
    EXPECT_FALSE(use(*overlay, "base/1/100")->read(3 * 20'000, bytes)) << "never other bytes";
    ASSERT_EQ(warned.size(), 1u);
    EXPECT_NE(warned[0].find("base/1/100"), std::string::npos);
    auto done = bring_home(*overlay, system_clock(), {}, {});
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::damaged);
    EXPECT_EQ(use(*overlay, "base/2/200")->missing(), 0u);
    EXPECT_GT(overlay->bytes_missing(), 0u);
}

TEST_F(OverlayTest, AFileThatCantBeOpenedIsNotTakenForHome) {
    prepare();
    auto overlay = open();
    fs::remove(overlay_top(top) / "files/3");
    auto done = bring_home(*overlay, system_clock(), {}, {});
    EXPECT_FALSE(done);
    EXPECT_GT(overlay->bytes_missing(), 0u);
}

// --- through the kernel ---------------------------------------------------------------------------

class MountedOverlay {
  public:
    MountedOverlay(std::unique_ptr<Overlay> overlay, fs::path const& top) : overlay_(std::move(overlay)) {
        auto mounted = OverlaySession::mount(*overlay_, top);
        if (!mounted) return;
        session_ = std::move(*mounted);
        thread_ = std::jthread([this](std::stop_token stop) { std::ignore = session_->serve(stop); });
    }
    ~MountedOverlay() {
        thread_ = {};
        session_.reset();
    }
    bool mounted() const { return session_ != nullptr; }
    Overlay& overlay() { return *overlay_; }
    OverlaySession& session() { return *session_; }

  private:
    std::unique_ptr<Overlay> overlay_;
    std::unique_ptr<OverlaySession> session_;
    std::jthread thread_;
};

// Does the same in two directories, and finds the same.
class Twins {
  public:
    Twins(fs::path ours, fs::path plain, std::uint64_t seed) : places_{std::move(ours), std::move(plain)}, random_(seed) {}

    void step() {
        auto path = any_path();
        switch (random_() % 14) {
            case 0: return both([&](fs::path const& top) { return ::unlink((top / path).c_str()); }, "unlink " + path);
            case 1: {
                auto to = any_path();
                return both([&](fs::path const& top) { return ::rename((top / path).c_str(), (top / to).c_str()); },
                            "rename " + path + " to " + to);
            }
            case 2: {
                auto size = static_cast<off_t>(random_() % (60 * kBlockBytes));
                return both([&](fs::path const& top) { return ::truncate((top / path).c_str(), size); },
                            fmt::format("truncate {} to {}", path, size));
            }
            case 3: return both([&](fs::path const& top) { return ::mkdir((top / path).c_str(), 0750); }, "mkdir " + path);
            case 4: return both([&](fs::path const& top) { return ::rmdir((top / path).c_str()); }, "rmdir " + path);
            case 5: return both([&](fs::path const& top) { return ::symlink("over/there", (top / path).c_str()); }, "symlink " + path);
            case 6: {
                auto to = any_path();
                return both([&](fs::path const& top) { return ::link((top / path).c_str(), (top / to).c_str()); },
                            "link " + path + " as " + to);
            }
            case 7: {
                auto mode = static_cast<mode_t>(0600 | (random_() % 64));
                return both([&](fs::path const& top) { return ::chmod((top / path).c_str(), mode); }, "chmod " + path);
            }
            case 8: {
                auto offset = static_cast<off_t>(random_() % (50 * kBlockBytes));
                return with_file(path, O_RDWR, [&](int fd) { return ::fallocate(fd, 0, offset, 9000); }, "fallocate");
            }
            case 9: return with_file(path, O_RDWR | O_CREAT | O_TRUNC, [](int fd) { return ::fsync(fd); }, "empty");
            default: {
                auto offset = static_cast<off_t>(random_() % 3 == 0 ? random_() % (45 * kBlockBytes) : random_() % 45 * kBlockBytes);
                auto bytes = noise_of(random_, random_() % 2 == 0 ? kBlockBytes : 1 + random_() % 30'000);
                int flags = O_RDWR | (random_() % 4 == 0 ? O_CREAT : 0) | (random_() % 5 == 0 ? O_APPEND : 0);
                return with_file(path, flags, [&](int fd) {
                    auto done = ::pwrite(fd, bytes.data(), bytes.size(), offset) == static_cast<ssize_t>(bytes.size()) ? 0 : -1;
                    return done == 0 && bytes.size() % 3 == 0 ? ::fdatasync(fd) : done;
                }, "write");
            }
        }
    }

    // The same names, kinds, modes, sizes, link counts and bytes.
    void expect_same() { EXPECT_EQ(look(places_[0]), look(places_[1])); }

  private:
    std::string any_path() {
        static constexpr char const* kPaths[] = {"base/1/100", "base/1/101", "base/1/102", "base/2/200", "control", "once",
                                                 "base/1/new", "base/new",   "base/1",     "base/2",     "base/3", "base/3/x"};
        return kPaths[random_() % std::size(kPaths)];
    }
    template <typename Call>
    void both(Call const& call, std::string const& what) {
        int results[2], errors[2];
        for (int i = 0; i < 2; ++i) {
            errno = 0;
            results[i] = call(places_[i]);
            errors[i] = results[i] == 0 ? 0 : errno;
        }
        ASSERT_EQ(errors[0], errors[1]) << what;
    }
    template <typename Call>
    void with_file(std::string const& path, int flags, Call const& call, std::string const& what) {
        both([&](fs::path const& top) {
            Fd file(::open((top / path).c_str(), flags | O_CLOEXEC, 0640));
            return file ? call(file.get()) : -1;
        }, what + " " + path);
    }
    static std::map<std::string, std::string> look(fs::path const& top) {
        std::map<std::string, std::string> seen;
        for (auto const& entry : fs::recursive_directory_iterator(top)) {
            struct stat status {};
            if (::lstat(entry.path().c_str(), &status) != 0) continue;
            auto text = fmt::format("{:o} {} ", status.st_mode, S_ISDIR(status.st_mode) ? 0 : status.st_nlink);
            if (S_ISREG(status.st_mode)) {
                auto bytes = read_file(entry.path(), 1u << 24);
                text += bytes ? fmt::format("{} {}", bytes->size(), std::hash<std::string_view>{}(as_text(*bytes))) : "unreadable";
            }
            if (S_ISLNK(status.st_mode)) text += fs::read_symlink(entry.path());
            seen[fs::relative(entry.path(), top)] = text;
        }
        return seen;
    }
    fs::path const places_[2];
    std::mt19937_64 random_;
};

TEST_F(OverlayTest, IsToTheKernelWhatAPlainDirectoryIs) {
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        top = scratch.path() / fmt::format("cluster{}", seed);
        fs::create_directory(top);
        prepare();
        auto plain = scratch.path() / fmt::format("plain{}", seed);
        ASSERT_TRUE(restore_tree(fetch, part.tree, "", plain, {}, {}, {}));
        {
            MountedOverlay mounted(open(), top);
            if (!mounted.mounted()) GTEST_SKIP() << "this system mounts nothing";
            Twins twins(top, plain, seed);
            std::jthread bringing;
            for (int i = 0; i < 400; ++i) {
                // Half-way the rest comes home beside whoever writes.
                if (i == 200) bringing = std::jthread([&] { EXPECT_TRUE(bring_home(mounted.overlay(), system_clock(), {}, {})); });
                twins.step();
                if (HasFatalFailure()) return;
                if (i % 40 == 0) twins.expect_same();
            }
            bringing = {};
            twins.expect_same();
        }
        // Whatever the process knew: all is in the files.
        ASSERT_TRUE(land_overlay(top, "control"));
        Twins(top, plain, 0).expect_same();
    }
}

// The kernel may have a handle closed as soon as it has an answer about it, on another thread than the one that gave it: who
// answers must have let go. Programs that list and close as fast as they can make a sanitizer see who does not.
TEST_F(OverlayTest, ADirectoryIsClosedWhileTheLastAnswerAboutItReturns) {
    prepare();
    MountedOverlay mounted(open(), top);
    if (!mounted.mounted()) GTEST_SKIP() << "this system mounts nothing";
    std::vector<std::jthread> readers;
    for (int reader = 0; reader < 4; ++reader) {
        readers.emplace_back([&] {
            for (int i = 0; i < 300; ++i) {
                auto* directory = ::opendir((top / "base/1").c_str());
                ASSERT_NE(directory, nullptr);
                int names = 0;
                while (::readdir(directory)) ++names;
                EXPECT_EQ(names, 5) << "three files, '.' and '..'";
                ::closedir(directory);
            }
        });
    }
}

// The kernel tells of a close later, and of none when there is no mount any more.
TEST_F(OverlayTest, WhatIsOpenAtItsEndIsClosed) {
    prepare();
    auto descriptors = [] { return std::distance(fs::directory_iterator("/proc/self/fd"), {}); };
    auto before = descriptors();
    std::vector<Fd> open_there;
    {
        MountedOverlay mounted(open(), top);
        if (!mounted.mounted()) GTEST_SKIP() << "this system mounts nothing";
        for (auto const* path : {"base/1/100", "once", "base/1"}) {
            open_there.emplace_back(::open((top / path).c_str(), O_RDONLY | O_CLOEXEC));
            EXPECT_TRUE(open_there.back());
        }
    }
    EXPECT_EQ(descriptors(), before + 3) << "besides those of this test";
}

TEST_F(OverlayTest, UnmountsOnlyWhenNobodyUsesIt) {
    prepare();
    MountedOverlay mounted(open(), top);
    if (!mounted.mounted()) GTEST_SKIP() << "this system mounts nothing";
    {
        Fd used(::open((top / "control").c_str(), O_RDONLY | O_CLOEXEC));
        EXPECT_FALSE(mounted.session().unmount_unused({}).value());
    }
    EXPECT_TRUE(mounted.session().unmount_unused({}).value());
    EXPECT_FALSE(fs::exists(top / "control"));
}

}  // namespace
}  // namespace holdfast
