#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

namespace holdfast {

enum class FileKind { file, directory, other };

struct FileInfo {
    FileKind kind;
    std::uint64_t size;  // bytes, of a file
    Time modified;
};

struct DirectoryEntry {
    std::string name;
    FileKind kind;
};

// A new file that is being written from its beginning. Closed by its destructor, which makes
// nothing durable.
class NewFile {
  public:
    virtual ~NewFile() = default;
    // Appends some of `bytes`, at least one; returns how many. See write_all().
    virtual Result<std::size_t> write(ByteView bytes) = 0;
    // The content survives power loss, its name does not yet. After a failure nothing is known
    // about the content and it must be given up; repeating it proves nothing.
    virtual Result<void> sync() = 0;
};

class OldFile {
  public:
    virtual ~OldFile() = default;
    // Bytes.
    virtual Result<std::uint64_t> size() = 0;
    // Reads some bytes at `offset`, at least one; 0 at the end of the file. See read_full().
    virtual Result<std::size_t> read(std::uint64_t offset, ByteSpan to) = 0;
    // As NewFile::sync: another process may have written it.
    virtual Result<void> sync() = 0;
};

// What is needed to keep objects in a directory, call by call as the kernel offers it, so that a
// simulation can fail, cut short or lose each one. Thread-safe. Paths are absolute.
//
// Errors: not_found, exists, no_space, io. They name the path.
class FileSystem {
  public:
    virtual ~FileSystem() = default;

    // Creates a file that did not exist, for writing. `exists` otherwise.
    virtual Result<std::unique_ptr<NewFile>> create(std::string const& path, unsigned mode) = 0;
    // Opens a regular file for reading; not_found also when the path names something else.
    virtual Result<std::unique_ptr<OldFile>> open(std::string const& path) = 0;
    // Gives the file `from` the name `to`, in one instant and never in the place of another file
    // (`exists`). `from` may name it still: remove it afterwards. Not durable before
    // sync_directory(parent of `to`). not_found when `from` or the directory of `to` is missing.
    virtual Result<void> publish(std::string const& from, std::string const& to) = 0;
    // Gives the file `from` the name `to`, in one instant and in the place of whatever file has it. Not
    // durable before sync_directory(parent of `to`). not_found as publish().
    virtual Result<void> replace(std::string const& from, std::string const& to) = 0;
    // Removes a file.
    virtual Result<void> remove(std::string const& path) = 0;
    // Makes one directory. `exists` when the name is taken, by whatever.
    virtual Result<void> make_directory(std::string const& path, unsigned mode) = 0;
    // The names in the directory survive power loss.
    virtual Result<void> sync_directory(std::string const& path) = 0;
    // Everything in the directory but "." and "..", in no order. not_found also when it is a file.
    virtual Result<std::vector<DirectoryEntry>> list(std::string const& path) = 0;
    // Follows symbolic links.
    virtual Result<FileInfo> info(std::string const& path) = 0;
};

FileSystem& system_files();

// Writes everything, however many calls it takes.
Result<void> write_all(NewFile& file, ByteView bytes);
// Reads until `to` is full or the file ends; returns how much was read.
Result<std::size_t> read_full(OldFile& file, std::uint64_t offset, ByteSpan to);

}  // namespace holdfast
