#include "archive/metadata.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/text.h"
#include "os/users.h"

namespace holdfast {
namespace {

std::string const kCapability = "security.capability";
constexpr std::string_view kAcl = "system.posix_acl_";
constexpr std::uint32_t kSetIds = 06000;

bool is_acl(std::string_view name) { return name.starts_with(kAcl); }

std::string owner_text(std::string const& name, std::uint32_t number) {
    return name.empty() ? std::to_string(number) : printable(name);
}

FileTime mtime_of(Entry const& entry) { return {entry.mtime_seconds, entry.mtime_nanoseconds}; }

}  // namespace

uid_t owner_here(Entry const& entry) {
    return entry.user.empty() ? entry.uid : user_by_name(entry.user).value_or(entry.uid);
}

gid_t group_here(Entry const& entry) {
    return entry.group.empty() ? entry.gid : group_by_name(entry.group).value_or(entry.gid);
}

bool manages_attribute(std::string_view name) {
    return name.starts_with("user.") || name.starts_with("trusted.") || is_acl(name) || name == kCapability;
}

std::vector<std::string> metadata_differences(Entry const& want, struct stat const& live,
                                              Attributes const& live_attributes,
                                              MetadataComparison const& what) {
    std::vector<std::string> differences;
    bool special = what.special_bits || want.type != EntryType::file;
    auto bits = special ? 07777u : 07777u & ~kSetIds;
    auto live_mode = live.st_mode & 07777;
    if (want.type != EntryType::symlink && (want.mode & bits) != (live_mode & bits)) {
        differences.push_back(fmt::format("mode {:04o} → {:04o}", want.mode, live_mode));
    }
    if (what.owners && owner_here(want) != live.st_uid) {
        differences.push_back(fmt::format("owner {} → {}", owner_text(want.user, want.uid),
                                          owner_text(user_name(live.st_uid).value_or(""), live.st_uid)));
    }
    if (what.owners && group_here(want) != live.st_gid) {
        differences.push_back(fmt::format("group {} → {}", owner_text(want.group, want.gid),
                                          owner_text(group_name(live.st_gid).value_or(""), live.st_gid)));
    }
    if (what.times && mtime_of(want) != stamp_of(live).mtime) differences.push_back("mtime");
    auto counts = [&](std::string const& name) {
        return manages_attribute(name) && (what.special_bits || name != kCapability);
    };
    for (auto const& [name, value] : want.xattrs) {
        auto at = live_attributes.find(name);
        if (!counts(name) || (at != live_attributes.end() && at->second == value)) continue;
        differences.push_back("attribute " + printable(name));
    }
    for (auto const& [name, value] : live_attributes) {
        if (counts(name) && !want.xattrs.contains(name)) differences.push_back("attribute " + printable(name));
    }
    return differences;
}

// The two ways to reach what is changed: the calls differ, what they do does not.
class MetadataSetter::Object {
  public:
    explicit Object(int fd) : fd_(fd) {}
    Object(int directory, std::string const& name)
        : directory_(directory), name_(name.c_str()), path_(proc_path(directory, name)) {}

    int status(struct stat& to) const {
        return by_fd() ? ::fstat(fd_, &to) : ::fstatat(directory_, name_, &to, AT_SYMLINK_NOFOLLOW);
    }
    int chown(uid_t uid, gid_t gid) const {
        return by_fd() ? ::fchown(fd_, uid, gid)
                       : ::fchownat(directory_, name_, uid, gid, AT_SYMLINK_NOFOLLOW);
    }
    int chmod(mode_t mode) const {
        return by_fd() ? ::fchmod(fd_, mode) : ::fchmodat(directory_, name_, mode, AT_SYMLINK_NOFOLLOW);
    }
    int set_mtime(FileTime const& time) const {
        timespec times[2] = {{0, UTIME_OMIT}, {static_cast<time_t>(time.seconds), time.nanoseconds}};
        return by_fd() ? ::futimens(fd_, times) : ::utimensat(directory_, name_, times, AT_SYMLINK_NOFOLLOW);
    }
    std::expected<Attributes, Errno> attributes() const {
        return by_fd() ? attributes_of(fd_) : attributes_at(directory_, name_);
    }
    int set_attribute(std::string const& name, Bytes const& value) const {
        return by_fd() ? ::fsetxattr(fd_, name.c_str(), value.data(), value.size(), 0)
                       : ::lsetxattr(path_.c_str(), name.c_str(), value.data(), value.size(), 0);
    }
    int remove_attribute(std::string const& name) const {
        return by_fd() ? ::fremovexattr(fd_, name.c_str()) : ::lremovexattr(path_.c_str(), name.c_str());
    }

  private:
    bool by_fd() const { return fd_ >= 0; }
    int fd_ = -1;
    int directory_ = -1;
    char const* name_ = nullptr;
    std::string path_;
};

bool MetadataSetter::apply(int fd, Entry const& entry, std::string const& path) {
    return apply_to(Object(fd), entry, path);
}

bool MetadataSetter::apply_at(int directory, std::string const& name, Entry const& entry,
                              std::string const& path) {
    return apply_to(Object(directory, name), entry, path);
}

// The order matters: a change of owner drops setuid and capabilities; user attributes need the right to
// write, which the final mode may take away; an ACL rewrites the mode; everything changes the ctime,
// nothing after it the mtime.
bool MetadataSetter::apply_to(Object const& object, Entry const& entry, std::string const& path) {
    struct stat live;
    if (object.status(live) != 0) {
        problems_.add(path, fmt::format("set its metadata: {}", std::strerror(errno)));
        return false;
    }
    bool changed = false;
    bool is_owner = set_owner(object, entry, live, changed, path);

    auto attributes = object.attributes();
    Attributes none;
    auto const& before = attributes ? *attributes : none;
    bool allowed = options_.set_special_bits && is_owner;
    auto mode = entry.mode;
    if (entry.type == EntryType::file && !allowed) {
        // What is in force already, on a file that was not written, stays.
        if (object.status(live) != 0 || !is_owner) live.st_mode = 0;
        auto in_force = live.st_mode & entry.mode & kSetIds;
        auto wanted = entry.xattrs.find(kCapability);
        auto has = before.find(kCapability);
        bool capable = wanted == entry.xattrs.end() ||
                       (is_owner && has != before.end() && has->second == wanted->second);
        if (in_force != (entry.mode & kSetIds) || !capable) special_.note(path);
        mode = (mode & ~kSetIds) | in_force;
    }
    set_attributes(object, entry, before, false, allowed, changed, path);
    // Twice: an ACL comes between, and setting one may drop the setgid bit.
    auto set_mode = [&] {
        if (entry.type == EntryType::symlink || object.status(live) != 0) return;
        if ((live.st_mode & 07777) == mode) return;
        changed = true;
        if (object.chmod(mode) == 0) return;
        problems_.add(path, fmt::format("set its mode {:04o}: {}", mode, std::strerror(errno)));
    };
    set_mode();
    set_attributes(object, entry, before, true, allowed, changed, path);
    set_mode();

    if (object.status(live) == 0 && stamp_of(live).mtime != mtime_of(entry)) {
        changed = true;
        if (object.set_mtime(mtime_of(entry)) != 0) {
            problems_.add(path, fmt::format("set its time: {}", std::strerror(errno)));
        } else if (object.status(live) == 0 && stamp_of(live).mtime != mtime_of(entry)) {
            times_.note(path);
        }
    }
    return changed;
}

// Whether it belongs to whom it should.
bool MetadataSetter::set_owner(Object const& object, Entry const& entry, struct stat const& live,
                               bool& changed, std::string const& path) {
    auto uid = owner_here(entry);
    auto gid = group_here(entry);
    if (live.st_uid == uid && live.st_gid == gid) return true;
    if (!options_.set_owner) return false;
    if (object.chown(uid, gid) == 0) {
        changed = true;
        return true;
    }
    auto error = errno;
    // Its group may still be one of ours.
    if (live.st_gid != gid && object.chown(static_cast<uid_t>(-1), gid) == 0) changed = true;
    problems_.add(path, fmt::format("set its owner {}:{}: {}", owner_text(entry.user, uid),
                                    owner_text(entry.group, gid), std::strerror(error)));
    return false;
}

void MetadataSetter::set_attributes(Object const& object, Entry const& entry, Attributes const& live,
                                    bool acls, bool capabilities, bool& changed, std::string const& path) {
    auto ours = [&](std::string const& name) {
        return is_acl(name) == acls && (capabilities || name != kCapability);
    };
    for (auto const& [name, value] : live) {
        // Capabilities that the point does not have are taken away in any case.
        auto at = entry.xattrs.find(name);
        bool wrong = name == kCapability && !capabilities && at != entry.xattrs.end() && at->second != value;
        bool foreign = manages_attribute(name) && (at == entry.xattrs.end() || wrong);
        if (!foreign || is_acl(name) != acls) continue;
        changed = true;
        if (object.remove_attribute(name) != 0 && errno != ENODATA) {
            problems_.add(path, fmt::format("remove its attribute {}: {}", printable(name), std::strerror(errno)));
        }
    }
    for (auto const& [name, value] : entry.xattrs) {
        auto at = live.find(name);
        if (!ours(name)) continue;
        if (at != live.end() && at->second == value) continue;
        auto failed = object.set_attribute(name, value);
        struct stat status;
        if (failed != 0 && errno == EACCES && object.status(status) == 0) {
            // Only who may write may set user attributes; the mode comes next.
            if (object.chmod((status.st_mode & 07777) | S_IRUSR | S_IWUSR) == 0) {
                failed = object.set_attribute(name, value);
            }
        }
        changed = true;
        if (failed != 0) {
            problems_.add(path, fmt::format("set its attribute {}: {}", printable(name), std::strerror(errno)));
        }
    }
}

void MetadataSetter::summarise() {
    if (special_.count > 0) {
        problems_.add(special_.first,
                      fmt::format("setuid, setgid or capabilities were left out ({} {}): they are set when "
                                  "asked for, and when the owner is right",
                                  special_.count, special_.count == 1 ? "file" : "files, this is the first"));
    }
    if (times_.count > 0) {
        problems_.add(times_.first,
                      fmt::format("the file system can't hold its time exactly ({} {})", times_.count,
                                  times_.count == 1 ? "time" : "times, this is the first"));
    }
}

}  // namespace holdfast
