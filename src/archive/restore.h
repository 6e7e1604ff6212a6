#pragma once

#include <filesystem>
#include <functional>

#include "archive/progress.h"
#include "archive/tree.h"

namespace holdfast {

struct RestoreOptions {
    // Remove what is in the target and not in the point. Off: foreign names are left alone.
    bool delete_extra = false;
    bool set_owner = true;       // what can't be set is a problem, not an error
    bool set_special_bits = false;  // setuid, setgid on files; capabilities
    bool dry_run = false;        // report what would be written, touch nothing
    // Restore what is whole although parts are damaged; the rest is named in the problems.
    bool skip_damaged = false;
    // What was written survives power loss when the restore returns. Off for what is thrown away soon.
    bool durable = true;
    // Paths (below the restored root) that are not restored.
    std::function<bool(std::string const& path)> exclude = {};
};

struct RestoreResult {
    std::uint64_t files = 0, directories = 0;
    std::uint64_t bytes = 0;           // apparent size of what the point holds
    std::uint64_t bytes_written = 0;   // what differed
    std::uint64_t files_unchanged = 0;
    std::uint64_t deleted = 0;
    std::vector<Problem> problems;     // at most 1,000; problem_count counts all
    std::uint64_t problem_count = 0;
    std::vector<std::string> damaged;  // paths that could not be restored whole
};

// Makes `target` what the directory or file at `path` of the point is. Writes only what differs (blocks
// are compared by chunk id), so a repeated or interrupted restore goes on where it was. Never leaves
// `target`: all names are resolved beneath its descriptor, a symlink in a parent is refused. Data is
// durable when it returns (unless the options say otherwise). Times of directories are set last. A full
// disk is no_space and can be repeated after room is made. setuid, setgid and capabilities that are in
// force on an unchanged file stay; others are left out unless asked for, which is one problem.
Result<RestoreResult> restore_tree(Fetch& fetch, Content const& root, std::string_view path,
                                   std::filesystem::path const& target, RestoreOptions const& options,
                                   ProgressCallback const& progress, std::stop_token stop);

}  // namespace holdfast
