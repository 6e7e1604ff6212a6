#include "archive/back_up.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unordered_map>
#include <unordered_set>

#include "archive/capture_cache.h"
#include "archive/capture_plan.h"
#include "archive/file_reader.h"
#include "archive/problems.h"
#include "base/text.h"

namespace holdfast {
namespace {

constexpr int kTries = 3;
// So many directories are open at once; those above them are found again through "..".
constexpr std::size_t kOpenLevels = 64;
// A file whose ctime is this near to the start of its capture may change again without a new ctime:
// kernels stamp by ticks of up to 10 ms, some file systems keep whole seconds or two.
constexpr Duration kStampGranularity = std::chrono::seconds(2);

struct DeviceInode {
    dev_t device;
    ino_t inode;
    bool operator==(DeviceInode const&) const = default;
};
struct DeviceInodeHash {
    std::size_t operator()(DeviceInode const& key) const {
        return std::hash<std::uint64_t>()(key.inode * 0x9e3779b97f4a7c15ull + key.device);
    }
};
DeviceInode identity_of(struct stat const& status) { return {status.st_dev, status.st_ino}; }

// Files that have more than one name. The content is read once, however many names lead to it.
class Links {
  public:
    struct Link {
        std::uint64_t group = 0;
        nlink_t left = 0;  // names that were not met yet
        std::optional<CachedFile> first;
    };
    // The record of a file with several names; counts this one as met.
    Link& meet(struct stat const& status) {
        auto [at, fresh] = links_.try_emplace(identity_of(status));
        if (fresh) {
            at->second.left = status.st_nlink;
            at->second.group = new_group(status);
        }
        if (at->second.left > 0) --at->second.left;
        return at->second;
    }
    // All names were met: nobody will ask again.
    void forget_if_done(struct stat const& status) {
        auto at = links_.find(identity_of(status));
        if (at != links_.end() && at->second.left == 0) links_.erase(at);
    }

  private:
    // The inode number where that is free, so that the next capture gives the same numbers and its
    // directories are the same chunks.
    std::uint64_t new_group(struct stat const& status) {
        auto group = std::max<std::uint64_t>(status.st_ino, 1);
        while (!groups_.insert(group).second) group = std::max<std::uint64_t>(group + 1, 1);
        return group;
    }
    std::unordered_map<DeviceInode, Link, DeviceInodeHash> links_;
    std::unordered_set<std::uint64_t> groups_;
};

// File systems that the kernel makes up: their files hold nothing to come back.
bool is_kernels_own(int fd) {
    struct statfs status;
    if (::fstatfs(fd, &status) != 0) return false;
    switch (static_cast<unsigned long>(status.f_type)) {
        case PROC_SUPER_MAGIC:
        case SYSFS_MAGIC:
        case CGROUP_SUPER_MAGIC:
        case CGROUP2_SUPER_MAGIC:
        case DEBUGFS_MAGIC:
        case TRACEFS_MAGIC:
        case SECURITYFS_MAGIC:
        case SELINUX_MAGIC:
        case DEVPTS_SUPER_MAGIC:
        case BPF_FS_MAGIC:
        case BINFMTFS_MAGIC:
        case PSTOREFS_MAGIC:
        case EFIVARFS_MAGIC:
        case 0x62656570:  // configfs
        case 0x19800202:  // mqueue
        case 0x65735543:  // fusectl
            return true;
        default: return false;
    }
}

class TreeCapture {
  public:
    TreeCapture(Repository& repository, Ingest& ingest, BackUpOptions const& options,
                ProgressCallback const& progress, BackUpObserver const& observe, std::stop_token stop)
        : repository_(repository), ingest_(ingest), options_(options), filter_(options.exclude),
          progress_(progress), observe_(observe), stop_(std::move(stop)) {
        report_.what = "reading";
    }

    Result<BackUpResult> run(std::string_view dataset);

  private:
    // A directory that is being walked.
    struct Level {
        Fd fd;
        DeviceInode identity;
        dev_t device;              // of the file system that the walk stays on
        std::vector<std::string> names;
        std::size_t next = 0;
        DirectoryWriter writer;
        Entry entry;               // of the directory, for its parent
        CaptureNode const* node;   // what was asked for at or below it, or nullptr
        bool whole;                // all names are taken, not only those in `node`
        bool incomplete;
        std::size_t path_bytes;    // of its path, without a '/' behind it
        std::string alias;         // its path as it was asked for, where that is another one
    };
    enum class Outcome { kept, left_out, changed_type };

    Result<void> open_top();
    Result<void> step();
    Result<void> leave();
    Result<bool> reopen(Level& level, std::size_t index, int child);
    bool excluded(Level const& level, std::string const& name) const;
    Result<Outcome> take(std::string const& name, CaptureNode const* node);
    Result<Outcome> take_directory(std::string const& name, struct stat const& status,
                                   CaptureNode const* node);
    Result<Outcome> take_file(std::string const& name, struct stat status);
    Result<Outcome> take_other(std::string const& name, struct stat const& status);
    Result<Outcome> add_file(CachedFile file, bool remember);
    Result<std::optional<CachedFile>> read_settled(std::string const& name, Outcome& outcome);
    Result<void> add_attributes(Entry& entry, std::expected<Attributes, Errno> attributes);
    Result<void> check_forbidden(struct stat const& status) const;
    std::optional<CachedFile> cached(CachedFile const* known, struct stat const& status);
    void note_change(CachedFile const* known, CachedFile const& file, bool read);
    std::string relative() const;
    // The name at hand could not be taken: a problem, and its directory is incomplete.
    Outcome lost(std::string message);
    Outcome vanished() {
        ++result_.vanished;
        return Outcome::left_out;
    }
    void advance(std::uint64_t bytes);
    Level& level() { return levels_.back(); }

    Repository& repository_;
    Ingest& ingest_;
    BackUpOptions const& options_;
    PathFilter filter_;
    ProgressCallback const& progress_;
    BackUpObserver const& observe_;
    std::stop_token stop_;
    CapturePlan plan_;
    std::vector<Level> levels_;
    std::string path_;  // of the name at hand, absolute
    std::unique_ptr<CaptureCacheReader> before_;
    std::unique_ptr<CaptureCacheWriter> after_;
    ChangeTracker changes_;
    Randomness sample_;  // of the file that was read last
    Links links_;
    std::vector<DeviceInode> forbidden_, passed_over_;
    FileTime trusted_before_;
    ProblemList problems_;
    BackUpResult result_;
    Progress report_;
};

Result<BackUpResult> TreeCapture::run(std::string_view dataset) {
    plan_ = TRY(plan_capture(options_, filter_));
    for (auto& problem : plan_.missing) problems_.add(problem.path, std::move(problem.message));
    auto note = [](std::vector<DeviceInode>& to, std::string const& path) {
        struct stat status;
        if (::stat(path.c_str(), &status) == 0) to.push_back(identity_of(status));
    };
    for (auto const& path : options_.forbidden) note(forbidden_, path);
    if (!repository_.world().cache.empty()) note(passed_over_, repository_.world().cache.string());

    auto start = repository_.world().clock.now() - kStampGranularity;
    auto seconds = std::chrono::floor<std::chrono::seconds>(start);
    trusted_before_ = {seconds.time_since_epoch().count(),
                       static_cast<std::uint32_t>((start - seconds).count())};
    if (auto place = CaptureCachePlace::of(repository_, dataset, plan_.base)) {
        before_ = CaptureCacheReader::open(*place);
        after_ = CaptureCacheWriter::create(*place, repository_.world().random);
    }
    if (before_) {
        before_->on_passed = [this](CachedFile const& gone) { changes_.vanished(gone.path, gone.stamp.inode); };
    }

    TRY(open_top());
    while (!levels_.empty()) TRY(step());
    // Single names come and go. When what was asked for is gone itself, what was read of it is a rest.
    for (auto const& path : options_.paths) {
        struct stat status;
        bool const missed = std::ranges::any_of(plan_.missing, [&](auto const& one) { return one.path == path; });
        if (!missed && ::lstat(path.c_str(), &status) != 0)
            problems_.add(path, std::string("it was gone before the backup ended: ") + std::strerror(errno));
    }
    if (after_) after_->finish();
    if (before_) before_->pass_rest();
    result_.changes = changes_.finish();
    result_.root = plan_.base;
    result_.problem_count = problems_.count();
    result_.problems = problems_.take();
    return std::move(result_);
}

Result<void> TreeCapture::open_top() {
    auto what = "'" + printable(plan_.base) + "'";
    Fd fd(::open(plan_.base.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd && !plan_.top.wanted) fd.reset(::open(plan_.base.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    struct stat status;
    if (!fd || ::fstat(fd.get(), &status) != 0) {
        auto error = errno_error("open " + what, errno);
        return fail(std::move(error).with_hint("Holdfast must be able to read what it backs up"));
    }
    TRY(check_forbidden(status));
    auto entry = TRY(entry_of(status, ""));
    path_ = plan_.base == "/" ? "" : plan_.base;
    TRY(add_attributes(entry, attributes_at(fd.get(), ".")));
    Level top{.fd = std::move(fd),
              .identity = identity_of(status),
              .device = status.st_dev,
              .names = {},
              .writer = DirectoryWriter(ingest_),
              .entry = entry,
              .node = &plan_.top,
              .whole = plan_.top.wanted,
              .incomplete = !plan_.top.wanted || !plan_.missing.empty(),
              .path_bytes = path_.size(),
              .alias = plan_.top.named == plan_.base ? "" : plan_.top.named};
    if (top.whole) {
        auto names = sorted_names(top.fd.get());
        if (!names) return fail(errno_error("read the directory " + what, names.error()));
        top.names = std::move(*names);
    } else {
        for (auto const& [name, node] : plan_.top.children) top.names.push_back(name);
    }
    TRY(top.writer.self(entry));
    levels_.push_back(std::move(top));
    return {};
}

Result<void> TreeCapture::step() {
    if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
    if (level().next == level().names.size()) return leave();
    auto name = std::move(level().names[level().next++]);
    path_.resize(level().path_bytes);
    path_ += '/';
    path_ += name;
    CaptureNode const* node = nullptr;
    if (level().node) {
        auto at = level().node->children.find(name);
        if (at != level().node->children.end()) node = &at->second;
    }
    if (!node && excluded(level(), name)) {
        ++result_.excluded;
        return {};
    }
    for (int attempt = 0; attempt < kTries; ++attempt) {
        auto outcome = TRY(take(name, node));
        if (outcome != Outcome::changed_type) return {};
    }
    lost("was replaced again and again while it was read");
    return {};
}

bool TreeCapture::excluded(Level const& level, std::string const& name) const {
    return filter_.excludes(path_) || (!level.alias.empty() && filter_.excludes(level.alias + "/" + name));
}

// The directory is complete: its content goes to its parent, which is open again.
Result<void> TreeCapture::leave() {
    auto done = std::move(level());
    levels_.pop_back();
    auto content = TRY(done.writer.finish(done.incomplete));
    if (levels_.empty()) {
        result_.tree = std::move(content);
        return {};
    }
    ++result_.directories;
    done.entry.content = std::move(content);
    path_.resize(done.path_bytes);
    auto& parent = level();
    TRY(parent.writer.add(done.entry));
    if (!parent.fd) {
        auto open = TRY(reopen(parent, levels_.size() - 1, done.fd.get()));
        if (!open) {
            parent.incomplete = true;
            parent.next = parent.names.size();
            problems_.add(path_.substr(0, parent.path_bytes), "the directory was moved while it was read");
        }
    }
    return {};
}

// Opens a level again whose descriptor was given back: as the parent of `child`, else by its names from
// the top. False when it is no longer there.
Result<bool> TreeCapture::reopen(Level& level, std::size_t index, int child) {
    auto is_it = [&](int fd) {
        struct stat status;
        return ::fstat(fd, &status) == 0 && identity_of(status) == level.identity;
    };
    if (child >= 0) {
        Fd fd(::openat(child, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (fd && is_it(fd.get())) {
            level.fd = std::move(fd);
            return true;
        }
    }
    Fd fd(::openat(levels_[0].fd.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (std::size_t i = 1; i <= index && fd; ++i) {
        auto next = open_directory_at(fd.get(), levels_[i].entry.name.c_str());
        if (!next) return false;
        fd = std::move(*next);
    }
    if (!fd || !is_it(fd.get())) return false;
    level.fd = std::move(fd);
    return true;
}

Result<TreeCapture::Outcome> TreeCapture::take(std::string const& name, CaptureNode const* node) {
    struct stat status;
    if (::fstatat(level().fd.get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno == ENOENT) return vanished();
        return lost(std::strerror(errno));
    }
    auto type = type_of(status);
    if (!type) return lost(type.error().message);
    switch (*type) {
        case EntryType::directory: return take_directory(name, status, node);
        case EntryType::file: return take_file(name, status);
        default: return take_other(name, status);
    }
}

Result<void> TreeCapture::check_forbidden(struct stat const& status) const {
    auto identity = identity_of(status);
    if (std::find(forbidden_.begin(), forbidden_.end(), identity) == forbidden_.end()) return {};
    return fail(ErrorKind::unsafe, "'" + printable(path_) + "' must not be backed up: a backup would contain itself",
                "exclude it: --exclude '" + printable(path_) + "'");
}

Result<TreeCapture::Outcome> TreeCapture::take_directory(std::string const& name, struct stat const& found,
                                                         CaptureNode const* node) {
    auto status = found;
    bool wanted = node && node->wanted;
    bool whole = wanted || (level().whole && !(node && excluded(level(), name)));
    auto open = whole ? open_directory_at : open_waypoint_at;
    auto fd = open(level().fd.get(), name.c_str());
    bool opened = fd.has_value();
    if (!opened) {
        auto error = fd.error();
        if (error == ENOENT) return vanished();
        if (error == ENOTDIR || error == ELOOP) return Outcome::changed_type;
        if (error == EMFILE || error == ENFILE || error == ENOMEM) {
            return fail(errno_error("open '" + printable(path_) + "'", error));
        }
        problems_.add(path_, fmt::format("open the directory: {}", std::strerror(error)));
    } else if (::fstat(fd->get(), &status) != 0) {
        return lost(std::strerror(errno));
    }
    TRY(check_forbidden(status));
    if (std::find(passed_over_.begin(), passed_over_.end(), identity_of(status)) != passed_over_.end()) {
        ++result_.excluded;
        return Outcome::left_out;
    }
    auto entry = TRY(entry_of(status, name));
    TRY(add_attributes(entry, attributes_at(level().fd.get(), name)));
    bool other = status.st_dev != level().device;
    bool bare = opened && other && !wanted && (options_.one_file_system || is_kernels_own(fd->get()));
    std::string alias;
    if (wanted && node->named != path_) {
        alias = node->named;
    } else if (!level().alias.empty()) {
        alias = level().alias + "/" + name;
    }
    Level next{.fd = Fd(),
               .identity = identity_of(status),
               .device = other && !wanted && options_.one_file_system ? level().device : status.st_dev,
               .names = {},
               .writer = DirectoryWriter(ingest_),
               .entry = std::move(entry),
               .node = node,
               .whole = whole,
               .incomplete = !opened || !whole || bare,
               .path_bytes = path_.size(),
               .alias = std::move(alias)};
    if (opened && !whole) {
        for (auto const& [child, unused] : node->children) next.names.push_back(child);
    } else if (opened && !bare) {
        auto names = sorted_names(fd->get());
        if (names) {
            next.names = std::move(*names);
        } else {
            problems_.add(path_, fmt::format("read the directory: {}", std::strerror(names.error())));
            next.incomplete = true;
        }
    } else if (opened && node) {
        for (auto const& [child, unused] : node->children) next.names.push_back(child);
    }
    if (opened) next.fd = std::move(*fd);
    levels_.push_back(std::move(next));
    if (levels_.size() > kOpenLevels + 1) levels_[levels_.size() - 1 - kOpenLevels].fd.reset();
    return Outcome::kept;
}

Result<void> TreeCapture::add_attributes(Entry& entry, std::expected<Attributes, Errno> attributes) {
    if (!attributes) {
        problems_.add(path_, fmt::format("read its extended attributes: {}", std::strerror(attributes.error())));
        return {};
    }
    entry.xattrs = std::move(*attributes);
    if (auto fault = entry_fault(entry)) {
        problems_.add(path_, fmt::format("its extended attributes were left out: {}", fault));
        entry.xattrs.clear();
    }
    return {};
}

Result<TreeCapture::Outcome> TreeCapture::take_other(std::string const& name, struct stat const& status) {
    auto entry = TRY(entry_of(status, name));
    if (entry.type == EntryType::symlink) {
        auto target = read_link_at(level().fd.get(), name.c_str());
        if (!target && target.error() == ENOENT) return vanished();
        if (!target && target.error() == EINVAL) return Outcome::changed_type;
        if (!target) return lost(fmt::format("read the link: {}", std::strerror(target.error())));
        entry.target = std::move(*target);
    }
    auto attributes = attributes_at(level().fd.get(), name);
    if (!attributes && attributes.error() == ENOENT) attributes = Attributes{};
    TRY(add_attributes(entry, std::move(attributes)));
    if (auto fault = entry_fault(entry)) return lost(fault);
    if (status.st_nlink > 1) {
        entry.link_group = links_.meet(status).group;
        links_.forget_if_done(status);
    }
    TRY(level().writer.add(entry));
    ++result_.files;
    advance(0);
    return Outcome::kept;
}

std::string TreeCapture::relative() const { return path_.substr(levels_[0].path_bytes + 1); }

// The file as the last capture read it, when it is still that one and all of it is still stored.
std::optional<CachedFile> TreeCapture::cached(CachedFile const* file, struct stat const& status) {
    if (!file || file->stamp != stamp_of(status)) return std::nullopt;
    for (auto const& extent : file->entry.content.extents) {
        if (extent.chunk && !ingest_.knows(*extent.chunk)) return std::nullopt;
    }
    for (auto const& chunk : file->chunks) {
        if (!ingest_.knows(chunk)) return std::nullopt;
    }
    return *file;
}

Result<TreeCapture::Outcome> TreeCapture::take_file(std::string const& name, struct stat status) {
    auto outcome = Outcome::kept;
    auto* link = status.st_nlink > 1 ? &links_.meet(status) : nullptr;
    std::optional<CachedFile> file;
    bool read = false;
    auto const* known = before_ ? before_->find(relative()) : nullptr;
    if (link && link->first && link->first->stamp == stamp_of(status)) {
        file = link->first;
        ++result_.unchanged;
    } else if ((file = cached(known, status))) {
        ++result_.unchanged;
    } else {
        file = TRY(read_settled(name, outcome));
        read = true;
    }
    if (!file) return outcome;
    note_change(known, *file, read);
    // The stamp covers mode, owner and attributes by the ctime, but not how the system names owners.
    if (!read) {
        auto fresh = TRY(entry_of(status, name));
        fresh.xattrs = std::move(file->entry.xattrs);
        fresh.content = std::move(file->entry.content);
        file->entry = std::move(fresh);
        advance(file->entry.content.size);
    }
    file->path = relative();
    file->entry.link_group = link ? link->group : 0;
    if (link) {
        // Once more: reading may have taken the place of the record.
        if (link->left > 0 && !file->entry.unsettled) link->first = file;
        links_.forget_if_done(status);
    }
    return add_file(std::move(*file), true);
}

// For the statistics: `known` is what the last capture had under this name. A file that was only touched is
// read, and not changed.
void TreeCapture::note_change(CachedFile const* known, CachedFile const& file, bool read) {
    auto path = relative();
    if (!known) return changes_.added(path, file.stamp.inode, read ? sample_ : Randomness{});
    if (!read || known->entry.content == file.entry.content) return changes_.kept(path);
    changes_.rewritten(path, sample_);
}

Result<TreeCapture::Outcome> TreeCapture::add_file(CachedFile file, bool remember) {
    if (auto fault = entry_fault(file.entry)) return lost(fault);
    TRY(level().writer.add(file.entry));
    ++result_.files;
    result_.bytes += file.entry.content.size;
    bool settled = !file.entry.unsettled && file.stamp.ctime < trusted_before_;
    bool complete = file.entry.content.depth == 0 || !file.chunks.empty();
    if (after_ && remember && settled && complete) after_->add(file);
    if (observe_) observe_(path_, file.entry);
    advance(0);
    return Outcome::kept;
}

// Reads a file until it holds still, at most kTries times. Nothing when it could not be read; then
// `outcome` says what came of it.
Result<std::optional<CachedFile>> TreeCapture::read_settled(std::string const& name, Outcome& outcome) {
    auto none = [&](Outcome what) -> std::optional<CachedFile> {
        outcome = what;
        return std::nullopt;
    };
    for (int attempt = 1;; ++attempt) {
        auto fd = open_file_at(level().fd.get(), name.c_str());
        if (!fd) {
            switch (fd.error()) {
                case ENOENT: return none(vanished());
                case ELOOP:
                case ENXIO:
                case ENODEV: return none(Outcome::changed_type);
                case EMFILE:
                case ENFILE:
                case ENOMEM: return fail(errno_error("open '" + printable(path_) + "'", fd.error()));
                default: return none(lost(fmt::format("open: {}", std::strerror(fd.error()))));
            }
        }
        struct stat before, after;
        if (::fstat(fd->get(), &before) != 0) return none(lost(std::strerror(errno)));
        if (!S_ISREG(before.st_mode)) return none(Outcome::changed_type);
        auto layout = options_.layout ? options_.layout(path_, fd->get()) : Layout{};
        auto count = [&](std::uint64_t bytes) { advance(bytes); };
        auto read = TRY(read_file(fd->get(), static_cast<std::uint64_t>(before.st_size), ingest_,
                                  std::move(layout), count, stop_)
                            .within("back up '" + printable(path_) + "'"));
        if (read.error != 0) return none(lost(fmt::format("read: {}", std::strerror(read.error))));
        auto attributes = attributes_of(fd->get());
        if (::fstat(fd->get(), &after) != 0) return none(lost(std::strerror(errno)));
        bool whole = before.st_size == 0 || read.bytes == static_cast<std::uint64_t>(before.st_size);
        bool settled = whole && stamp_of(before) == stamp_of(after);
        if (!settled && attempt < kTries) continue;

        CachedFile file;
        file.stamp = stamp_of(after);
        file.entry = TRY(entry_of(after, name));
        TRY(add_attributes(file.entry, std::move(attributes)));
        file.entry.content = std::move(read.content);
        file.chunks = std::move(read.lists_chunks);
        sample_ = read.sample;
        if (!settled) {
            file.entry.unsettled = true;
            problems_.add(path_, "changed while it was read, " + std::to_string(kTries) +
                                     " times; kept as it was read last");
        }
        return file;
    }
}

TreeCapture::Outcome TreeCapture::lost(std::string message) {
    problems_.add(path_, std::move(message));
    level().incomplete = true;
    return Outcome::left_out;
}

void TreeCapture::advance(std::uint64_t bytes) {
    report_.bytes += bytes;
    if (!progress_) return;
    report_.current = path_;
    report_.files = result_.files;
    report_.stored = ingest_.statistics().bytes_stored;
    progress_(report_);
}

}  // namespace

Result<BackUpResult> back_up_tree(Repository& repository, Ingest& ingest, std::string_view dataset,
                                  BackUpOptions const& options, ProgressCallback const& progress,
                                  BackUpObserver const& observe, std::stop_token stop) {
    TreeCapture capture(repository, ingest, options, progress, observe, std::move(stop));
    return capture.run(dataset);
}

}  // namespace holdfast
