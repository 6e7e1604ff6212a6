#pragma once

#include <filesystem>
#include <vector>

#include "archive/progress.h"
#include "archive/tree.h"
#include "repo/repository.h"

namespace holdfast {

struct BackUpOptions {
    std::vector<std::string> paths;    // absolute; one: the root is its content; several: the root is "/"
    std::vector<std::string> exclude;  // globs: with '/' against the absolute path, without against the name
    bool one_file_system = false;
    // Paths that must not be captured (the repository itself, our state): a path that lies inside
    // `paths` and is not excluded is refused as unsafe before anything is read.
    std::vector<std::string> forbidden;
    // Cuts for one file (tensors), asked when it is opened; nothing: content-defined.
    std::function<Layout(std::string const& path, int fd)> layout;
};

struct BackUpResult {
    Content tree;
    std::string root;
    std::uint64_t files = 0, directories = 0, bytes = 0;
    std::uint64_t unchanged = 0;  // files taken over unread
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
