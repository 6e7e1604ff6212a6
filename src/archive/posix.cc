#include "archive/posix.h"

#include <algorithm>
#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "os/users.h"

namespace holdfast {
namespace {

constexpr int kOpenFlags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;

std::expected<Fd, Errno> open_at(int directory, char const* name, int flags) {
    for (;;) {
        // Only the owner of a file (and root) may leave its access time alone.
        Fd fd(::openat(directory, name, flags | O_NOATIME));
        if (!fd && errno == EPERM) fd.reset(::openat(directory, name, flags));
        if (fd) return fd;
        if (errno != EINTR) return std::unexpected(errno);
    }
}

// Both forms of the calls: on a descriptor, and on a path that is not followed.
template <typename List, typename Get>
std::expected<Attributes, Errno> read_attributes(List list, Get get) {
    std::string names;
    for (;;) {
        auto size = list(nullptr, 0);
        if (size < 0) return errno == ENOTSUP ? Attributes{} : std::expected<Attributes, Errno>(std::unexpect, errno);
        if (size == 0) return Attributes{};
        names.resize(static_cast<std::size_t>(size));
        size = list(names.data(), names.size());
        if (size < 0 && errno == ERANGE) continue;
        if (size < 0) return std::unexpected(errno);
        names.resize(static_cast<std::size_t>(size));
        break;
    }
    Attributes attributes;
    for (std::size_t at = 0; at < names.size();) {
        auto name = std::string(names.c_str() + at);
        at += name.size() + 1;
        if (name.empty()) continue;
        Bytes value;
        for (;;) {
            auto size = get(name.c_str(), nullptr, 0);
            if (size >= 0) {
                value.resize(static_cast<std::size_t>(size));
                size = get(name.c_str(), value.data(), value.size());
            }
            if (size < 0 && errno == ERANGE) continue;
            if (size < 0 && errno != ENODATA) return std::unexpected(errno);
            if (size >= 0) {
                value.resize(static_cast<std::size_t>(size));
                attributes.emplace(std::move(name), std::move(value));
            }
            break;
        }
    }
    return attributes;
}

}  // namespace

FileStamp stamp_of(struct stat const& status) {
    auto time = [](timespec const& t) { return FileTime{t.tv_sec, static_cast<std::uint32_t>(t.tv_nsec)}; };
    return {status.st_ino, static_cast<std::uint64_t>(status.st_size), time(status.st_mtim),
            time(status.st_ctim)};
}

Result<EntryType> type_of(struct stat const& status) {
    switch (status.st_mode & S_IFMT) {
        case S_IFREG: return EntryType::file;
        case S_IFDIR: return EntryType::directory;
        case S_IFLNK: return EntryType::symlink;
        case S_IFIFO: return EntryType::fifo;
        case S_IFSOCK: return EntryType::socket;
        case S_IFCHR: return EntryType::character_device;
        case S_IFBLK: return EntryType::block_device;
        default: return fail(ErrorKind::usage, fmt::format("file type {:o} is unknown", status.st_mode & S_IFMT));
    }
}

mode_t type_bits(EntryType type) {
    switch (type) {
        case EntryType::file: return S_IFREG;
        case EntryType::directory: return S_IFDIR;
        case EntryType::symlink: return S_IFLNK;
        case EntryType::fifo: return S_IFIFO;
        case EntryType::socket: return S_IFSOCK;
        case EntryType::character_device: return S_IFCHR;
        case EntryType::block_device: return S_IFBLK;
    }
    return 0;
}

Result<Entry> entry_of(struct stat const& status, std::string name) {
    Entry entry;
    entry.type = TRY(type_of(status));
    entry.name = std::move(name);
    entry.mode = status.st_mode & 07777;
    entry.uid = status.st_uid;
    entry.gid = status.st_gid;
    entry.user = user_name(status.st_uid).value_or("");
    entry.group = group_name(status.st_gid).value_or("");
    auto stamp = stamp_of(status);
    entry.mtime_seconds = stamp.mtime.seconds;
    entry.mtime_nanoseconds = stamp.mtime.nanoseconds;
    if (entry.type == EntryType::character_device || entry.type == EntryType::block_device) {
        entry.device = status.st_rdev;
    }
    return entry;
}

std::expected<Fd, Errno> open_directory_at(int directory, char const* name) {
    return open_at(directory, name, kOpenFlags | O_DIRECTORY);
}

std::expected<Fd, Errno> open_waypoint_at(int directory, char const* name) {
    auto fd = open_directory_at(directory, name);
    if (fd || fd.error() != EACCES) return fd;
    Fd path(::openat(directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!path) return std::unexpected(errno);
    return path;
}

std::expected<Fd, Errno> open_file_at(int directory, char const* name) {
    return open_at(directory, name, kOpenFlags);
}

std::expected<std::vector<std::string>, Errno> sorted_names(int directory) {
    // A descriptor of its own: closedir() closes it, and its position is not shared.
    auto own = open_directory_at(directory, ".");
    if (!own) return std::unexpected(own.error());
    DIR* stream = ::fdopendir(own->get());
    if (!stream) return std::unexpected(errno);
    (void)own->release();
    std::vector<std::string> names;
    for (;;) {
        errno = 0;
        auto const* item = ::readdir(stream);
        if (!item) break;
        std::string_view name = item->d_name;
        if (name != "." && name != "..") names.emplace_back(name);
    }
    auto error = errno;
    ::closedir(stream);
    if (error != 0) return std::unexpected(error);
    std::sort(names.begin(), names.end());
    return names;
}

std::expected<std::string, Errno> read_link_at(int directory, char const* name) {
    std::string target(256, '\0');
    for (;;) {
        auto size = ::readlinkat(directory, name, target.data(), target.size());
        if (size < 0) return std::unexpected(errno);
        if (static_cast<std::size_t>(size) < target.size()) {
            target.resize(static_cast<std::size_t>(size));
            return target;
        }
        target.resize(target.size() * 2);
    }
}

std::expected<Attributes, Errno> attributes_of(int fd) {
    return read_attributes([&](char* to, std::size_t size) { return ::flistxattr(fd, to, size); },
                           [&](char const* name, void* to, std::size_t size) {
                               return ::fgetxattr(fd, name, to, size);
                           });
}

std::expected<Attributes, Errno> attributes_at(int directory, std::string const& name) {
    auto path = proc_path(directory, name);
    return read_attributes(
        [&](char* to, std::size_t size) { return ::llistxattr(path.c_str(), to, size); },
        [&](char const* key, void* to, std::size_t size) {
            return ::lgetxattr(path.c_str(), key, to, size);
        });
}

std::string proc_path(int directory, std::string_view name) {
    return fmt::format("/proc/self/fd/{}/{}", directory, name);
}

std::expected<std::size_t, Errno> read_at(int fd, ByteSpan bytes, std::uint64_t offset) {
    std::size_t done = 0;
    while (done < bytes.size()) {
        auto size = ::pread(fd, bytes.data() + done, bytes.size() - done,
                            static_cast<off_t>(offset + done));
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return std::unexpected(errno);
        if (size == 0) break;
        done += static_cast<std::size_t>(size);
    }
    return done;
}

}  // namespace holdfast
