#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"

namespace holdfast::postgres {

// What lies at a path where a data directory (or a tablespace) shall go.
struct DirectoryState {
    enum class Kind {
        missing,
        empty,
        interrupted_restore,  // ours, not finished: its mark is there
        occupied,             // anything else, files included
    };
    Kind kind = Kind::missing;
    std::string mark;             // of an interrupted restore: which point it brings
    std::optional<pid_t> server;  // a postmaster that runs in it
};
Result<DirectoryState> inspect_directory(std::filesystem::path const& path);

// The file that marks a directory whose restore is not finished. The first thing that a restore writes
// and the last that it removes.
inline constexpr std::string_view kRestoreMark = ".holdfast-restore";
Result<void> set_restore_mark(std::filesystem::path const& directory, std::string_view mark);
Result<void> remove_restore_mark(std::filesystem::path const& directory);

}  // namespace holdfast::postgres
