#include "archive/target.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"

namespace holdfast {
namespace {

constexpr std::size_t kOpenDirectoriesMax = 200;
constexpr int kDirectoryFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

bool is_same(struct stat const& status, dev_t device, ino_t inode) {
    return status.st_dev == device && status.st_ino == inode;
}

// mkdir -p; true when `path` itself was made.
Result<bool> make_directories(std::filesystem::path const& path) {
    struct stat status;
    if (::stat(path.c_str(), &status) == 0) return false;
    if (errno != ENOENT) return fail(errno_error("'" + printable(path.string()) + "'", errno));
    if (path.has_parent_path() && path != path.parent_path()) TRY(make_directories(path.parent_path()));
    if (path.filename().empty() || path.filename() == ".") return false;
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail(errno_error("create the directory '" + printable(path.string()) + "'", errno));
    }
    return true;
}

// `resolve`: more of openat2's RESOLVE flags, which count where the kernel knows the call.
std::expected<Fd, Errno> open_resolved(int directory, char const* name, int flags, mode_t mode,
                                       std::uint64_t resolve) {
    flags |= O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
    open_how how{};
    how.flags = static_cast<std::uint64_t>(flags);
    how.mode = (flags & O_CREAT) != 0 ? mode : 0;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | resolve;
    // EAGAIN: something was renamed meanwhile, and the kernel could not tell whether it left the directory.
    for (int attempt = 0;; ++attempt) {
        Fd fd(static_cast<int>(::syscall(SYS_openat2, directory, name, &how, sizeof how)));
        // Kernels before 5.6, and filters that do not know the call: of a single name, O_NOFOLLOW does
        // the same.
        if (!fd && (errno == ENOSYS || errno == EPERM)) {
            auto first = errno;
            fd.reset(::openat(directory, name, flags, mode));
            if (!fd && first == EPERM && errno == EPERM) return std::unexpected(EPERM);
        }
        if (fd) return fd;
        if (errno != EINTR && (errno != EAGAIN || attempt >= 100)) return std::unexpected(errno);
    }
}

}  // namespace

std::expected<Fd, Errno> open_beneath(int directory, char const* name, int flags, mode_t mode) {
    return open_resolved(directory, name, flags, mode, 0);
}

std::string TargetDirectory::path() const {
    std::vector<TargetDirectory const*> chain;
    for (auto const* at = this; at->parent; at = at->parent.get()) chain.push_back(at);
    std::string path;
    for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
        if (!path.empty()) path += '/';
        path += (*at)->name;
    }
    return path;
}

TargetDirectory::~TargetDirectory() {
    if (owner) {
        std::lock_guard lock(owner->mutex_);
        if (fd) owner->recent_.erase(recent);
    }
    // A chain of parents that nobody else holds is let go link by link: the recursion of destructors
    // would be as deep as the tree.
    while (parent && parent.use_count() == 1) {
        auto up = std::move(parent->parent);
        parent = std::move(up);
    }
}

Result<std::unique_ptr<Target>> Target::open(std::filesystem::path const& path, OpenOptions options) {
    auto what = "the target '" + printable(path.string()) + "'";
    std::unique_ptr<Target> target(new Target);
    target->path_ = path;
    if (options.create) target->created_ = TRY(make_directories(path).within(what));
    Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct stat status;
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        if (errno == ENOTDIR) return fail(ErrorKind::usage, what + " is not a directory");
        return fail(errno_error("open " + what, errno));
    }
    target->top_ = std::make_shared<TargetDirectory>();
    target->top_->device = status.st_dev;
    target->top_->inode = status.st_ino;
    target->top_->fd = std::make_shared<Fd const>(std::move(fd));
    target->file_systems_.emplace_back(status.st_dev, Fd(::openat(target->top_->fd->get(), ".", kDirectoryFlags)));
    return target;
}

void Target::keep(TargetDirectory& directory, std::shared_ptr<Fd const> fd) {
    directory.fd = std::move(fd);
    directory.owner = this;
    recent_.push_front(&directory);
    directory.recent = recent_.begin();
    if (recent_.size() > kOpenDirectoriesMax) {
        recent_.back()->fd.reset();
        recent_.pop_back();
    }
}

Result<std::shared_ptr<Fd const>> Target::fd(TargetDirectory& directory) {
    std::lock_guard lock(mutex_);
    if (directory.fd) {
        if (directory.parent) recent_.splice(recent_.begin(), recent_, directory.recent);
        return directory.fd;
    }
    std::vector<TargetDirectory*> chain;
    auto* open = &directory;
    for (; !open->fd; open = open->parent.get()) chain.push_back(open);
    auto fd = open->fd;
    for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
        auto next = open_beneath(fd->get(), (*at)->name.c_str(), O_RDONLY | O_DIRECTORY);
        struct stat status;
        if (!next || ::fstat(next->get(), &status) != 0 || !is_same(status, (*at)->device, (*at)->inode)) {
            return fail(ErrorKind::unsafe,
                        "the directory '" + printable((*at)->path()) + "' was replaced while it was restored",
                        "stop what else writes into the target, then repeat the restore");
        }
        fd = std::make_shared<Fd const>(std::move(*next));
    }
    keep(directory, fd);
    return fd;
}

std::expected<TargetDirectoryPointer, Errno> Target::enter(TargetDirectoryPointer const& parent,
                                                           std::string const& name) {
    auto above = fd(*parent);
    if (!above) return std::unexpected(ELOOP);
    auto next = open_beneath((*above)->get(), name.c_str(), O_RDONLY | O_DIRECTORY);
    if (!next) return std::unexpected(next.error());
    struct stat status;
    if (::fstat(next->get(), &status) != 0) return std::unexpected(errno);
    auto directory = std::make_shared<TargetDirectory>();
    directory->parent = parent;
    directory->name = name;
    directory->device = status.st_dev;
    directory->inode = status.st_ino;
    std::lock_guard lock(mutex_);
    keep(*directory, std::make_shared<Fd const>(std::move(*next)));
    for (auto const& [device, fd] : file_systems_) {
        if (device == status.st_dev) return directory;
    }
    file_systems_.emplace_back(status.st_dev, Fd(::openat(directory->fd->get(), ".", kDirectoryFlags)));
    return directory;
}

Result<void> Target::sync() {
    for (auto const& [device, fd] : file_systems_) {
        if (::syncfs(fd.get()) != 0) {
            return fail(errno_error("make '" + printable(path_.string()) + "' durable", errno));
        }
    }
    // The name of the target itself lies in its parent, perhaps on another file system.
    std::error_code error;
    auto parent = std::filesystem::absolute(path_, error).lexically_normal();
    if (!parent.has_filename()) parent = parent.parent_path();
    Fd above(::open(parent.parent_path().c_str(), kDirectoryFlags & ~O_NOFOLLOW));
    if (created_ && above && ::fsync(above.get()) != 0) {
        return fail(errno_error("make '" + printable(parent.parent_path().string()) + "' durable", errno));
    }
    return {};
}

Result<void> remove_tree(int directory, std::string const& name, std::uint64_t& removed) {
    // One descriptor at a time: the way up is "..", checked to be the directory that it was.
    struct Level {
        std::string name;
        dev_t device;
        ino_t inode;
    };
    std::vector<Level> above;  // the directories that hold the one at hand
    auto where = [&] {
        std::string path;
        for (std::size_t i = 1; i < above.size(); ++i) path += above[i].name + "/";
        return path;
    };
    struct stat status;
    if (::fstat(directory, &status) != 0) return fail(errno_error("remove", errno));
    auto device = status.st_dev;
    Fd at(::openat(directory, ".", kDirectoryFlags));
    std::vector<std::vector<std::string>> names{{name}};
    above.push_back({"", status.st_dev, status.st_ino});
    while (!names.empty()) {
        if (names.back().empty()) {
            names.pop_back();
            if (names.empty()) break;
            auto child = above.back().name;
            above.pop_back();
            Fd up(::openat(at.get(), "..", kDirectoryFlags));
            if (!up || ::fstat(up.get(), &status) != 0 ||
                !is_same(status, above.back().device, above.back().inode)) {
                return fail(ErrorKind::unsafe, "remove '" + printable(where() + child) + "': it was moved");
            }
            at = std::move(up);
            if (::unlinkat(at.get(), child.c_str(), AT_REMOVEDIR) != 0) {
                return fail(errno_error("remove '" + printable(where() + child) + "'", errno));
            }
            ++removed;
            continue;
        }
        auto next = std::move(names.back().back());
        names.back().pop_back();
        if (::unlinkat(at.get(), next.c_str(), 0) == 0) {
            ++removed;
            continue;
        }
        if (errno == ENOENT) continue;
        auto error = errno;
        auto child = error == EISDIR || error == EPERM
                         ? open_resolved(at.get(), next.c_str(), O_RDONLY | O_DIRECTORY, 0, RESOLVE_NO_XDEV)
                         : std::unexpected(error);
        auto mounted = [&] {
            return fail(ErrorKind::unsafe,
                        "remove '" + printable(where() + next) + "': another file system is mounted there");
        };
        if (!child && child.error() == EXDEV) return mounted();
        if (!child) return fail(errno_error("remove '" + printable(where() + next) + "'", error == EISDIR ? child.error() : error));
        if (::fstat(child->get(), &status) != 0) return fail(errno_error("remove", errno));
        if (status.st_dev != device) return mounted();
        auto below = sorted_names(child->get());
        if (!below) return fail(errno_error("remove '" + printable(where() + next) + "'", below.error()));
        above.push_back({std::move(next), status.st_dev, status.st_ino});
        names.push_back(std::move(*below));
        at = std::move(*child);
    }
    return {};
}

}  // namespace holdfast
