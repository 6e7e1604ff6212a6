#pragma once

#include <string>
#include <sys/types.h>

#include "base/bytes.h"
#include "base/result.h"
#include "os/fd.h"

namespace holdfast {

// open(2), always close-on-exec, never a controlling terminal. `mode` when it creates.
Result<Fd> open_file(std::string const& path, int flags, mode_t mode = 0600);

// The whole file, when it has at most `size_max` bytes; `usage` when it has more. Works on pipes
// and files of /proc too, whose size is not known before.
Result<Bytes> read_file(std::string const& path, std::size_t size_max);

// Reads until `to` is full or the file ends; returns how much was read.
Result<std::size_t> pread_full(int fd, ByteSpan to, std::uint64_t offset);
inline Result<std::size_t> pread_full(Fd const& fd, ByteSpan to, std::uint64_t offset) {
    return pread_full(fd.get(), to, offset);
}
// Writes everything, however many calls it takes. On failure a part may be written.
Result<void> pwrite_full(Fd const& fd, ByteView bytes, std::uint64_t offset);
Result<void> write_full(Fd const& fd, ByteView bytes);

// Replaces the file or creates it. On success the new content survives power loss; on failure, and
// after a crash at any instant, `path` holds its old content or the whole new one. A temporary file
// beside it
// (".NAME.RANDOM.tmp") may stay behind after a crash, never after an error.
Result<void> write_file_durably(std::string const& path, ByteView bytes, mode_t mode);

// Makes names in the directory durable: what was created, renamed or removed there. File systems
// that cannot do this (EINVAL) keep their names on their own; that is no error.
Result<void> fsync_directory(std::string const& path);
Result<void> fsync_file(Fd const& fd, std::string const& path);

// "/a/b" of "/a/b/c"; "/" of "/a"; "." of "a".
std::string parent_directory(std::string const& path);

}  // namespace holdfast
