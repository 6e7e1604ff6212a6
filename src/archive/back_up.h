#pragma once

#include <functional>
#include <string>
#include <vector>

#include "archive/change_profile.h"
#include "archive/progress.h"
#include "archive/tree.h"
#include "repo/repository.h"

namespace holdfast {

struct BackUpOptions {
    // Absolute. One directory: the root is its content (a symlink to it is followed). One file: the root
    // is the directory that holds it, incomplete. Several: the root is "/", with the directories on the
    // way to them, incomplete, by their real paths.
    std::vector<std::string> paths = {};
    // Globs: without '/' against names, from '/' against absolute paths, with '/' inside against the ends
    // of paths. What `paths` names is taken in any case.
    std::vector<std::string> exclude = {};
    // A directory on which another file system is mounted is kept without its content. File systems of
    // the kernel (proc, sysfs, cgroup …) are so in any case, unless `paths` names them.
    bool one_file_system = false;
    // Paths that must not be captured (the repository itself): one that lies inside `paths` and is
    // not excluded, or around them, is refused as unsafe before anything is read. This client's own
    // cache (world().cache) needs no mention: it is passed over.
    std::vector<std::string> forbidden = {};
    // Cuts for one file (tensors), asked when it is opened; nothing: content-defined.
    std::function<Layout(std::string const& path, int fd)> layout = {};
};

struct BackUpResult {
    Content tree;
    std::string root;
    std::uint64_t files = 0, directories = 0, bytes = 0;
    std::uint64_t unchanged = 0;  // files taken over unread
    std::uint64_t vanished = 0;   // names that were gone when their turn came: no problem
    std::uint64_t excluded = 0;   // names that a pattern excluded (what lies below is not counted)
    ChangeProfile changes;        // against the last capture
    std::vector<Problem> problems;  // at most 1,000 are kept; `problem_count` counts all
    std::uint64_t problem_count = 0;
};

// Sees each regular file after it was captured (read or taken over unchanged).
using BackUpObserver = std::function<void(std::string const& absolute_path, Entry const& entry)>;

// Captures trees into the repository. Files whose (inode, size, mtime, ctime) are those of the last
// capture (from this client's authenticated cache) are taken over unread. A file that changes, shrinks
// or grows while it is read is read again, and reported if it does not hold still. What can't be read
// is a problem, not an error. not_found when a path does not exist (all of them: an error; some: problems).
Result<BackUpResult> back_up_tree(Repository& repository, Ingest& ingest, std::string_view dataset,
                                  BackUpOptions const& options, ProgressCallback const& progress,
                                  BackUpObserver const& observe, std::stop_token stop);
// Makes the capture that was just published the one that the next run compares with. Call it after
// publish(); dropped captures leave the old cache as it is.
Result<void> commit_capture_cache(Repository& repository, std::string_view dataset);

}  // namespace holdfast
