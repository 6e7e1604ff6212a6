#define FUSE_USE_VERSION 314
#include "overlay/overlay_session.h"

#include <cerrno>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <fuse_lowlevel.h>
#include <span>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "archive/posix.h"
#include "mount/open_handles.h"
#include "overlay/overlay_nodes.h"

namespace holdfast {

// What the operations work on.
struct OverlayWorld {
    Overlay& overlay;
    OverlayNodes nodes;
    OpenHandles handles;
};

namespace {

// Nobody changes anything but through us.
constexpr double kUntilWeSay = 86400;
// Requests that are answered at once: many of them wait for the store.
constexpr unsigned kOverlayThreads = 16;

OverlayWorld& world_of(fuse_req_t req) { return *static_cast<OverlayWorld*>(fuse_req_userdata(req)); }

// One open file: of the point (`use`), or an ordinary one.
struct OverlayFileHandle : OpenHandles::Handle {
    Overlay::Use use;
    Fd file;
};
struct OverlayDirectoryHandle : OpenHandles::Handle {
    Fd file;
    std::mutex mutex;  // one listing may be asked for by several threads
    DIR* entries = nullptr;
    ~OverlayDirectoryHandle() override {
        if (entries) ::closedir(entries);
    }
};
template <typename Handle>
Handle& handle_in(fuse_file_info* info) {
    return OpenHandles::named<Handle>(info->fh);
}

int errno_of(Error const& error) {
    if (error.kind == ErrorKind::no_space) return ENOSPC;
    if (error.kind == ErrorKind::not_found) return ENOENT;
    return error.kind == ErrorKind::cancelled ? EINTR : EIO;
}
void reply_done(fuse_req_t req, Result<void> const& done) { fuse_reply_err(req, done ? 0 : errno_of(done.error())); }
void reply_call(fuse_req_t req, int result) { fuse_reply_err(req, result == 0 ? 0 : errno); }

// The path by which the kernel leads to what a descriptor (O_PATH) is of.
std::string proc_of(int fd) { return fmt::format("/proc/self/fd/{}", fd); }

// What is made belongs to who asked for it from its first moment on, and he must be allowed to make it. The two ids are
// the thread's own.
class AsCaller {
  public:
    explicit AsCaller(fuse_req_t req) : root_(::geteuid() == 0) {
        if (!root_) return;
        auto const* caller = fuse_req_ctx(req);
        ::setfsgid(caller->gid);
        ::setfsuid(caller->uid);
    }
    ~AsCaller() {
        if (!root_) return;
        ::setfsuid(0);
        ::setfsgid(0);
    }
    AsCaller(AsCaller const&) = delete;

  private:
    bool const root_;
};

void start(void*, fuse_conn_info* connection) {
    // The kernel cuts a file off by a request of its own; its cache never holds what we have not heard of. Pages that are
    // written are looked at as bytes, so a pipe on their way is a detour.
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_READDIRPLUS |
                                               FUSE_CAP_SPLICE_READ);
    connection->max_background = 64;
    connection->congestion_threshold = 48;
}

fuse_entry_param param_of(OverlayNodes::Seen const& seen) {
    fuse_entry_param param{};
    param.ino = seen.id;
    param.generation = 1;
    param.attr = seen.status;
    param.entry_timeout = param.attr_timeout = kUntilWeSay;
    return param;
}

void reply_name(fuse_req_t req, fuse_ino_t parent, char const* name) {
    auto& nodes = world_of(req).nodes;
    auto seen = nodes.look_up(parent, name);
    if (!seen) return void(fuse_reply_err(req, seen.error()));
    auto param = param_of(*seen);
    if (fuse_reply_entry(req, &param) != 0) nodes.forget(seen->id, 1);
}

void look_up(fuse_req_t req, fuse_ino_t parent, char const* name) { reply_name(req, parent, name); }

void forget(fuse_req_t req, fuse_ino_t id, std::uint64_t lookups) {
    world_of(req).nodes.forget(id, lookups);
    fuse_reply_none(req);
}

void forget_multi(fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
    for (std::size_t i = 0; i < count; ++i) world_of(req).nodes.forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

void get_attributes(fuse_req_t req, fuse_ino_t id, fuse_file_info*) {
    auto status = world_of(req).nodes.status(id);
    if (!status) return void(fuse_reply_err(req, status.error()));
    fuse_reply_attr(req, &*status, kUntilWeSay);
}

// The size of a file, of the point or not.
int set_size(OverlayWorld& world, fuse_ino_t id, std::uint64_t size) {
    if (auto* file = world.nodes.file(id)) {
        auto use = world.overlay.use(*file);
        if (!use) return errno_of(use.error());
        auto done = (*use)->truncate(size);
        return done ? 0 : errno_of(done.error());
    }
    auto path = proc_of(world.nodes.fd(id));
    return ::truncate(path.c_str(), static_cast<off_t>(size)) == 0 ? 0 : errno;
}

int set_times(int fd, struct stat const& wanted, int which) {
    auto time = [&](int set, int now, timespec const& to) {
        if (which & now) return timespec{0, UTIME_NOW};
        return which & set ? to : timespec{0, UTIME_OMIT};
    };
    timespec const times[] = {time(FUSE_SET_ATTR_ATIME, FUSE_SET_ATTR_ATIME_NOW, wanted.st_atim),
                              time(FUSE_SET_ATTR_MTIME, FUSE_SET_ATTR_MTIME_NOW, wanted.st_mtim)};
    return ::utimensat(AT_FDCWD, proc_of(fd).c_str(), times, 0) == 0 ? 0 : errno;
}

void set_attributes(fuse_req_t req, fuse_ino_t id, struct stat* wanted, int which, fuse_file_info* info) {
    auto& world = world_of(req);
    auto fd = world.nodes.fd(id);
    int error = 0;
    if (which & FUSE_SET_ATTR_MODE && ::chmod(proc_of(fd).c_str(), wanted->st_mode) != 0) error = errno;
    if (error == 0 && which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
        auto uid = which & FUSE_SET_ATTR_UID ? wanted->st_uid : static_cast<uid_t>(-1);
        auto gid = which & FUSE_SET_ATTR_GID ? wanted->st_gid : static_cast<gid_t>(-1);
        if (::fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0) error = errno;
    }
    if (error == 0 && which & FUSE_SET_ATTR_SIZE) {
        auto size = static_cast<std::uint64_t>(wanted->st_size);
        // A file that is open may have lost its name and, after a chmod, its way in.
        if (info && handle_in<OverlayFileHandle>(info).file) {
            if (::ftruncate(handle_in<OverlayFileHandle>(info).file.get(), wanted->st_size) != 0) error = errno;
        } else {
            error = set_size(world, id, size);
        }
    }
    constexpr int kTimes = FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_ATIME_NOW | FUSE_SET_ATTR_MTIME_NOW;
    if (error == 0 && which & kTimes) error = set_times(fd, *wanted, which);
    if (error != 0) return void(fuse_reply_err(req, error));
    get_attributes(req, id, info);
}

void read_symlink(fuse_req_t req, fuse_ino_t id) {
    char target[PATH_MAX + 1];
    auto length = ::readlinkat(world_of(req).nodes.fd(id), "", target, PATH_MAX);
    if (length < 0) return void(fuse_reply_err(req, errno));
    target[length] = 0;
    fuse_reply_readlink(req, target);
}

// --- names ----------------------------------------------------------------------------------------

void make_directory_there(fuse_req_t req, fuse_ino_t parent, char const* name, mode_t mode) {
    auto fd = world_of(req).nodes.fd(parent);
    {
        AsCaller caller(req);
        if (::mkdirat(fd, name, mode) != 0) return void(fuse_reply_err(req, errno));
    }
    // Whatever our own mask was.
    if (::fchmodat(fd, name, mode & 07777, 0) != 0) return void(fuse_reply_err(req, errno));
    reply_name(req, parent, name);
}

void make_symlink(fuse_req_t req, char const* target, fuse_ino_t parent, char const* name) {
    {
        AsCaller caller(req);
        if (::symlinkat(target, world_of(req).nodes.fd(parent), name) != 0) return void(fuse_reply_err(req, errno));
    }
    reply_name(req, parent, name);
}

void make_link(fuse_req_t req, fuse_ino_t id, fuse_ino_t parent, char const* name) {
    auto& nodes = world_of(req).nodes;
    if (::linkat(AT_FDCWD, proc_of(nodes.fd(id)).c_str(), nodes.fd(parent), name, AT_SYMLINK_FOLLOW) != 0)
        return void(fuse_reply_err(req, errno));
    reply_name(req, parent, name);
}

// The inode that is called so, if any.
std::optional<ino_t> inode_called(int directory, char const* name) {
    struct stat status {};
    if (::fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
    return status.st_ino;
}

void remove_file(fuse_req_t req, fuse_ino_t parent, char const* name) {
    auto& world = world_of(req);
    auto fd = world.nodes.fd(parent);
    auto inode = inode_called(fd, name);
    if (::unlinkat(fd, name, 0) != 0) return void(fuse_reply_err(req, errno));
    if (inode) world.overlay.name_removed(*inode);
    fuse_reply_err(req, 0);
}

void remove_directory(fuse_req_t req, fuse_ino_t parent, char const* name) {
    reply_call(req, ::unlinkat(world_of(req).nodes.fd(parent), name, AT_REMOVEDIR));
}

void rename_it(fuse_req_t req, fuse_ino_t parent, char const* name, fuse_ino_t to, char const* to_name, unsigned flags) {
    auto& world = world_of(req);
    auto fd = world.nodes.fd(to);
    auto replaced = flags == 0 ? inode_called(fd, to_name) : std::nullopt;
    if (::renameat2(world.nodes.fd(parent), name, fd, to_name, flags) != 0) return void(fuse_reply_err(req, errno));
    if (replaced) world.overlay.name_removed(*replaced);
    fuse_reply_err(req, 0);
}

// --- what is open ---------------------------------------------------------------------------------

void reply_opened(fuse_req_t req, std::unique_ptr<OpenHandles::Handle> handle, fuse_file_info* info) {
    auto& handles = world_of(req).handles;
    info->fh = handles.keep(std::move(handle));
    if (fuse_reply_open(req, info) != 0) handles.close(info->fh);
}

void release(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
    world_of(req).handles.close(info->fh);
    fuse_reply_err(req, 0);
}

// --- files ----------------------------------------------------------------------------------------

void open_file_there(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
    auto& world = world_of(req);
    auto handle = std::make_unique<OverlayFileHandle>();
    if (auto* file = world.nodes.file(id)) {
        auto use = world.overlay.use(*file);
        if (!use) return void(fuse_reply_err(req, errno_of(use.error())));
        handle->use = std::move(*use);
    } else {
        // The kernel has asked the mode, appends by offsets, and asks for durability itself.
        handle->file = Fd(::open(proc_of(world.nodes.fd(id)).c_str(), (info->flags & O_ACCMODE) | O_CLOEXEC));
        if (!handle->file) return void(fuse_reply_err(req, errno));
    }
    info->keep_cache = 1;
    reply_opened(req, std::move(handle), info);
}

void create_file(fuse_req_t req, fuse_ino_t parent, char const* name, mode_t mode, fuse_file_info* info) {
    auto& nodes = world_of(req).nodes;
    auto handle = std::make_unique<OverlayFileHandle>();
    {
        AsCaller caller(req);
        handle->file = Fd(::openat(nodes.fd(parent), name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    }
    if (!handle->file || ::fchmod(handle->file.get(), mode & 07777) != 0) return void(fuse_reply_err(req, errno));
    auto seen = nodes.look_up(parent, name);
    if (!seen) return void(fuse_reply_err(req, seen.error()));
    auto param = param_of(*seen);
    auto& handles = world_of(req).handles;
    info->fh = handles.keep(std::move(handle));
    info->keep_cache = 1;
    if (fuse_reply_create(req, &param, info) == 0) return;
    handles.close(info->fh);
    nodes.forget(seen->id, 1);
}

void read_file_there(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    auto& handle = handle_in<OverlayFileHandle>(info);
    if (!handle.use) {
        fuse_bufvec source = FUSE_BUFVEC_INIT(size);
        source.buf[0].flags = static_cast<fuse_buf_flags>(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK);
        source.buf[0].fd = handle.file.get();
        source.buf[0].pos = offset;
        return void(fuse_reply_data(req, &source, static_cast<fuse_buf_copy_flags>(0)));
    }
    Bytes bytes(size);
    auto count = handle.use->read(static_cast<std::uint64_t>(offset), bytes);
    if (!count) return void(fuse_reply_err(req, errno_of(count.error())));
    fuse_reply_buf(req, reinterpret_cast<char const*>(bytes.data()), *count);
}

void write_file_there(fuse_req_t req, fuse_ino_t, char const* data, std::size_t size, off_t offset, fuse_file_info* info) {
    auto& handle = handle_in<OverlayFileHandle>(info);
    if (handle.use) {
        auto done = handle.use->write(static_cast<std::uint64_t>(offset), as_bytes({data, size}));
        if (!done) return void(fuse_reply_err(req, errno_of(done.error())));
        return void(fuse_reply_write(req, size));
    }
    std::size_t written = 0;
    while (written < size) {
        auto part = ::pwrite(handle.file.get(), data + written, size - written, offset + static_cast<off_t>(written));
        if (part < 0 && errno == EINTR) continue;
        if (part < 0 && written == 0) return void(fuse_reply_err(req, errno));
        if (part <= 0) break;  // what was written counts; the rest fails by itself
        written += static_cast<std::size_t>(part);
    }
    fuse_reply_write(req, written);
}

void sync_file(fuse_req_t req, fuse_ino_t, int data_only, fuse_file_info* info) {
    auto& handle = handle_in<OverlayFileHandle>(info);
    if (handle.use) return reply_done(req, handle.use->sync());
    reply_call(req, data_only ? ::fdatasync(handle.file.get()) : ::fsync(handle.file.get()));
}

void allocate_file(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length, fuse_file_info* info) {
    auto& handle = handle_in<OverlayFileHandle>(info);
    if (!handle.use) return reply_call(req, ::fallocate(handle.file.get(), mode, offset, length));
    // Holes in a file of the point would be filled by the point again.
    if ((mode & ~FALLOC_FL_KEEP_SIZE) != 0) return void(fuse_reply_err(req, EOPNOTSUPP));
    auto growth = mode == 0 ? LocalFile::Growth::grow : LocalFile::Growth::keep_size;
    reply_done(req, handle.use->allocate(static_cast<std::uint64_t>(offset), static_cast<std::uint64_t>(length), growth));
}

// --- directories ----------------------------------------------------------------------------------

void open_directory(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
    auto handle = std::make_unique<OverlayDirectoryHandle>();
    auto fd = world_of(req).nodes.fd(id);
    handle->file = Fd(::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    Fd listed(::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!handle->file || !listed) return void(fuse_reply_err(req, errno));
    handle->entries = ::fdopendir(listed.get());
    if (!handle->entries) return void(fuse_reply_err(req, errno));
    listed.release();
    reply_opened(req, std::move(handle), info);
}

// Fills `buffer` with names from `offset` on; how much of it, or errno.
std::expected<std::size_t, Errno> list_names(fuse_req_t req, OverlayDirectoryHandle& handle, off_t offset, std::span<char> buffer) {
    std::lock_guard lock(handle.mutex);
    ::seekdir(handle.entries, offset);
    std::size_t used = 0;
    for (;;) {
        errno = 0;
        auto const* entry = ::readdir(handle.entries);
        if (!entry && errno != 0 && used == 0) return std::unexpected(errno);
        if (!entry) return used;
        struct stat status {};
        status.st_ino = entry->d_ino;
        status.st_mode = static_cast<mode_t>(DTTOIF(entry->d_type));
        auto rest = buffer.subspan(used);
        auto needed = fuse_add_direntry(req, rest.data(), rest.size(), entry->d_name, &status, entry->d_off);
        if (needed > rest.size()) return used;
        used += needed;
    }
}

// Who has an answer may close: the handle, its mutex too, is gone when another thread was told before this one gets on.
void read_directory(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    std::vector<char> buffer(size);
    auto used = list_names(req, handle_in<OverlayDirectoryHandle>(info), offset, buffer);
    if (!used) return void(fuse_reply_err(req, used.error()));
    fuse_reply_buf(req, buffer.data(), *used);
}

void sync_directory(fuse_req_t req, fuse_ino_t, int, fuse_file_info* info) {
    reply_call(req, ::fsync(handle_in<OverlayDirectoryHandle>(info).file.get()));
}

void tell_space(fuse_req_t req, fuse_ino_t) {
    // A descriptor of a path alone does for fstatvfs().
    struct statvfs status {};
    if (::fstatvfs(world_of(req).overlay.tree(), &status) != 0) return void(fuse_reply_err(req, errno));
    fuse_reply_statfs(req, &status);
}

fuse_lowlevel_ops overlay_operations() {
    fuse_lowlevel_ops ops{};
    ops.init = start;
    ops.lookup = look_up;
    ops.forget = forget;
    ops.forget_multi = forget_multi;
    ops.getattr = get_attributes;
    ops.setattr = set_attributes;
    ops.readlink = read_symlink;
    ops.mkdir = make_directory_there;
    ops.symlink = make_symlink;
    ops.link = make_link;
    ops.unlink = remove_file;
    ops.rmdir = remove_directory;
    ops.rename = rename_it;
    ops.open = open_file_there;
    ops.create = create_file;
    ops.release = release;
    ops.read = read_file_there;
    ops.write = write_file_there;
    ops.fsync = sync_file;
    ops.fallocate = allocate_file;
    ops.opendir = open_directory;
    ops.releasedir = release;
    ops.readdir = read_directory;
    ops.fsyncdir = sync_directory;
    ops.statfs = tell_space;
    return ops;
}

// Each name that the kernel knows is a descriptor of ours.
void allow_many_descriptors() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

struct OverlaySession::Impl {
    explicit Impl(Overlay& overlay) : world{overlay, OverlayNodes(overlay), {}} {}
    OverlayWorld world;
    std::unique_ptr<FuseMount> mount;
};

OverlaySession::OverlaySession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
OverlaySession::~OverlaySession() = default;

Result<std::unique_ptr<OverlaySession>> OverlaySession::mount(Overlay& overlay, std::filesystem::path const& at) {
    allow_many_descriptors();
    auto impl = std::make_unique<Impl>(overlay);
    std::string settings = "rw,nosuid,nodev,noatime,default_permissions,fsname=holdfast,subtype=holdfast-instant";
    if (::geteuid() == 0) settings += ",allow_other";
    impl->mount = TRY(FuseMount::mount(overlay_operations(), &impl->world, at,
                                       {.settings = settings, .threads = kOverlayThreads}));
    return std::unique_ptr<OverlaySession>(new OverlaySession(std::move(impl)));
}

Result<void> OverlaySession::serve(std::stop_token stop) { return impl_->mount->serve(std::move(stop)); }

Result<bool> OverlaySession::unmount_unused(std::stop_token stop) { return impl_->mount->unmount_unused(std::move(stop)); }

}  // namespace holdfast
