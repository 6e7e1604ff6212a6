#include "archive/restore.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "archive/restore_batch.h"
#include "base/text.h"
#include "base/units.h"

namespace holdfast {
namespace {

// Directories that wait for their files before they get their times.
constexpr std::size_t kDirectoriesMax = 8192;

class TreeRestore {
  public:
    TreeRestore(Fetch& fetch, RestoreOptions const& options, ProgressCallback const& progress,
                std::stop_token stop)
        : fetch_(fetch), options_(options), progress_(progress), stop_(std::move(stop)),
          metadata_({.set_owner = options.set_owner, .set_special_bits = options.set_special_bits}, problems_) {
        report_.what = "restoring";
    }

    Result<RestoreResult> run(Content const& root, std::string_view path, std::filesystem::path const& target);

  private:
    // A directory of the point that is being restored.
    struct Level {
        DirectoryReader reader;
        Entry entry;                   // its metadata, without content
        bool has_metadata;
        bool existed;                  // in the target, before
        TargetDirectoryPointer directory;  // nullptr: a dry run, and it does not exist
        std::vector<std::string> live;     // names in the target, when the others are to be deleted
        std::size_t next_live = 0;
        std::vector<std::string> extra;
        std::size_t path_bytes;        // of path_, with the '/' behind it
    };
    // The first name of a file with several.
    struct Leader {
        ChunkId content;               // digest of the content: same group and content are one file
        EntryType type;
        RestoreFilePointer file;       // while it is in a batch
        TargetDirectoryPointer directory;
        std::string name;
        bool whole = false;
    };
    struct Follower {
        Entry entry;
        TargetDirectoryPointer directory;
        std::string path;
    };
    struct FinishedDirectory {
        TargetDirectoryPointer directory;
        Entry entry;
        std::string path;
    };

    Result<void> run_single(Entry const& entry);
    Result<void> enter(Content const& content, std::optional<Entry> entry, TargetDirectoryPointer directory,
                       bool existed);
    Result<void> step();
    Result<void> leave();
    Result<void> take(Entry entry, TargetDirectoryPointer const& parent);
    Result<void> take_directory(Entry entry, TargetDirectoryPointer const& parent, struct stat const* live);
    Result<void> take_file(Entry entry, TargetDirectoryPointer const& parent, struct stat const* live);
    Result<void> take_other(Entry const& entry, TargetDirectoryPointer const& parent, struct stat const* live);
    Result<bool> take_link(Entry const& entry, TargetDirectoryPointer const& parent);
    Result<void> plan_file(RestoreFilePointer const& file, Content const& content, struct stat const* live);
    Result<bool> plan_existing(RestoreFilePointer const& file, Content const& content);
    Result<void> damaged_content(RestoreFile& file, Error error);
    Result<void> refuse_file(RestoreFile& file, std::string const& what, Errno error);
    Result<void> plan_new(RestoreFilePointer const& file, Content const& content);
    Result<bool> begin_writing(RestoreFile& file, struct stat const& live);
    Result<void> empty_range(RestoreFile& file, std::uint64_t offset, std::uint64_t length);
    Result<bool> clear_place(Entry const& entry, TargetDirectoryPointer const& parent, struct stat const& live);
    Result<void> link(Follower& follower);
    Result<void> flush();
    Result<void> delete_extra(Level& level);
    Result<void> damaged_directory(Error error);
    Result<void> refuse(std::string const& what, Errno error);
    Error explain_no_space(Error error, Content const& root, std::string_view path,
                           std::filesystem::path const& target);
    void count_file(Entry const& entry);
    void count_damaged(std::string path);
    void advance(std::uint64_t bytes);

    Fetch& fetch_;
    RestoreOptions const& options_;
    ProgressCallback const& progress_;
    std::stop_token stop_;
    ProblemList problems_;
    MetadataSetter metadata_;
    std::mutex result_mutex_;
    RestoreResult result_;
    Progress report_;
    std::unique_ptr<Target> target_;
    std::unique_ptr<RestoreBatch> batch_;
    std::vector<Level> levels_;
    std::string path_;  // of the entry at hand, below the restored root
    std::unordered_map<std::uint64_t, Leader> leaders_;
    std::vector<std::uint64_t> leaders_in_batch_;
    std::vector<Follower> followers_;
    std::vector<FinishedDirectory> finished_;
};

std::string text_of(Errno error) { return std::strerror(error); }

Result<RestoreResult> TreeRestore::run(Content const& root, std::string_view path,
                                       std::filesystem::path const& target) {
    auto entry = TRY(TreeReader(fetch_, root).find(path, stop_));
    auto opened = Target::open(target, {.create = !options_.dry_run});
    if (opened) {
        target_ = std::move(*opened);
        batch_ = std::make_unique<RestoreBatch>(fetch_, *target_, metadata_, problems_, result_, result_mutex_,
                                                options_);
    } else if (!options_.dry_run || opened.error().kind != ErrorKind::not_found) {
        return fail(std::move(opened.error()));
    }
    auto top = target_ ? target_->top() : nullptr;
    auto work = [&]() -> Result<void> {
        if (entry.type == EntryType::directory) {
            auto content = std::move(entry.content);
            entry.content = {};
            // The root has metadata only where the tree says so: enter() looks.
            bool is_root = path.find_first_not_of('/') == std::string_view::npos;
            auto metadata = is_root ? std::nullopt : std::optional(std::move(entry));
            TRY(enter(content, std::move(metadata), top, target_ && !target_->created()));
            while (!levels_.empty()) TRY(step());
        } else {
            path_ = entry.name;
            TRY(take(std::move(entry), top));
        }
        return flush();
    };
    auto done = work();
    if (!done && done.error().kind == ErrorKind::no_space && target_) {
        return fail(explain_no_space(std::move(done.error()), root, path, target));
    }
    if (!done) return fail(std::move(done.error()));
    if (target_ && !options_.dry_run && options_.durable) TRY(target_->sync());
    metadata_.summarise();
    result_.problem_count = problems_.count();
    result_.problems = problems_.take();
    return std::move(result_);
}

// Begins with a directory. Without `entry` it is the root, whose metadata is in itself.
Result<void> TreeRestore::enter(Content const& content, std::optional<Entry> entry,
                                TargetDirectoryPointer directory, bool existed) {
    auto reader = DirectoryReader::open(fetch_, content, stop_);
    if (!reader) return damaged_directory(std::move(reader.error()));
    bool is_root = !entry;
    if (!entry) entry = reader->self();
    bool has_metadata = entry.has_value();
    if (!levels_.empty()) path_ += '/';
    Level level{.reader = std::move(*reader),
                .entry = std::move(entry).value_or(Entry{}),
                .has_metadata = has_metadata,
                .existed = existed,
                .directory = std::move(directory),
                .live = {},
                .extra = {},
                .path_bytes = path_.size()};
    if (!is_root || has_metadata) level.entry.type = EntryType::directory;
    if (options_.delete_extra && existed && level.directory) {
        auto fd = TRY(target_->fd(*level.directory));
        auto names = sorted_names(fd->get());
        if (!names) {
            problems_.add(path_, "read the directory in the target: " + text_of(names.error()));
        } else {
            level.live = std::move(*names);
        }
    }
    levels_.push_back(std::move(level));
    return {};
}

// A directory of the point that can't be read.
Result<void> TreeRestore::damaged_directory(Error error) {
    auto local = error.kind == ErrorKind::damaged || error.kind == ErrorKind::not_found ||
                 error.kind == ErrorKind::io;
    if (!local || !options_.skip_damaged) {
        return fail(as_damage(std::move(error)).within("restore the directory '" + printable(path_) + "'"));
    }
    problems_.add(path_, error.message);
    count_damaged(path_);
    return {};
}

void TreeRestore::count_damaged(std::string path) {
    std::lock_guard lock(result_mutex_);
    result_.damaged.push_back(std::move(path));
}

Result<void> TreeRestore::step() {
    if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
    auto& level = levels_.back();
    path_.resize(level.path_bytes);
    auto entry = level.reader.next(stop_);
    if (!entry) {
        if (level.path_bytes > 0) path_.resize(level.path_bytes - 1);
        TRY(damaged_directory(std::move(entry.error())));
        level.extra.clear();
        levels_.pop_back();
        return {};
    }
    if (!*entry) return leave();
    auto& name = (*entry)->name;
    for (; level.next_live < level.live.size() && level.live[level.next_live] <= name; ++level.next_live) {
        auto& live = level.live[level.next_live];
        if (live < name) level.extra.push_back(std::move(live));
    }
    path_ += name;
    if (options_.exclude && options_.exclude(path_)) return {};
    return take(std::move(**entry), level.directory);
}

Result<void> TreeRestore::leave() {
    auto level = std::move(levels_.back());
    levels_.pop_back();
    if (level.path_bytes > 0) path_.resize(level.path_bytes - 1);
    if (!level.reader.incomplete()) TRY(delete_extra(level));
    if (!levels_.empty()) ++result_.directories;
    // What only leads to something, or was there and is not wholly known, keeps its own metadata.
    bool set = level.has_metadata && !(level.existed && level.reader.incomplete());
    if (options_.dry_run || !set) return {};
    finished_.push_back({std::move(level.directory), std::move(level.entry), path_});
    if (finished_.size() >= kDirectoriesMax) return flush();
    return {};
}

Result<void> TreeRestore::delete_extra(Level& level) {
    for (; level.next_live < level.live.size(); ++level.next_live) {
        level.extra.push_back(std::move(level.live[level.next_live]));
    }
    auto prefix = path_.empty() ? "" : path_ + "/";
    for (auto const& name : level.extra) {
        auto path = prefix + name;
        if (options_.exclude && options_.exclude(path)) continue;
        if (options_.dry_run) {
            ++result_.deleted;
            continue;
        }
        auto fd = TRY(target_->fd(*level.directory));
        auto removed = remove_tree(fd->get(), name, result_.deleted);
        if (!removed) problems_.add(path, removed.error().message);
    }
    return {};
}

// The system refuses to make the entry at hand: a problem of it, unless nothing else could be made.
Result<void> TreeRestore::refuse(std::string const& what, Errno error) {
    if (error == ENOSPC || error == EDQUOT || error == EROFS || error == EMFILE || error == ENFILE) {
        return fail(errno_error(what + " '" + printable(path_) + "'", error));
    }
    problems_.add(path_, what + ": " + text_of(error));
    return {};
}

Result<void> TreeRestore::take(Entry entry, TargetDirectoryPointer const& parent) {
    struct stat status;
    struct stat const* live = nullptr;
    if (parent) {
        auto fd = TRY(target_->fd(*parent));
        if (::fstatat(fd->get(), entry.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
            live = &status;
        } else if (errno != ENOENT) {
            return refuse("look at", errno);
        }
    }
    if (entry.type == EntryType::directory) return take_directory(std::move(entry), parent, live);
    count_file(entry);
    advance(0);
    bool is_link = TRY(take_link(entry, parent));
    if (is_link) return {};
    if (entry.type == EntryType::file) return take_file(std::move(entry), parent, live);
    return take_other(entry, parent, live);
}

void TreeRestore::count_file(Entry const& entry) {
    std::lock_guard lock(result_mutex_);
    ++result_.files;
    result_.bytes += entry.content.size;
}

// Makes room where something of another type is. False when it may not go; that is a problem by then.
Result<bool> TreeRestore::clear_place(Entry const& entry, TargetDirectoryPointer const& parent,
                                      struct stat const& live) {
    auto fd = TRY(target_->fd(*parent));
    if (!S_ISDIR(live.st_mode)) {
        // A link in a directory's place may have been put there with a purpose, or with a bad one. It is
        // never followed, and removed only where foreign things are.
        if (S_ISLNK(live.st_mode) && entry.type == EntryType::directory && !options_.delete_extra) {
            problems_.add(path_, "a symbolic link is where the point has a directory: remove it, or let the "
                                 "restore delete what is foreign");
            return false;
        }
        if (options_.dry_run || ::unlinkat(fd->get(), entry.name.c_str(), 0) == 0) return true;
        TRY(refuse("replace", errno));
        return false;
    }
    if (options_.delete_extra) {
        if (options_.dry_run) return true;
        auto removed = remove_tree(fd->get(), entry.name, result_.deleted);
        if (!removed) problems_.add(path_, removed.error().message);
        return removed.has_value();
    }
    if (options_.dry_run || ::unlinkat(fd->get(), entry.name.c_str(), AT_REMOVEDIR) == 0) return true;
    problems_.add(path_, fmt::format("a directory is where the point has a {}, and it can't be removed: {}",
                                     name(entry.type), text_of(errno)));
    return false;
}

Result<void> TreeRestore::take_directory(Entry entry, TargetDirectoryPointer const& parent,
                                         struct stat const* live) {
    auto content = std::move(entry.content);
    entry.content = {};
    if (live && !S_ISDIR(live->st_mode)) {
        auto cleared = TRY(clear_place(entry, parent, *live));
        if (!cleared) return {};
        live = nullptr;
    }
    if (options_.dry_run && !live) return enter(content, std::move(entry), nullptr, false);
    auto fd = TRY(target_->fd(*parent));
    if (!live && ::mkdirat(fd->get(), entry.name.c_str(), 0700) != 0) return refuse("create the directory", errno);
    if (live && ::geteuid() != 0 && !options_.dry_run && (live->st_mode & 0700) != 0700) {
        // Only root writes where the mode forbids it; the final mode comes with the rest.
        (void)::fchmodat(fd->get(), entry.name.c_str(), (live->st_mode & 07777) | 0700, AT_SYMLINK_NOFOLLOW);
    }
    auto directory = target_->enter(parent, entry.name);
    if (!directory) return refuse("open the directory", directory.error());
    return enter(content, std::move(entry), std::move(*directory), live != nullptr);
}

Result<void> TreeRestore::take_other(Entry const& entry, TargetDirectoryPointer const& parent,
                                     struct stat const* live) {
    if (options_.dry_run) return {};
    auto fd = TRY(target_->fd(*parent));
    auto* name = entry.name.c_str();
    bool is_device = entry.type == EntryType::character_device || entry.type == EntryType::block_device;
    bool there = live && (live->st_mode & S_IFMT) == type_bits(entry.type) &&
                 (!is_device || live->st_rdev == entry.device);
    if (there && entry.type == EntryType::symlink) {
        auto target = read_link_at(fd->get(), name);
        there = target && *target == entry.target;
    }
    if (live && !there) {
        auto cleared = TRY(clear_place(entry, parent, *live));
        if (!cleared) return {};
    }
    if (!there) {
        auto failed = entry.type == EntryType::symlink
                          ? ::symlinkat(entry.target.c_str(), fd->get(), name)
                          : ::mknodat(fd->get(), name, type_bits(entry.type) | 0600, entry.device);
        if (failed != 0) return refuse(fmt::format("create the {}", holdfast::name(entry.type)), errno);
    }
    auto changed = metadata_.apply_at(fd->get(), entry.name, entry, path_);
    if (there && !changed) ++result_.files_unchanged;
    auto leader = leaders_.find(entry.link_group);
    if (entry.link_group != 0 && leader != leaders_.end()) leader->second.whole = true;
    return {};
}

// Whether the entry is a further name of a file that was met before. The first one becomes the leader.
Result<bool> TreeRestore::take_link(Entry const& entry, TargetDirectoryPointer const& parent) {
    if (entry.link_group == 0 || !parent) return false;
    ByteWriter writer;
    encode(entry.content, writer);
    writer.blob(entry.target);
    auto digest = fetch_.id_of(writer.view());
    auto [at, fresh] = leaders_.try_emplace(
        entry.link_group, Leader{digest, entry.type, nullptr, parent, entry.name, options_.dry_run});
    if (fresh) return false;
    // A group that holds different files was not written by us: each of them is itself.
    if (at->second.content != digest || at->second.type != entry.type) return false;
    if (options_.dry_run) return true;
    followers_.push_back({entry, parent, path_});
    return true;
}

// Makes the further name, now that the first one is whole; a file of its own when that can't be.
Result<void> TreeRestore::link(Follower& follower) {
    auto const& leader = leaders_.at(follower.entry.link_group);
    path_ = follower.path;
    auto here = TRY(target_->fd(*follower.directory));
    auto* name = follower.entry.name.c_str();
    struct stat live, first;
    bool there = ::fstatat(here->get(), name, &live, AT_SYMLINK_NOFOLLOW) == 0;
    if (leader.whole) {
        auto fd = TRY(target_->fd(*leader.directory));
        bool found = ::fstatat(fd->get(), leader.name.c_str(), &first, AT_SYMLINK_NOFOLLOW) == 0;
        if (found && there && first.st_ino == live.st_ino && first.st_dev == live.st_dev) {
            ++result_.files_unchanged;
            return {};
        }
        if (found && there) {
            auto cleared = TRY(clear_place(follower.entry, follower.directory, live));
            if (!cleared) return {};
            there = false;
        }
        if (found && ::linkat(fd->get(), leader.name.c_str(), here->get(), name, 0) == 0) return {};
    }
    if (follower.entry.type != EntryType::file) {
        return take_other(follower.entry, follower.directory, there ? &live : nullptr);
    }
    auto entry = follower.entry;
    entry.link_group = 0;
    return take_file(std::move(entry), follower.directory, there ? &live : nullptr);
}

Result<void> TreeRestore::take_file(Entry entry, TargetDirectoryPointer const& parent, struct stat const* live) {
    auto file = std::make_shared<RestoreFile>();
    auto content = std::move(entry.content);
    entry.content = {};
    file->size = content.size;
    file->entry = std::move(entry);
    file->directory = parent;
    file->path = path_;
    if (options_.dry_run) return plan_file(file, content, live);
    auto group = file->entry.link_group;
    if (auto leader = leaders_.find(group); group != 0 && leader != leaders_.end()) {
        if (!leader->second.file && !leader->second.whole && leader->second.name == file->entry.name &&
            leader->second.directory == parent) {
            leader->second.file = file;
            leaders_in_batch_.push_back(group);
        }
    }
    TRY(plan_file(file, content, live));
    file->planned = true;  // also when nothing came of it
    if (batch_->full()) return flush();
    return {};
}

Result<void> TreeRestore::plan_file(RestoreFilePointer const& file, Content const& content,
                                    struct stat const* live) {
    if (live && S_ISREG(live->st_mode)) {
        auto done = TRY(plan_existing(file, content));
        if (done) return {};
        if (options_.dry_run) return plan_new(file, content);
        // It must be made anew: it can't be written, or has other names that must not change with it.
        auto fd = TRY(target_->fd(*file->directory));
        if (::unlinkat(fd->get(), file->entry.name.c_str(), 0) != 0) return refuse("replace", errno);
    } else if (live) {
        auto cleared = TRY(clear_place(file->entry, file->directory, *live));
        if (!cleared) return {};
    }
    return plan_new(file, content);
}

Result<void> TreeRestore::plan_new(RestoreFilePointer const& file, Content const& content) {
    bool single = content.depth == 0 && content.extents.size() == 1 && content.extents[0].chunk;
    if (!options_.dry_run && !single) {
        auto directory = TRY(target_->fd(*file->directory));
        auto fd = open_beneath(directory->get(), file->entry.name.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
        if (!fd) return refuse_file(*file, "create", fd.error());
        file->fd = std::move(*fd);
        if (::ftruncate(file->fd.get(), static_cast<off_t>(file->size)) != 0) {
            return refuse_file(*file, "set the size of", errno);
        }
    }
    std::uint64_t offset = 0;
    auto visit = [&](std::span<Extent const> extents) -> Result<void> {
        for (auto const& extent : extents) {
            if (extent.chunk && options_.dry_run) {
                advance(extent.length);
            } else if (extent.chunk) {
                batch_->want(file, extent, offset);
                if (batch_->full()) TRY(flush());
            }
            offset += extent.length;
        }
        return {};
    };
    auto planned = fetch_.extents(content, visit, stop_);
    if (!planned) TRY(damaged_content(*file, std::move(planned.error())));
    if (options_.dry_run) return {};
    batch_->planned(file);
    return {};
}

// The lists of a file's extents can't be read.
Result<void> TreeRestore::damaged_content(RestoreFile& file, Error error) {
    auto local = error.kind == ErrorKind::damaged || error.kind == ErrorKind::not_found;
    if (!local || !options_.skip_damaged) {
        return fail(as_damage(std::move(error)).within("restore '" + printable(file.path) + "'"));
    }
    if (!file.damaged.exchange(true)) problems_.add(file.path, error.message);
    return {};
}

Result<void> TreeRestore::refuse_file(RestoreFile& file, std::string const& what, Errno error) {
    file.failed = true;
    return refuse(what, error);
}

// Compares the file with the point and wants what differs. False when it must be made anew.
Result<bool> TreeRestore::plan_existing(RestoreFilePointer const& file, Content const& content) {
    auto directory = TRY(target_->fd(*file->directory));
    auto* name = file->entry.name.c_str();
    auto fd = open_beneath(directory->get(), name, O_RDONLY | O_NONBLOCK);
    if (!fd && fd.error() == EACCES && !options_.dry_run &&
        ::fchmodat(directory->get(), name, 0600, AT_SYMLINK_NOFOLLOW) == 0) {
        fd = open_beneath(directory->get(), name, O_RDONLY | O_NONBLOCK);
    }
    struct stat status;
    if (!fd || ::fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    file->fd = std::move(*fd);
    file->existed = true;
    auto old_size = static_cast<std::uint64_t>(status.st_size);
    LiveFile compare(file->fd.get(), old_size);
    bool writing = false, anew = false, differs = old_size != file->size;
    // Nothing was wanted before the file can be written: then it may still be made anew.
    auto begin = [&]() -> Result<bool> {
        if (writing || options_.dry_run) return true;
        writing = TRY(begin_writing(*file, status));
        anew = !writing;
        return writing;
    };
    auto stop_planning = [] { return fail(ErrorKind::exists, "made anew"); };

    std::uint64_t offset = 0;
    auto visit = [&](std::span<Extent const> extents) -> Result<void> {
        for (auto const& extent : extents) {
            if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            auto at = offset;
            offset += extent.length;
            auto match = compare.match(fetch_, extent, at);
            if (match == LiveFile::Match::same) {
                report_.bytes += extent.length;
                continue;
            }
            differs = true;
            auto ready = TRY(begin());
            if (!ready) return stop_planning();
            if (!extent.chunk) {
                if (!options_.dry_run) TRY(empty_range(*file, at, extent.length));
            } else if (options_.dry_run) {
                advance(extent.length);
            } else {
                batch_->want(file, extent, at);
                if (batch_->full()) TRY(flush());
            }
        }
        return {};
    };
    if (old_size != file->size) {
        auto ready = TRY(begin());
        if (!ready) return false;
        if (!options_.dry_run && ::ftruncate(file->fd.get(), static_cast<off_t>(file->size)) != 0) {
            TRY(refuse_file(*file, "set the size of", errno));
            return true;
        }
    }
    auto planned = fetch_.extents(content, visit, stop_);
    if (anew) return false;
    if (!planned) TRY(damaged_content(*file, std::move(planned.error())));
    if (options_.dry_run) {
        if (!differs && !file->damaged) ++result_.files_unchanged;
        return true;
    }
    if (writing || file->damaged) {
        batch_->planned(file);
        return true;
    }
    // The content is right. Metadata of a file with other names must not be changed for those.
    if (status.st_nlink > 1) {
        auto attributes = attributes_of(file->fd.get());
        MetadataComparison what{.owners = options_.set_owner, .times = true, .special_bits = options_.set_special_bits};
        auto differences = metadata_differences(file->entry, status, attributes.value_or(Attributes{}), what);
        if (!differences.empty()) {
            file->fd.reset();
            file->existed = false;
            return false;
        }
    }
    bool changed = metadata_.apply(file->fd.get(), file->entry, file->path);
    if (!changed) ++result_.files_unchanged;
    file->fd.reset();
    file->whole = true;
    return true;
}

// Makes the open file one that can be written without harm, private until it is whole. False when only
// a new one will do.
Result<bool> TreeRestore::begin_writing(RestoreFile& file, struct stat const& live) {
    auto give_up = [&] {
        file.fd.reset();
        file.existed = false;
        return false;
    };
    // Its other names may lie outside of the target, or be other files in the point.
    if (live.st_nlink > 1) return give_up();
    if ((live.st_mode & 07777) != 0600) (void)::fchmod(file.fd.get(), 0600);
    auto directory = TRY(target_->fd(*file.directory));
    auto fd = open_beneath(directory->get(), file.entry.name.c_str(), O_RDWR | O_NONBLOCK);
    struct stat status;
    if (!fd || ::fstat(fd->get(), &status) != 0 || status.st_ino != live.st_ino || status.st_dev != live.st_dev) {
        return give_up();
    }
    // The descriptor keeps its number: the comparison goes on with it.
    if (::dup3(fd->get(), file.fd.get(), O_CLOEXEC) < 0) return give_up();
    return true;
}

// A hole where the file has bytes.
Result<void> TreeRestore::empty_range(RestoreFile& file, std::uint64_t offset, std::uint64_t length) {
    struct stat status;
    if (::fstat(file.fd.get(), &status) != 0) return refuse_file(file, "write", errno);
    auto size = static_cast<std::uint64_t>(status.st_size);
    if (offset >= size) return {};
    length = std::min(length, size - offset);
    if (::fallocate(file.fd.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                    static_cast<off_t>(length)) == 0) {
        return {};
    }
    if (errno != EOPNOTSUPP && errno != ENOSYS) return refuse_file(file, "write", errno);
    // A file system without holes: zeros read the same.
    Bytes zeros(std::min<std::uint64_t>(length, 1u << 20));
    for (std::uint64_t done = 0; done < length;) {
        auto part = std::min<std::uint64_t>(zeros.size(), length - done);
        auto size_written = ::pwrite(file.fd.get(), zeros.data(), part, static_cast<off_t>(offset + done));
        if (size_written < 0 && errno == EINTR) continue;
        if (size_written < 0) return refuse_file(file, "write", errno);
        done += static_cast<std::uint64_t>(size_written);
    }
    return {};
}

// Fetches and writes what was planned; then the further names of files that are whole by now; then the
// directories whose files are all there.
Result<void> TreeRestore::flush() {
    if (!batch_) return {};
    auto path = path_;
    auto written = [&](std::uint64_t bytes) { advance(bytes); };
    for (;;) {
        TRY(batch_->run(written, stop_));
        for (auto group : std::exchange(leaders_in_batch_, {})) {
            auto& leader = leaders_.at(group);
            // A large file may be planned still, across batches.
            if (leader.file && !leader.file->planned) {
                leaders_in_batch_.push_back(group);
                continue;
            }
            leader.whole = leader.file && leader.file->whole;
            leader.file.reset();
        }
        if (followers_.empty()) break;
        std::vector<Follower> waiting;
        bool progress = false;
        for (auto& follower : std::exchange(followers_, {})) {
            if (leaders_.at(follower.entry.link_group).file) {
                waiting.push_back(std::move(follower));
                continue;
            }
            TRY(link(follower));
            progress = true;
        }
        for (auto& follower : waiting) followers_.push_back(std::move(follower));
        if (!progress) break;
    }
    if (followers_.empty()) {
        for (auto& finished : std::exchange(finished_, {})) {
            auto fd = TRY(target_->fd(*finished.directory));
            metadata_.apply(fd->get(), finished.entry, finished.path);
        }
    }
    path_ = std::move(path);
    return {};
}

// Says what is missing. An estimate by sizes: nothing is read again.
Error TreeRestore::explain_no_space(Error error, Content const& root, std::string_view path,
                                    std::filesystem::path const& target) {
    auto top = target_->fd(*target_->top());
    if (!top) return error;
    std::uint64_t needed = 0;
    TreeReader::Visit visit = [&](std::string const& name, Entry const& entry) -> Result<bool> {
        if (entry.type != EntryType::file) return true;
        std::uint64_t bytes = entry.content.depth > 0 ? entry.content.size : 0;
        for (auto const& extent : entry.content.extents) {
            if (extent.chunk && entry.content.depth == 0) bytes += extent.length;
        }
        struct stat live;
        auto full = name.empty() ? entry.name : name;
        if (::fstatat((*top)->get(), full.c_str(), &live, AT_SYMLINK_NOFOLLOW) == 0) {
            auto there = static_cast<std::uint64_t>(live.st_blocks) * 512;
            bytes -= std::min(bytes, there);
        }
        needed += bytes;
        return true;
    };
    auto skip = [](std::string const&, Error const&) -> Result<void> { return {}; };
    auto walked = TreeReader(fetch_, root).walk(path, visit, skip, stop_);
    struct statvfs room;
    if (!walked || ::statvfs(target.c_str(), &room) != 0) return error;
    auto free = static_cast<std::uint64_t>(room.f_bavail) * room.f_frsize;
    error.message += fmt::format(" ({} are still to be written, {} are free)", format_bytes(needed),
                                 format_bytes(free));
    error.hint = fmt::format("make room for at least {} more, then repeat the restore: it goes on where it was",
                             format_bytes(needed > free ? needed - free : needed));
    return error;
}

void TreeRestore::advance(std::uint64_t bytes) {
    std::lock_guard lock(result_mutex_);
    result_.bytes_written += bytes;
    report_.bytes += bytes;
    if (!progress_) return;
    report_.current = path_;
    report_.files = result_.files;
    progress_(report_);
}

}  // namespace

Result<RestoreResult> restore_tree(Fetch& fetch, Content const& root, std::string_view path,
                                   std::filesystem::path const& target, RestoreOptions const& options,
                                   ProgressCallback const& progress, std::stop_token stop) {
    TreeRestore restore(fetch, options, progress, std::move(stop));
    auto result = restore.run(root, path, target);
    if (!result && result.error().kind != ErrorKind::cancelled) {
        return std::move(result).within("restore to '" + printable(target.string()) + "'");
    }
    return result;
}

}  // namespace holdfast
