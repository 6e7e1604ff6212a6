#pragma once

#include <filesystem>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "archive/posix.h"

namespace holdfast {

// Opens `name` (one name, no path) in a directory by openat2(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS):
// never follows a symlink, never leaves the directory. `flags` as for open(2).
std::expected<Fd, Errno> open_beneath(int directory, char const* name, int flags, mode_t mode = 0);

// A directory that a restore writes into. It is found by its parent and name, and known by its
// identity, so that its descriptor can be given back and taken again.
struct TargetDirectory {
    std::shared_ptr<TargetDirectory> parent;  // nullptr: the top; shared: files of several batches are below
    std::string name;
    dev_t device = 0;
    ino_t inode = 0;

    std::string path() const;  // below the top, "" for it

  private:
    friend class Target;
    std::shared_ptr<Fd const> fd;  // shared with the thread that uses it while the cache lets go of it
    std::list<TargetDirectory*>::iterator recent;
    class Target* owner = nullptr;

  public:
    TargetDirectory() = default;
    TargetDirectory(TargetDirectory const&) = delete;
    ~TargetDirectory();
};
using TargetDirectoryPointer = std::shared_ptr<TargetDirectory>;

// The tree that a restore writes into. Everything is reached from the descriptor of its top, name by
// name; a bounded number of descriptors is open. Thread-safe.
class Target {
  public:
    // The directory at `path`, which may be reached through symlinks (it is the user's own word). With
    // `create`, makes what is missing, mode 0700. not_found when there is none; `usage` when it is
    // something else.
    struct OpenOptions {
        bool create = false;
    };
    static Result<std::unique_ptr<Target>> open(std::filesystem::path const& path, OpenOptions options);

    TargetDirectoryPointer const& top() const { return top_; }
    bool created() const { return created_; }

    // The descriptor, open as long as the pointer lives. `unsafe` when another directory (or a symlink)
    // has taken the place of this one.
    Result<std::shared_ptr<Fd const>> fd(TargetDirectory& directory);
    // The directory `name` in `parent`, which must exist. errno ELOOP or ENOTDIR when it is something
    // else.
    std::expected<TargetDirectoryPointer, Errno> enter(TargetDirectoryPointer const& parent,
                                                       std::string const& name);

    // All that was written to file systems seen by enter() and open() is durable when it returns.
    Result<void> sync();

  private:
    friend struct TargetDirectory;
    Target() = default;
    void keep(TargetDirectory& directory, std::shared_ptr<Fd const> fd);  // with the lock held

    std::filesystem::path path_;
    bool created_ = false;
    std::mutex mutex_;
    std::list<TargetDirectory*> recent_;  // directories with open descriptors, the last used first
    std::vector<std::pair<dev_t, Fd>> file_systems_;
    TargetDirectoryPointer top_;
};

// Removes `name` and all below it, without following symlinks and without going into what is mounted
// below `directory`, also when it is a directory of the same file system. The path in the error is
// below `name`.
Result<void> remove_tree(int directory, std::string const& name, std::uint64_t& removed);

}  // namespace holdfast
