#pragma once

#include <map>
#include <string>
#include <sys/stat.h>
#include <vector>

#include "archive/entry.h"
#include "os/fd.h"

namespace holdfast {

// What the kernel says about names, as entries. All calls are relative to the descriptor of a
// directory, so that neither the length of a path nor a symlink in it matters.

// A moment of a file, exactly.
struct FileTime {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    auto operator<=>(FileTime const&) const = default;
};

// What changes when a file changes.
struct FileStamp {
    std::uint64_t inode = 0;
    std::uint64_t size = 0;
    FileTime mtime, ctime;
    bool operator==(FileStamp const&) const = default;
};
FileStamp stamp_of(struct stat const& status);

// `usage` for a type that POSIX does not know.
Result<EntryType> type_of(struct stat const& status);
mode_t type_bits(EntryType type);  // S_IFREG …
// Everything but the link target, attributes and content. Owners are named from the user database.
Result<Entry> entry_of(struct stat const& status, std::string name);

// Opens a directory to be read, or another file; never follows a symlink, never blocks on a FIFO, and
// leaves the access time alone where the system allows it. The error is errno.
using Errno = int;
std::expected<Fd, Errno> open_directory_at(int directory, char const* name);
// A directory that is only passed through: it need not be readable.
std::expected<Fd, Errno> open_waypoint_at(int directory, char const* name);
std::expected<Fd, Errno> open_file_at(int directory, char const* name);
// Names in the directory in the order of their bytes, without "." and "..".
std::expected<std::vector<std::string>, Errno> sorted_names(int directory);
std::expected<std::string, Errno> read_link_at(int directory, char const* name);

// All extended attributes. A file system without them has none.
using Attributes = std::map<std::string, Bytes>;
std::expected<Attributes, Errno> attributes_of(int fd);
// Of what `name` is itself, a symlink too.
std::expected<Attributes, Errno> attributes_at(int directory, std::string const& name);
// "/proc/self/fd/7/name": for calls that know no directory descriptors; nothing in it is followed
// but the kernel's own link.
std::string proc_path(int directory, std::string_view name);

// Reads exactly `bytes.size()` from `offset`, or as much as there is before the end.
std::expected<std::size_t, Errno> read_at(int fd, ByteSpan bytes, std::uint64_t offset);

}  // namespace holdfast
