#include "os/file.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/text.h"
#include "os/errors.h"
#include "os/random.h"

namespace holdfast {
namespace {

// Removes a file that did not come to be, unless it was released.
class RemoveUnlessKept {
  public:
    explicit RemoveUnlessKept(std::string path) : path_(std::move(path)) {}
    ~RemoveUnlessKept() {
        if (!path_.empty())
            ::unlink(path_.c_str());
    }
    RemoveUnlessKept(RemoveUnlessKept const&) = delete;
    RemoveUnlessKept& operator=(RemoveUnlessKept const&) = delete;
    void keep() { path_.clear(); }

  private:
    std::string path_;
};

std::string temporary_name(std::string const& path) {
    std::uint8_t random[8];
    system_random().fill(random);
    auto slash = path.rfind('/');
    auto name_at = slash == std::string::npos ? 0 : slash + 1;
    return fmt::format("{}.{}.{}.tmp", path.substr(0, name_at), path.substr(name_at),
                       to_hex(random));
}

}  // namespace

Result<Fd> open_file(std::string const& path, int flags, mode_t mode) {
    int fd = -1;
    do {
        fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, mode);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return failed("open", path);
    return Fd(fd);
}

Result<Bytes> read_file(std::string const& path, std::size_t size_max) {
    Fd file = TRY(open_file(path, O_RDONLY));
    struct stat stat {};
    if (fstat(file.get(), &stat) != 0)
        return failed("look at", path);
    // The size is a guess: the file may grow, or be none that knows it.
    Bytes bytes;
    auto guess = stat.st_size > 0 ? static_cast<std::uint64_t>(stat.st_size) : 0;
    bytes.resize(std::min<std::uint64_t>(guess, size_max) + 1);
    std::size_t size = 0;
    while (true) {
        auto got = ::read(file.get(), bytes.data() + size, bytes.size() - size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed("read", path);
        if (got == 0)
            break;
        size += static_cast<std::size_t>(got);
        if (size > size_max) {
            return fail(ErrorKind::usage,
                        fmt::format("read '{}': larger than {} bytes", printable(path), size_max));
        }
        if (size == bytes.size())
            bytes.resize(std::min(2 * size + 4096, size_max + 1));
    }
    bytes.resize(size);
    return bytes;
}

Result<std::size_t> pread_full(int fd, ByteSpan to, std::uint64_t offset) {
    std::size_t size = 0;
    while (size < to.size()) {
        auto got = ::pread(fd, to.data() + size, to.size() - size,
                           static_cast<off_t>(offset + size));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(errno_error("read", errno));
        if (got == 0)
            break;
        size += static_cast<std::size_t>(got);
    }
    return size;
}

Result<void> pwrite_full(Fd const& fd, ByteView bytes, std::uint64_t offset) {
    while (!bytes.empty()) {
        auto put = ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail(errno_error("write", errno));
        bytes = bytes.subspan(static_cast<std::size_t>(put));
        offset += static_cast<std::uint64_t>(put);
    }
    return {};
}

Result<void> write_full(Fd const& fd, ByteView bytes) {
    while (!bytes.empty()) {
        auto put = ::write(fd.get(), bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return fail(errno_error("write", errno));
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return {};
}

// Order: content, content durable, name, name durable. A rename before the content is durable could
// leave an empty file in the place of the old one.
Result<void> write_file_durably(std::string const& path, ByteView bytes, mode_t mode) {
    auto temporary = temporary_name(path);
    Fd file = TRY(open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, mode));
    RemoveUnlessKept remove(temporary);
    // Whatever the umask is: a secret is not to be read by others, a report is.
    if (fchmod(file.get(), mode) != 0)
        return failed("set the mode of", temporary);
    TRY(write_full(file, bytes).within(fmt::format("write '{}'", printable(path))));
    TRY(fsync_file(file, path));
    if (::rename(temporary.c_str(), path.c_str()) != 0)
        return failed("replace", path);
    remove.keep();
    TRY(fsync_directory(parent_directory(path)));
    return {};
}

Result<void> fsync_directory(std::string const& path) {
    Fd directory = TRY(open_file(path, O_RDONLY | O_DIRECTORY));
    if (::fsync(directory.get()) != 0 && errno != EINVAL)
        return failed("sync directory", path);
    return {};
}

Result<void> fsync_file(Fd const& fd, std::string const& path) {
    // Never repeated: after a failure the kernel may have dropped the data and would report
    // success.
    if (::fsync(fd.get()) != 0)
        return failed("sync", path);
    return {};
}

std::string parent_directory(std::string const& path) {
    auto slash = path.rfind('/');
    if (slash == std::string::npos)
        return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace holdfast
