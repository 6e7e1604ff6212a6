#define FUSE_USE_VERSION 314
#include "mount/fuse_session.h"

#include <atomic>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <fuse_lowlevel.h>
#include <mutex>
#include <sys/statvfs.h>
#include <vector>

#include "mount/open_handles.h"
#include "mount/view.h"

namespace holdfast {

// What the operations work on.
struct MountWorld {
    View& view;
    OpenHandles handles;
};

namespace {

// The kernel may keep what lies in a point as long as it likes: points never change.
constexpr double kForGood = 86400;
// What lies above points comes and goes.
constexpr double kBriefly = 1;
// Requests that are answered at once; most of them wait for the store.
constexpr unsigned kAnswerThreads = 8;

MountWorld& mounted_world(fuse_req_t req) { return *static_cast<MountWorld*>(fuse_req_userdata(req)); }
View& view_of(fuse_req_t req) { return mounted_world(req).view; }

// The repository's errors were told by the view; programs get to know that the bytes can't be had.
void reply(fuse_req_t req, Error const& error) {
    fuse_reply_err(req, error.kind == ErrorKind::cancelled ? EINTR : EIO);
}

fuse_entry_param entry_of(View::Seen const& seen) {
    fuse_entry_param param{};
    param.ino = seen.node->id;
    param.generation = 1;
    param.attr = seen.status;
    param.entry_timeout = seen.lasting ? kForGood : kBriefly;
    param.attr_timeout = seen.status_exact ? kForGood : 0;
    return param;
}

struct FileHandle : OpenHandles::Handle {
    FileHandle(NodeTable::Held node, std::unique_ptr<OpenFile> file) : node(std::move(node)), file(std::move(file)) {}
    NodeTable::Held node;
    std::unique_ptr<OpenFile> file;
};
struct DirectoryHandle : OpenHandles::Handle {
    NodeTable::Held node;
    std::mutex mutex;  // the kernel lists one handle from several threads at times
    std::unique_ptr<Listing> listing;
};
template <typename Handle>
Handle& handle_of(fuse_file_info* info) {
    return OpenHandles::named<Handle>(info->fh);
}
void reply_open(fuse_req_t req, std::unique_ptr<OpenHandles::Handle> handle, fuse_file_info* info) {
    auto& handles = mounted_world(req).handles;
    info->fh = handles.keep(std::move(handle));
    if (fuse_reply_open(req, info) != 0) handles.close(info->fh);
}

void on_init(void*, fuse_conn_info* connection) {
    // Every listing brings the metadata along: nobody looks each name up in its directory again.
    if (connection->capable & FUSE_CAP_READDIRPLUS) connection->want |= FUSE_CAP_READDIRPLUS;
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_READDIRPLUS_AUTO);
    // FUSE_CAP_CACHE_SYMLINKS is left alone: the kernel would never ask again where `latest` points to.
    connection->max_background = 64;
    connection->congestion_threshold = 48;
}

void on_init_for_others(void* data, fuse_conn_info* connection) {
    on_init(data, connection);
    if (connection->capable & FUSE_CAP_POSIX_ACL) connection->want |= FUSE_CAP_POSIX_ACL;
}

void on_lookup(fuse_req_t req, fuse_ino_t parent, char const* name) {
    auto& view = view_of(req);
    auto node = view.node(parent);
    if (!node) return void(fuse_reply_err(req, ESTALE));
    auto seen = view.look_up(node, name);
    if (!seen) return reply(req, seen.error());
    if (!*seen) {
        if (node->kind != Node::Kind::entry) return void(fuse_reply_err(req, ENOENT));
        fuse_entry_param nothing{};  // a number of 0: the kernel may remember that there is no such name
        nothing.entry_timeout = kForGood;
        return void(fuse_reply_entry(req, &nothing));
    }
    auto param = entry_of(**seen);
    if (fuse_reply_entry(req, &param) != 0) view.forget(param.ino, 1);
}

void on_forget(fuse_req_t req, fuse_ino_t id, std::uint64_t lookups) {
    view_of(req).forget(id, lookups);
    fuse_reply_none(req);
}

void on_forget_multi(fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
    for (std::size_t i = 0; i < count; ++i) view_of(req).forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

void on_getattr(fuse_req_t req, fuse_ino_t id, fuse_file_info*) {
    auto& view = view_of(req);
    auto node = view.node(id);
    if (!node) return void(fuse_reply_err(req, ESTALE));
    auto status = view.status(node);
    if (!status) return reply(req, status.error());
    fuse_reply_attr(req, &*status, node->kind == Node::Kind::entry ? kForGood : kBriefly);
}

void on_readlink(fuse_req_t req, fuse_ino_t id) {
    auto& view = view_of(req);
    auto node = view.node(id);
    if (!node) return void(fuse_reply_err(req, ESTALE));
    auto target = view.target(node);
    if (!target) return reply(req, target.error());
    fuse_reply_readlink(req, target->c_str());
}

void on_open(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
    auto& view = view_of(req);
    auto node = view.node(id);
    if (!node) return void(fuse_reply_err(req, ESTALE));
    if ((info->flags & O_ACCMODE) != O_RDONLY) return void(fuse_reply_err(req, EROFS));
    auto file = view.open(node);
    if (!file) return reply(req, file.error());
    info->keep_cache = 1;
    reply_open(req, std::make_unique<FileHandle>(std::move(node), std::move(*file)), info);
}

void on_release(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
    mounted_world(req).handles.close(info->fh);
    fuse_reply_err(req, 0);
}

void on_read(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    auto& handle = handle_of<FileHandle>(info);
    auto pieces = view_of(req).read(handle.node, *handle.file, static_cast<std::uint64_t>(offset), size);
    if (!pieces) return reply(req, pieces.error());
    std::vector<iovec> parts;
    parts.reserve(pieces->size());
    for (auto const& piece : *pieces) {
        parts.push_back({const_cast<std::uint8_t*>(piece.bytes.data()), piece.bytes.size()});
    }
    fuse_reply_iov(req, parts.data(), static_cast<int>(parts.size()));
}

void on_lseek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* info) {
    auto const& map = handle_of<FileHandle>(info).file->map();
    auto from = static_cast<std::uint64_t>(offset);
    if (whence != SEEK_DATA && whence != SEEK_HOLE) return void(fuse_reply_err(req, EINVAL));
    auto found = whence == SEEK_DATA ? map.next_data(from) : map.next_hole(from);
    if (offset < 0 || !found) return void(fuse_reply_err(req, ENXIO));
    fuse_reply_lseek(req, static_cast<off_t>(*found));
}

void on_opendir(fuse_req_t req, fuse_ino_t id, fuse_file_info* info) {
    auto& view = view_of(req);
    auto node = view.node(id);
    if (!node) return void(fuse_reply_err(req, ESTALE));
    auto handle = std::make_unique<DirectoryHandle>();
    handle->listing = view.list(node);
    if (node->kind == Node::Kind::entry) info->keep_cache = info->cache_readdir = 1;
    handle->node = std::move(node);
    reply_open(req, std::move(handle), info);
}

// Fills what the kernel asked for. Offsets: 1 is behind ".", 2 behind "..", then one for each item.
class Filler {
  public:
    enum class Form { names, with_status };
    Filler(fuse_req_t req, std::size_t size, Form form) : req_(req), buffer_(size), form_(form) {}

    // False when there is no room left.
    bool add(char const* name, fuse_entry_param const& entry, std::uint64_t next) {
        auto* at = buffer_.data() + used_;
        auto room = buffer_.size() - used_;
        auto needed = form_ == Form::names
                          ? fuse_add_direntry(req_, at, room, name, &entry.attr, static_cast<off_t>(next))
                          : fuse_add_direntry_plus(req_, at, room, name, &entry, static_cast<off_t>(next));
        if (needed > room) return false;
        used_ += needed;
        return true;
    }
    bool has_room(char const* name) const {
        auto needed = form_ == Form::names ? fuse_add_direntry(req_, nullptr, 0, name, nullptr, 0)
                                           : fuse_add_direntry_plus(req_, nullptr, 0, name, nullptr, 0);
        return needed <= buffer_.size() - used_;
    }
    Form form() const { return form_; }
    std::size_t used() const { return used_; }
    void reply() { fuse_reply_buf(req_, buffer_.data(), used_); }

  private:
    fuse_req_t req_;
    std::vector<char> buffer_;
    Form form_;
    std::size_t used_ = 0;
};

// "." and "..": the kernel knows them, and they count no look-up.
bool add_dots(View& view, Node const& node, Filler& filler, std::uint64_t& offset) {
    for (; offset < 2; ++offset) {
        fuse_entry_param entry{};
        entry.attr.st_mode = S_IFDIR;
        auto parent = view.node(node.parent);
        entry.attr.st_ino = offset == 0 || !parent ? node.inode : parent->inode;
        if (!filler.add(offset == 0 ? "." : "..", entry, offset + 1)) return false;
    }
    return true;
}

// An error only when nothing was filled in: what comes before it is shown first, and the next call meets it again.
Result<void> fill(View& view, DirectoryHandle& handle, std::uint64_t offset, Filler& filler) {
    std::lock_guard lock(handle.mutex);
    if (!add_dots(view, *handle.node, filler, offset)) return {};
    for (;; ++offset) {
        auto item = view.item(*handle.listing, offset - 2);
        if (!item && filler.used() > 0) return {};
        if (!item) return fail(std::move(item.error()));
        if (!*item) return {};
        auto const& name = (*item)->name;
        if (!filler.has_room(name.c_str())) return {};
        fuse_entry_param entry{};
        if (filler.form() == Filler::Form::with_status) {
            auto seen = view.look_up(handle.node, **item);
            if (!seen && filler.used() > 0) return {};
            if (!seen) return fail(std::move(seen.error()));
            if (!*seen) continue;  // a point that was forgotten since the list was made
            entry = entry_of(**seen);
        } else {
            entry.attr.st_mode = type_bits((*item)->type);
            entry.attr.st_ino = (*item)->inode;
        }
        filler.add(name.c_str(), entry, offset + 1);
    }
}

// Who has an answer may close: the handle, its mutex too, is gone when another thread was told before this one gets on.
void list(fuse_req_t req, std::uint64_t offset, fuse_file_info* info, Filler filler) {
    auto filled = fill(view_of(req), handle_of<DirectoryHandle>(info), offset, filler);
    if (!filled) return reply(req, filled.error());
    filler.reply();
}

void on_readdir(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    list(req, static_cast<std::uint64_t>(offset), info, Filler(req, size, Filler::Form::names));
}

void on_readdirplus(fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    list(req, static_cast<std::uint64_t>(offset), info, Filler(req, size, Filler::Form::with_status));
}

// As the kernel wants it: with a size of 0 only the length, ERANGE when there is too little room.
void reply_attribute(fuse_req_t req, ByteView value, std::size_t size) {
    if (size == 0) return void(fuse_reply_xattr(req, value.size()));
    if (size < value.size()) return void(fuse_reply_err(req, ERANGE));
    fuse_reply_buf(req, reinterpret_cast<char const*>(value.data()), value.size());
}

void on_getxattr(fuse_req_t req, fuse_ino_t id, char const* name, std::size_t size) {
    auto node = view_of(req).node(id);
    if (!node) return void(fuse_reply_err(req, ESTALE));
    auto attributes = view_of(req).attributes(*node);
    auto found = attributes.find(name);
    if (found == attributes.end()) return void(fuse_reply_err(req, ENODATA));
    reply_attribute(req, found->second, size);
}

void on_listxattr(fuse_req_t req, fuse_ino_t id, std::size_t size) {
    auto node = view_of(req).node(id);
    if (!node) return void(fuse_reply_err(req, ESTALE));
    Bytes names;
    for (auto const& [name, value] : view_of(req).attributes(*node)) {
        names.insert(names.end(), name.begin(), name.end());
        names.push_back(0);
    }
    reply_attribute(req, names, size);
}

void on_statfs(fuse_req_t req, fuse_ino_t) {
    struct statvfs status {};
    status.f_bsize = status.f_frsize = 4096;
    status.f_namemax = 255;
    status.f_flag = ST_RDONLY;
    fuse_reply_statfs(req, &status);
}

fuse_lowlevel_ops operations(MountOptions const& options) {
    fuse_lowlevel_ops ops{};
    ops.init = options.allow_other ? on_init_for_others : on_init;
    ops.lookup = on_lookup;
    ops.forget = on_forget;
    ops.forget_multi = on_forget_multi;
    ops.getattr = on_getattr;
    ops.readlink = on_readlink;
    ops.open = on_open;
    ops.release = on_release;
    ops.read = on_read;
    ops.lseek = on_lseek;
    ops.opendir = on_opendir;
    ops.releasedir = on_release;
    ops.readdir = on_readdir;
    ops.readdirplus = on_readdirplus;
    ops.getxattr = on_getxattr;
    ops.listxattr = on_listxattr;
    ops.statfs = on_statfs;
    return ops;
}

}  // namespace

FuseSession::FuseSession(std::unique_ptr<MountWorld> world, std::unique_ptr<FuseMount> mount)
    : world_(std::move(world)), mount_(std::move(mount)) {}
FuseSession::~FuseSession() = default;

Result<std::unique_ptr<FuseSession>> FuseSession::mount(View& view, std::filesystem::path const& at,
                                                        MountOptions const& options) {
    std::string settings = "ro,nosuid,nodev,noatime,fsname=holdfast,subtype=holdfast";
    if (options.allow_other) settings += ",allow_other,default_permissions";
    auto world = std::make_unique<MountWorld>(view);
    auto mounted = TRY(FuseMount::mount(operations(options), world.get(), at,
                                        {.settings = settings, .threads = kAnswerThreads}));
    return std::unique_ptr<FuseSession>(new FuseSession(std::move(world), std::move(mounted)));
}

Result<void> FuseSession::serve(std::stop_token stop) { return mount_->serve(std::move(stop)); }

}  // namespace holdfast
