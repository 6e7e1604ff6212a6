#include "os/file_system.h"

#include <cassert>
#include <cerrno>
#include <cstdio>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sys/stat.h>

#include "base/text.h"
#include "os/errors.h"
#include "os/file.h"

namespace holdfast {
namespace {

// `failed` for reading: below a file (ENOTDIR) there is nothing, just as below a missing directory.
std::unexpected<Error> not_read(std::string_view verb, std::string const& path) {
    bool nothing = errno == ENOTDIR;
    auto error = failed(verb, path);
    if (nothing)
        error.error().kind = ErrorKind::not_found;
    return error;
}

FileKind kind_of(mode_t mode) {
    if (S_ISREG(mode))
        return FileKind::file;
    return S_ISDIR(mode) ? FileKind::directory : FileKind::other;
}

class SystemNewFile : public NewFile {
  public:
    SystemNewFile(Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
    Result<std::size_t> write(ByteView bytes) override {
        while (true) {
            go_direct(may_go_direct(bytes));
            auto part = direct_ ? bytes.first(bytes.size() / kDirectBlock * kDirectBlock) : bytes;
            auto put = ::write(file_.get(), part.data(), part.size());
            if (put >= 0) {
                position_ += static_cast<std::uint64_t>(put);
                return static_cast<std::size_t>(put);
            }
            if (errno == EINVAL && direct_) {
                direct_works_ = false;
            } else if (errno != EINTR) {
                return failed("write", path_);
            }
        }
    }
    Result<void> sync() override { return fsync_file(file_, path_); }

  private:
    // Large runs of aligned memory reach the device without a copy through the page cache, which would
    // cost more than sealing them, and push out what others read.
    static constexpr std::size_t kDirectBlock = 4096;
    static constexpr std::size_t kDirectBytesMin = 1u << 20;

    bool may_go_direct(ByteView bytes) const {
        return direct_works_ && bytes.size() >= kDirectBytesMin && position_ % kDirectBlock == 0 &&
               reinterpret_cast<std::uintptr_t>(bytes.data()) % kDirectBlock == 0;
    }
    void go_direct(bool direct) {
        if (direct == direct_)
            return;
        if (::fcntl(file_.get(), F_SETFL, direct ? O_DIRECT : 0) == 0) {
            direct_ = direct;
        } else if (direct) {
            direct_works_ = false;
        }
    }

    Fd file_;
    std::string path_;
    std::uint64_t position_ = 0;
    bool direct_ = false;
    bool direct_works_ = true;
};

class SystemOldFile : public OldFile {
  public:
    SystemOldFile(Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
    Result<std::uint64_t> size() override {
        struct stat stat {};
        if (fstat(file_.get(), &stat) != 0)
            return failed("look at", path_);
        return static_cast<std::uint64_t>(stat.st_size);
    }
    Result<std::size_t> read(std::uint64_t offset, ByteSpan to) override {
        while (true) {
            auto got = ::pread(file_.get(), to.data(), to.size(), static_cast<off_t>(offset));
            if (got >= 0)
                return static_cast<std::size_t>(got);
            if (errno != EINTR)
                return failed("read", path_);
        }
    }
    // Allowed on a descriptor that was opened for reading.
    Result<void> sync() override { return fsync_file(file_, path_); }

  private:
    Fd file_;
    std::string path_;
};

class SystemFileSystem : public FileSystem {
  public:
    Result<std::unique_ptr<NewFile>> create(std::string const& path, unsigned mode) override {
        Fd file = TRY(open_file(path, O_WRONLY | O_CREAT | O_EXCL, mode));
        return std::make_unique<SystemNewFile>(std::move(file), path);
    }

    Result<std::unique_ptr<OldFile>> open(std::string const& path) override {
        // Not blocking: a FIFO that somebody put here must not hold us for ever.
        Fd file(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
        if (!file)
            return not_read("open", path);
        struct stat stat {};
        if (fstat(file.get(), &stat) != 0)
            return failed("look at", path);
        if (kind_of(stat.st_mode) != FileKind::file) {
            return fail(ErrorKind::not_found,
                        fmt::format("open '{}': not a file", printable(path)));
        }
        return std::make_unique<SystemOldFile>(std::move(file), path);
    }

    Result<void> publish(std::string const& from, std::string const& to) override {
        if (::link(from.c_str(), to.c_str()) == 0)
            return {};
        // File systems without hard links say one of these.
        if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK) {
            if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
                return {};
            }
        }
        return failed("publish", to);
    }

    Result<void> replace(std::string const& from, std::string const& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0)
            return failed("replace", to);
        return {};
    }

    Result<void> remove(std::string const& path) override {
        if (::unlink(path.c_str()) != 0)
            return not_read("remove", path);
        return {};
    }

    Result<void> make_directory(std::string const& path, unsigned mode) override {
        if (::mkdir(path.c_str(), mode) != 0)
            return failed("make directory", path);
        return {};
    }

    Result<void> sync_directory(std::string const& path) override { return fsync_directory(path); }

    Result<std::vector<DirectoryEntry>> list(std::string const& path) override {
        Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!fd)
            return not_read("list", path);
        std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd.get()), closedir);
        if (!directory)
            return failed("list", path);
        fd.release();
        std::vector<DirectoryEntry> entries;
        while (true) {
            errno = 0;
            dirent const* entry = readdir(directory.get());
            if (!entry && errno != 0)
                return failed("list", path);
            if (!entry)
                return entries;
            std::string name = entry->d_name;
            if (name == "." || name == "..")
                continue;
            auto kind = kind_of_entry(dirfd(directory.get()), *entry);
            // nullopt: it vanished meanwhile.
            if (kind)
                entries.push_back({std::move(name), *kind});
        }
    }

    Result<FileInfo> info(std::string const& path) override {
        struct stat stat {};
        if (::stat(path.c_str(), &stat) != 0)
            return not_read("look at", path);
        auto modified = std::chrono::seconds(stat.st_mtim.tv_sec) +
                        std::chrono::nanoseconds(stat.st_mtim.tv_nsec);
        return FileInfo{kind_of(stat.st_mode), static_cast<std::uint64_t>(stat.st_size),
                        Time(modified)};
    }

  private:
    static std::optional<FileKind> kind_of_entry(int directory, dirent const& entry) {
        if (entry.d_type == DT_REG)
            return FileKind::file;
        if (entry.d_type == DT_DIR)
            return FileKind::directory;
        // Links are followed, and some file systems do not tell the type here.
        struct stat stat {};
        if (fstatat(directory, entry.d_name, &stat, 0) != 0)
            return std::nullopt;
        return kind_of(stat.st_mode);
    }
};

}  // namespace

FileSystem& system_files() {
    static SystemFileSystem files;
    return files;
}

Result<void> write_all(NewFile& file, ByteView bytes) {
    while (!bytes.empty()) {
        auto written = TRY(file.write(bytes));
        assert(written > 0 && written <= bytes.size());
        bytes = bytes.subspan(written);
    }
    return {};
}

Result<std::size_t> read_full(OldFile& file, std::uint64_t offset, ByteSpan to) {
    std::size_t size = 0;
    while (size < to.size()) {
        auto got = TRY(file.read(offset + size, to.subspan(size)));
        if (got == 0)
            break;
        assert(got <= to.size() - size);
        size += got;
    }
    return size;
}

}  // namespace holdfast
