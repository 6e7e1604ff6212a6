#include "os/file.h"

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/file_system.h"
#include "os/process.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Directory : public testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (fs::temp_directory_path() / "holdfast-file-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        path_ = pattern;
    }
    void TearDown() override { fs::remove_all(path_); }
    std::string at(std::string const& name) const { return path_ + "/" + name; }
    std::size_t count() const {
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(path_), {}));
    }

    std::string path_;
};

using File = Directory;
using SystemFiles = Directory;

unsigned mode_of(std::string const& path) {
    struct stat stat {};
    EXPECT_EQ(::stat(path.c_str(), &stat), 0);
    return stat.st_mode & 07777;
}

TEST_F(File, DurableWriteCreatesAndReplaces) {
    umask(077);
    ASSERT_TRUE(write_file_durably(at("a"), as_bytes("first"), 0640));
    EXPECT_EQ(mode_of(at("a")), 0640U);
    ASSERT_TRUE(write_file_durably(at("a"), as_bytes("second, longer"), 0600));
    EXPECT_EQ(mode_of(at("a")), 0600U);
    umask(022);
    auto bytes = read_file(at("a"), 100);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(to_text(*bytes), "second, longer");
    EXPECT_EQ(count(), 1U);
}

TEST_F(File, FailedWriteKeepsTheOldContentAndLeavesNothing) {
    ASSERT_TRUE(write_file_durably(at("a"), as_bytes("old"), 0600));
    pid_t pid = fork();
    if (pid == 0) {
        // No file may grow beyond 1000 bytes: the write fails midway.
        signal(SIGXFSZ, SIG_IGN);
        rlimit limit{1000, 1000};
        setrlimit(RLIMIT_FSIZE, &limit);
        auto written = write_file_durably(at("a"), Bytes(5000), 0600);
        _exit(!written && written.error().kind == ErrorKind::io ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(to_text(*read_file(at("a"), 100)), "old");
    EXPECT_EQ(count(), 1U);
}

TEST_F(File, DurableWriteIntoAMissingDirectoryNamesIt) {
    auto written = write_file_durably(at("no/such"), as_bytes("x"), 0600);
    ASSERT_FALSE(written);
    EXPECT_EQ(written.error().kind, ErrorKind::not_found);
    EXPECT_THAT(written.error().message, HasSubstr("no/"));
}

TEST_F(File, ReadRefusesMoreThanAllowed) {
    ASSERT_TRUE(write_file_durably(at("a"), Bytes(1000), 0600));
    EXPECT_EQ(read_file(at("a"), 1000)->size(), 1000U);
    auto larger = read_file(at("a"), 999);
    ASSERT_FALSE(larger);
    EXPECT_EQ(larger.error().kind, ErrorKind::usage);
    EXPECT_EQ(read_file(at("missing"), 10).error().kind, ErrorKind::not_found);
}

TEST_F(File, ReadsFilesWhoseSizeIsNotKnown) {
    auto status = read_file("/proc/self/status", 1 << 20);
    ASSERT_TRUE(status);
    EXPECT_THAT(to_text(*status), HasSubstr("Pid:"));
    EXPECT_EQ(read_file("/dev/zero", 10000).error().kind, ErrorKind::usage);
}

TEST_F(File, ReadsAndWritesAtOffsets) {
    auto fd = open_file(at("a"), O_RDWR | O_CREAT | O_EXCL);
    ASSERT_TRUE(fd);
    ASSERT_TRUE(pwrite_full(*fd, as_bytes("world"), 6));
    ASSERT_TRUE(pwrite_full(*fd, as_bytes("hello "), 0));
    Bytes bytes(20);
    EXPECT_EQ(pread_full(*fd, bytes, 0), 11U);
    EXPECT_EQ(pread_full(*fd, bytes, 8), 3U);
    EXPECT_EQ(pread_full(*fd, bytes, 11), 0U);
    EXPECT_EQ(fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
    EXPECT_EQ(open_file(at("a"), O_RDWR | O_CREAT | O_EXCL).error().kind, ErrorKind::exists);
}

TEST_F(File, ParentOfAPath) {
    EXPECT_EQ(parent_directory("/a/b/c"), "/a/b");
    EXPECT_EQ(parent_directory("/a"), "/");
    EXPECT_EQ(parent_directory("a"), ".");
}

// The order that makes it durable, seen from outside: content before name, name before return.
TEST_F(File, DurableWriteSyncsContentThenNameThenDirectory) {
    auto have = run({.argv = {"strace", "-V"}}, {});
    if (!have || !have->success())
        GTEST_SKIP() << "needs strace";
    auto self = fs::read_symlink("/proc/self/exe").string();
    auto trace =
        run({.argv = {"strace", "-f", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2", self,
                      "--gtest_filter=File.DurableWriteCreatesAndReplaces"}},
            {});
    ASSERT_TRUE(trace);
    if (trace->err.find("ptrace") != std::string::npos)
        GTEST_SKIP() << "may not trace";
    std::string calls;
    for (std::size_t at = 0; at < trace->err.size(); ++at) {
        if (trace->err.compare(at, 6, "fsync(") == 0)
            calls += 'S';
        if (trace->err.compare(at, 7, "rename(") == 0)
            calls += 'R';
    }
    EXPECT_EQ(calls, "SRSSRS");
}

// Large aligned runs take another way to the device than the rest of a file.
TEST_F(SystemFiles, EveryByteArrivesWhicheverWayItTakes) {
    struct Free {
        void operator()(void* at) const { std::free(at); }
    };
    constexpr std::size_t kRoom = 4u << 20;
    std::unique_ptr<void, Free> memory(std::aligned_alloc(4096, kRoom));
    ByteSpan room(static_cast<std::uint8_t*>(memory.get()), kRoom);
    for (std::size_t i = 0; i < kRoom; ++i) room[i] = static_cast<std::uint8_t>(i * 2654435761u >> 13);
    auto& files = system_files();
    std::vector<std::vector<ByteView>> cases = {
        {room},
        {room.first(3'000'001), room.first(7), room.subspan(8192)},
        {room.first(5), room},
        {room.subspan(1), room.first(2u << 20), room.first(1), room.first(2u << 20)},
        {room.first(2u << 20), room.first(2u << 20), room.subspan(4096, 100'000)},
    };
    for (std::size_t i = 0; i < cases.size(); ++i) {
        SCOPED_TRACE(i);
        auto path = at(std::to_string(i));
        auto file = files.create(path, 0600);
        ASSERT_TRUE(file) << file.error().message;
        Bytes whole;
        for (auto part : cases[i]) {
            whole.insert(whole.end(), part.begin(), part.end());
            while (!part.empty()) {
                auto put = (*file)->write(part);
                ASSERT_TRUE(put) << put.error().message;
                part = part.subspan(*put);
            }
        }
        ASSERT_TRUE((*file)->sync());
        std::ifstream in(path, std::ios::binary);
        EXPECT_TRUE(Bytes(std::istreambuf_iterator<char>(in), {}) == whole);
    }
}

TEST_F(SystemFiles, PublishNeverReplaces) {
    auto& files = system_files();
    for (auto const* name : {"one", "two"}) {
        auto file = files.create(at(name), 0400);
        ASSERT_TRUE(file);
        ASSERT_TRUE(write_all(**file, as_bytes(name)));
        ASSERT_TRUE((*file)->sync());
    }
    EXPECT_EQ(files.create(at("one"), 0400).error().kind, ErrorKind::exists);
    ASSERT_TRUE(files.publish(at("one"), at("to")));
    EXPECT_EQ(files.publish(at("two"), at("to")).error().kind, ErrorKind::exists);
    EXPECT_EQ(files.publish(at("none"), at("other")).error().kind, ErrorKind::not_found);
    EXPECT_EQ(files.publish(at("two"), at("no/where")).error().kind, ErrorKind::not_found);
    auto published = files.open(at("to"));
    ASSERT_TRUE(published);
    Bytes bytes(10);
    EXPECT_EQ(read_full(**published, 0, bytes), 3U);
    EXPECT_EQ((*published)->size(), 3U);
    EXPECT_EQ(as_text(ByteView(bytes).first(3)), "one");
    ASSERT_TRUE((*published)->sync());
    EXPECT_EQ(mode_of(at("to")), 0400U);
}

TEST_F(SystemFiles, ListsAndDescribes) {
    auto& files = system_files();
    ASSERT_TRUE(files.make_directory(at("d"), 0700));
    EXPECT_EQ(files.make_directory(at("d"), 0700).error().kind, ErrorKind::exists);
    ASSERT_TRUE(write_file_durably(at("f"), as_bytes("abc"), 0600));
    fs::create_symlink("f", at("link"));
    ASSERT_EQ(mkfifo(at("fifo").c_str(), 0600), 0);
    auto entries = files.list(path_);
    ASSERT_TRUE(entries);
    std::map<std::string, FileKind> kinds;
    for (auto const& entry : *entries)
        kinds[entry.name] = entry.kind;
    EXPECT_EQ(kinds, (std::map<std::string, FileKind>{{"d", FileKind::directory},
                                                      {"f", FileKind::file},
                                                      {"link", FileKind::file},
                                                      {"fifo", FileKind::other}}));
    EXPECT_EQ(files.info(at("f"))->size, 3U);
    EXPECT_EQ(files.info(at("none")).error().kind, ErrorKind::not_found);
    EXPECT_EQ(files.list(at("none")).error().kind, ErrorKind::not_found);
    EXPECT_EQ(files.open(at("fifo")).error().kind, ErrorKind::not_found);
    EXPECT_EQ(files.open(at("d")).error().kind, ErrorKind::not_found);
    ASSERT_TRUE(files.remove(at("f")));
    EXPECT_EQ(files.remove(at("f")).error().kind, ErrorKind::not_found);
    ASSERT_TRUE(files.sync_directory(path_));
}

}  // namespace
}  // namespace holdfast
