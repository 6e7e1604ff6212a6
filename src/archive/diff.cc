#include "archive/diff.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <map>

#include "archive/compare.h"
#include "archive/metadata.h"
#include "archive/path_filter.h"
#include "archive/target.h"
#include "base/text.h"

namespace holdfast {
namespace {

using Change = Difference::Change;

std::string type_change(EntryType from, EntryType to) { return fmt::format("{} → {}", name(from), name(to)); }

std::string who(std::string const& name, std::uint32_t number) {
    return name.empty() ? std::to_string(number) : printable(name);
}

// What differs between two entries beside their content.
std::vector<std::string> entry_differences(Entry const& a, Entry const& b) {
    std::vector<std::string> all;
    if (a.mode != b.mode && a.type != EntryType::symlink) {
        all.push_back(fmt::format("mode {:04o} → {:04o}", a.mode, b.mode));
    }
    if (a.uid != b.uid || a.user != b.user) {
        all.push_back(fmt::format("owner {} → {}", who(a.user, a.uid), who(b.user, b.uid)));
    }
    if (a.gid != b.gid || a.group != b.group) {
        all.push_back(fmt::format("group {} → {}", who(a.group, a.gid), who(b.group, b.gid)));
    }
    if (a.mtime_seconds != b.mtime_seconds || a.mtime_nanoseconds != b.mtime_nanoseconds) all.push_back("mtime");
    if (a.device != b.device) all.push_back("device number");
    auto one_sided = [&](Entry const& x, Entry const& y) {
        for (auto const& [key, value] : x.xattrs) {
            auto at = y.xattrs.find(key);
            bool differs = at == y.xattrs.end() || (&x == &a && at->second != value);
            if (differs) all.push_back("attribute " + printable(key));
        }
    };
    one_sided(a, b);
    one_sided(b, a);
    return all;
}

// Tells what two entries of one name differ in, when they do.
Result<void> tell(Change change, std::string const& path, std::vector<std::string> const& details,
                  DifferenceVisit const& visit) {
    if (change == Change::metadata && details.empty()) return {};
    return visit({change, path, join(details, ", ")});
}

class TreeDiff {
  public:
    TreeDiff(Fetch& fetch, DifferenceVisit const& visit, std::stop_token stop)
        : fetch_(fetch), visit_(visit), stop_(std::move(stop)) {}

    Result<void> run(Content const& a, Content const& b) {
        if (a == b) return {};
        TRY(enter(&a, &b));
        if (levels_[0].sides[0]->self() && levels_[0].sides[1]->self()) {
            TRY(tell(Change::metadata, "",
                     entry_differences(*levels_[0].sides[0]->self(), *levels_[0].sides[1]->self()), visit_));
        }
        while (!levels_.empty()) TRY(step());
        return {};
    }

  private:
    // The same directory in both trees, or a directory of one of them.
    struct Level {
        std::optional<DirectoryReader> sides[2];
        std::optional<Entry> heads[2];
        std::size_t path_bytes;
    };

    Result<void> enter(Content const* a, Content const* b) {
        if (!levels_.empty()) path_ += '/';
        Level level{.sides = {}, .heads = {}, .path_bytes = path_.size()};
        Content const* contents[2] = {a, b};
        for (int side = 0; side < 2; ++side) {
            if (!contents[side]) continue;
            level.sides[side] = TRY(within(DirectoryReader::open(fetch_, *contents[side], stop_)));
            level.heads[side] = TRY(within(level.sides[side]->next(stop_)));
        }
        levels_.push_back(std::move(level));
        return {};
    }

    template <typename T>
    Result<T> within(Result<T> result) {
        return std::move(result).within("directory '" + printable(path_) + "'");
    }

    Result<void> step() {
        if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        auto& level = levels_.back();
        path_.resize(level.path_bytes);
        auto& [a, b] = level.heads;
        if (!a && !b) {
            levels_.pop_back();
            return {};
        }
        bool from_a = a && (!b || a->name <= b->name);
        bool from_b = b && (!a || b->name <= a->name);
        std::optional<Entry> one, two;
        if (from_a) one = std::exchange(a, std::nullopt);
        if (from_b) two = std::exchange(b, std::nullopt);
        if (from_a) a = TRY(within(level.sides[0]->next(stop_)));
        if (from_b) b = TRY(within(level.sides[1]->next(stop_)));
        path_ += one ? one->name : two->name;
        return compare(one ? &*one : nullptr, two ? &*two : nullptr);
    }

    Result<void> compare(Entry const* a, Entry const* b) {
        auto below = [](Entry const* entry) {
            return entry && entry->type == EntryType::directory ? &entry->content : nullptr;
        };
        if (!a || !b) {
            auto const* only = a ? a : b;
            TRY(visit_({a ? Change::removed : Change::added, path_, std::string(name(only->type))}));
        } else if (a->type != b->type) {
            TRY(visit_({Change::type, path_, type_change(a->type, b->type)}));
        } else {
            bool same = a->type == EntryType::directory || (a->content == b->content && a->target == b->target);
            TRY(tell(same ? Change::metadata : Change::content, path_, entry_differences(*a, *b), visit_));
            if (a->content == b->content) return {};
        }
        if (below(a) || below(b)) return enter(below(a), below(b));
        return {};
    }

    Fetch& fetch_;
    DifferenceVisit const& visit_;
    std::stop_token stop_;
    std::vector<Level> levels_;
    std::string path_;
};

class LiveDiff {
  public:
    LiveDiff(Fetch& fetch, std::filesystem::path const& live, CompareOptions const& options,
             DifferenceVisit const& visit, std::stop_token stop)
        : fetch_(fetch), options_(options), filter_(options.exclude), visit_(visit), stop_(std::move(stop)),
          base_(options.captured_root.empty() ? live.string() : options.captured_root) {
        while (base_.ends_with('/')) base_.pop_back();
        what_ = {.owners = options.owners, .times = options.times, .special_bits = options.special_bits};
    }

    Result<void> run(Content const& tree, std::filesystem::path const& live) {
        target_ = TRY(Target::open(live, {.create = false}));
        TRY(enter(&tree, target_->top()));
        if (auto const& self = levels_[0].reader->self()) {
            auto fd = TRY(target_->fd(*target_->top()));
            TRY(compare_metadata(*self, fd->get(), ".", Change::metadata, {}));
        }
        while (!levels_.empty()) TRY(step());
        return {};
    }

  private:
    // The same directory in the point and on disk, or one of both.
    struct Level {
        std::optional<DirectoryReader> reader;
        std::optional<Entry> head;
        TargetDirectoryPointer live;
        std::vector<std::string> names;
        std::size_t next = 0;
        std::vector<std::string> added;  // told when it is known that the point has all names
        bool told = false;
        std::size_t path_bytes;
    };

    Result<void> enter(Content const* content, TargetDirectoryPointer live) {
        if (!levels_.empty()) path_ += '/';
        Level level{.reader = {}, .head = {}, .live = std::move(live), .names = {}, .added = {}, .path_bytes = path_.size()};
        auto what = "directory '" + printable(path_) + "'";
        if (content) {
            level.reader = TRY(DirectoryReader::open(fetch_, *content, stop_).within(what));
            level.head = TRY(level.reader->next(stop_).within(what));
        }
        if (level.live) {
            auto fd = TRY(target_->fd(*level.live));
            auto names = sorted_names(fd->get());
            if (!names) return fail(errno_error("read the live " + what, names.error()));
            level.names = std::move(*names);
        }
        levels_.push_back(std::move(level));
        return {};
    }

    Result<void> step() {
        if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        auto& level = levels_.back();
        path_.resize(level.path_bytes);
        auto* name = level.next < level.names.size() ? &level.names[level.next] : nullptr;
        if (!level.head && !name) return leave();
        if (!level.head || (name && *name < level.head->name)) {
            if (level.told || !level.reader) return added(std::move(level.names[level.next++]));
            level.added.push_back(std::move(level.names[level.next++]));
            return {};
        }
        auto entry = std::move(*level.head);
        bool both = name && *name == entry.name;
        if (both) ++level.next;
        auto live = level.live;
        path_ += entry.name;
        level.head = TRY(level.reader->next(stop_).within("directory '" + printable(path_) + "'"));
        if (filter_.excludes(base_ + "/" + path_)) return {};
        return compare(entry, both ? live : nullptr);
    }

    // All names were seen. Only now it is known whether the others are additions.
    Result<void> leave() {
        auto& level = levels_.back();
        if (level.reader && !level.reader->incomplete() && !level.told && !level.added.empty()) {
            level.told = true;
            level.names = std::exchange(level.added, {});
            level.next = 0;
            return {};
        }
        levels_.pop_back();
        return {};
    }

    Result<void> added(std::string name) {
        auto live = levels_.back().live;
        path_ += name;
        if (filter_.excludes(base_ + "/" + path_)) return {};
        auto fd = TRY(target_->fd(*live));
        struct stat status;
        if (::fstatat(fd->get(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};  // gone again
        auto type = type_of(status);
        TRY(visit_({Change::added, path_, type ? std::string(holdfast::name(*type)) : std::string()}));
        if (!S_ISDIR(status.st_mode)) return {};
        auto below = target_->enter(live, name);
        return below ? enter(nullptr, std::move(*below)) : Result<void>();
    }

    Result<void> compare(Entry const& entry, TargetDirectoryPointer const& live) {
        struct stat status;
        bool there = false;
        std::shared_ptr<Fd const> fd;
        if (live) {
            fd = TRY(target_->fd(*live));
            there = ::fstatat(fd->get(), entry.name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
        }
        bool is_directory = entry.type == EntryType::directory;
        if (!there) {
            TRY(visit_({Change::removed, path_, std::string(name(entry.type))}));
            return is_directory ? enter(&entry.content, nullptr) : Result<void>();
        }
        if ((status.st_mode & S_IFMT) != type_bits(entry.type)) {
            auto type = type_of(status);
            TRY(visit_({Change::type, path_, type_change(entry.type, type.value_or(EntryType::file))}));
            if (is_directory) return enter(&entry.content, nullptr);
            if (!S_ISDIR(status.st_mode)) return {};
            auto below = target_->enter(live, entry.name);
            return below ? enter(nullptr, std::move(*below)) : Result<void>();
        }
        auto change = Change::metadata;
        std::vector<std::string> details;
        if (entry.type == EntryType::file) {
            auto same = TRY(same_content(entry, fd->get(), status, details));
            if (!same) change = Change::content;
        } else if (entry.type == EntryType::symlink) {
            auto target = read_link_at(fd->get(), entry.name.c_str());
            if (!target || *target != entry.target) change = Change::content;
        } else if (!is_directory && entry.device != status.st_rdev) {
            details.push_back("device number");
        }
        if (entry.link_group != 0) {
            auto [at, fresh] = links_.try_emplace(entry.link_group, status.st_dev, status.st_ino);
            if (!fresh && at->second != std::pair(status.st_dev, status.st_ino)) details.push_back("hard link");
        }
        TRY(compare_metadata(entry, fd->get(), entry.name, change, std::move(details)));
        if (!is_directory) return {};
        auto below = target_->enter(live, entry.name);
        if (below) return enter(&entry.content, std::move(*below));
        return visit_({Change::content, path_, fmt::format("can't be read: {}", std::strerror(below.error()))});
    }

    Result<void> compare_metadata(Entry const& entry, int directory, std::string const& name, Change change,
                                  std::vector<std::string> details) {
        struct stat status;
        if (::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};
        auto attributes = attributes_at(directory, name);
        auto more = metadata_differences(entry, status, attributes.value_or(Attributes{}), what_);
        details.insert(details.end(), more.begin(), more.end());
        return tell(change, path_, details, visit_);
    }

    Result<bool> same_content(Entry const& entry, int directory, struct stat const& status,
                              std::vector<std::string>& details) {
        auto size = static_cast<std::uint64_t>(status.st_size);
        if (size != entry.content.size) {
            details.push_back(fmt::format("size {} → {}", entry.content.size, size));
            return false;
        }
        auto fd = open_beneath(directory, entry.name.c_str(), O_RDONLY | O_NONBLOCK);
        if (!fd) {
            details.push_back(fmt::format("can't be read: {}", std::strerror(fd.error())));
            return false;
        }
        LiveFile live(fd->get(), size);
        std::uint64_t offset = 0;
        bool same = true;
        auto visit = [&](std::span<Extent const> extents) -> Result<void> {
            for (auto const& extent : extents) {
                if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
                if (!same) return {};
                same = TRY(same_extent(live, fd->get(), extent, offset));
                if (!same) details.push_back(fmt::format("from byte {} on", offset));
                offset += extent.length;
            }
            return {};
        };
        TRY(fetch_.extents(entry.content, visit, stop_).within("'" + printable(path_) + "'"));
        return same;
    }

    Result<bool> same_extent(LiveFile& live, int fd, Extent const& extent, std::uint64_t offset) {
        auto match = live.match(fetch_, extent, offset);
        if (match == LiveFile::Match::same || match == LiveFile::Match::allocation) return true;
        if (!extent.chunk) return false;
        Bytes bytes(extent.length);
        auto got = read_at(fd, bytes, offset);
        if (!got || *got != bytes.size()) return false;
        // Different, or only a part of a chunk.
        auto chunk = TRY(fetch_.chunk(*extent.chunk, stop_).within("'" + printable(path_) + "'"));
        if (extent.offset > chunk.size() || extent.length > chunk.size() - extent.offset) return false;
        return std::equal(bytes.begin(), bytes.end(), chunk.begin() + extent.offset);
    }

    Fetch& fetch_;
    CompareOptions const& options_;
    PathFilter filter_;
    DifferenceVisit const& visit_;
    std::stop_token stop_;
    std::string base_;
    MetadataComparison what_;
    std::unique_ptr<Target> target_;
    std::vector<Level> levels_;
    std::string path_;
    std::map<std::uint64_t, std::pair<dev_t, ino_t>> links_;
};

}  // namespace

std::string_view name(Difference::Change change) {
    switch (change) {
        case Change::added: return "added";
        case Change::removed: return "removed";
        case Change::content: return "content";
        case Change::metadata: return "metadata";
        case Change::type: return "type";
    }
    return "unknown";
}

Result<void> diff_trees(Fetch& fetch, Content const& a, Content const& b, DifferenceVisit const& visit,
                        std::stop_token stop) {
    return TreeDiff(fetch, visit, std::move(stop)).run(a, b);
}

Result<void> diff_live(Fetch& fetch, Content const& tree, std::filesystem::path const& live,
                       CompareOptions const& options, DifferenceVisit const& visit, std::stop_token stop) {
    return LiveDiff(fetch, live, options, visit, std::move(stop)).run(tree, live);
}

}  // namespace holdfast
