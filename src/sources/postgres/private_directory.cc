#include "sources/postgres/private_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "base/text.h"
#include "mount/fuse_mount.h"
#include "os/file.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kDirectoryPrefix = "holdfast-cluster-";
constexpr char kLockName[] = "lock";
constexpr int kAttempts = 100;

// The lock of a directory, in its file of that name; nothing when another process holds it, or when it is no directory
// of ours (any more).
Fd try_lock(std::string const& path, int flags, std::optional<UserId> const& user) {
    Fd directory(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat held, there;
    if (!directory || ::fstat(directory.get(), &held) != 0) return {};
    if (held.st_uid != ::geteuid() && !(user && held.st_uid == user->uid)) return {};
    // Not a link or a pipe that the server's user has put there.
    Fd lock(::openat(directory.get(), kLockName, flags | O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600));
    if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) return {};
    // Whoever held the lock before us may have removed it.
    auto const same = ::lstat(path.c_str(), &there) == 0 && held.st_dev == there.st_dev && held.st_ino == there.st_ino &&
                      ::fstatat(directory.get(), kLockName, &there, AT_SYMLINK_NOFOLLOW) == 0;
    return same ? std::move(lock) : Fd();
}

// Spoils nothing: what can't be removed now is tried again next time.
void sweep(fs::path const& parent, std::optional<UserId> const& user) {
    std::error_code failed;
    fs::directory_iterator entries(parent, failed);
    for (; !failed && entries != fs::directory_iterator(); entries.increment(failed)) {
        auto const path = entries->path();
        if (!path.filename().native().starts_with(kDirectoryPrefix)) continue;
        // Without a lock file it was made by something that knows of none, and may be in use.
        auto const lock = try_lock(path.native(), 0, user);
        if (!lock) continue;
        // A cluster may have run on a mount in there.
        std::error_code ignored;
        for (fs::directory_iterator at(path, ignored); !ignored && at != fs::directory_iterator(); at.increment(ignored))
            if (is_dead_mount(at->path())) std::ignore = remove_dead_mount(at->path(), {});
        fs::remove_all(path, ignored);
    }
}

}  // namespace

Result<PrivateDirectory> PrivateDirectory::make(fs::path const& parent, std::optional<UserId> const& user) {
    sweep(parent, user);
    // A lock that is not held yet looks like one that was left: another process's sweep may take it away.
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        auto name = (parent / fmt::format("{}XXXXXX", kDirectoryPrefix)).native();
        if (!::mkdtemp(name.data())) return fail(errno_error(fmt::format("make '{}'", printable(name)), errno));
        PrivateDirectory made;
        made.lock_ = try_lock(name, O_CREAT, {});
        if (!made.lock_) continue;
        made.path_ = name;
        if (user && ::chown(name.c_str(), user->uid, user->gid) != 0)
            return fail(errno_error(fmt::format("set the owner of '{}'", printable(name)), errno));
        return made;
    }
    return fail(ErrorKind::io, fmt::format("every directory made in '{}' was taken away", printable(parent.native())));
}

PrivateDirectory::PrivateDirectory(PrivateDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}

PrivateDirectory& PrivateDirectory::operator=(PrivateDirectory&& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(lock_, other.lock_);
    return *this;
}

PrivateDirectory::~PrivateDirectory() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
}

Result<void> PrivateDirectory::write(std::string_view name, std::string_view text,
                                     std::optional<UserId> const& user) const {
    auto file = fmt::format("{}/{}", path_, name);
    TRY(write_file_durably(file, as_bytes(text), 0600));
    if (user && ::chown(file.c_str(), user->uid, user->gid) != 0)
        return fail(errno_error(fmt::format("set the owner of '{}'", file), errno));
    return {};
}

}  // namespace holdfast::postgres
