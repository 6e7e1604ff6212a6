#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "archive/compare.h"
#include "archive/metadata.h"
#include "archive/restore.h"
#include "archive/target.h"

namespace holdfast {

// What a point needs and the store has no more is damage, not something that the user named wrongly.
inline Error as_damage(Error error) {
    if (error.kind == ErrorKind::not_found) error.kind = ErrorKind::damaged;
    return error;
}

// A file that is being made what the point says. It is 0600 until it is whole.
struct RestoreFile {
    Entry entry;  // without its content
    std::uint64_t size = 0;
    TargetDirectoryPointer directory;
    std::string path;        // below the restored root, for people
    Fd fd;                   // nothing: made when its only chunk arrives
    bool existed = false;    // blocks that are there already are not written again
    std::atomic<std::uint32_t> left = 1;  // chunks that are awaited, and one while it is planned
    std::atomic<bool> damaged = false;    // a chunk of it can't be had
    std::atomic<bool> failed = false;     // it could not be written; the problem is named
    bool planned = false;    // nothing more will be wanted for it
    bool whole = false;      // after the batch: it is what it should be, with its metadata
    std::mutex mutex;        // of the opening
};
using RestoreFilePointer = std::shared_ptr<RestoreFile>;

// Chunks that many files wait for, fetched at once, and written from the fetch's threads as they come.
class RestoreBatch {
  public:
    RestoreBatch(Fetch& fetch, Target& target, MetadataSetter& metadata, ProblemList& problems,
                 RestoreResult& result, std::mutex& result_mutex, RestoreOptions const& options)
        : fetch_(fetch), target_(target), metadata_(metadata), problems_(problems), result_(result),
          result_mutex_(result_mutex), options_(options) {}

    // `length` bytes from `chunk_offset` of a chunk go to `offset` of the file.
    void want(RestoreFilePointer const& file, Extent const& extent, std::uint64_t offset);
    // Nothing more will be wanted for the file: it gets its metadata when all has come. The batch holds
    // the file until it is run.
    void planned(RestoreFilePointer const& file);
    // Enough for one fetch.
    bool full() const;
    // Fetches and writes what is wanted; after it, all planned files are done, one way or another.
    // no_space, cancelled and what no repetition mends are errors; damaged chunks are, too, unless they
    // are to be skipped. `on_bytes` hears what was written.
    Result<void> run(std::function<void(std::uint64_t)> const& on_bytes, std::stop_token stop);

  private:
    static constexpr std::uint32_t kNone = UINT32_MAX;
    struct Destination {
        RestoreFilePointer file;
        std::uint64_t offset;
        std::uint64_t length;
        std::uint32_t chunk_offset;
        std::uint32_t next;  // of the same chunk
    };

    Result<void> deliver(std::size_t index, Result<ByteView> const& bytes,
                         std::function<void(std::uint64_t)> const& on_bytes);
    Result<void> write(Destination const& to, ByteView bytes, std::function<void(std::uint64_t)> const& on_bytes);
    Result<bool> open(RestoreFile& file);
    void settle(RestoreFile& file);
    Result<void> refuse(RestoreFile& file, Errno error, std::string_view what);

    Fetch& fetch_;
    Target& target_;
    MetadataSetter& metadata_;
    ProblemList& problems_;
    RestoreResult& result_;
    std::mutex& result_mutex_;
    RestoreOptions const& options_;

    std::vector<ChunkId> wants_;
    std::vector<std::uint32_t> first_;  // destination of each want
    std::vector<Destination> destinations_;
    std::unordered_map<ChunkId, std::uint32_t> index_;
    std::vector<RestoreFilePointer> files_;
    std::size_t open_ = 0;
};

}  // namespace holdfast
