#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "mount/chunk_cache.h"
#include "mount/file_map.h"
#include "mount/readahead.h"

namespace holdfast {

// A run of bytes, and what must live as long as it is looked at (nothing: zeros of a hole).
struct Piece {
    ChunkCache::Chunk chunk;
    ByteView bytes;
};

// A file of a point that somebody has opened. Thread-safe.
class OpenFile {
  public:
    // Shared: all who have the file open look into one map.
    OpenFile(std::shared_ptr<FileMap const> map, ChunkCache& cache);
    FileMap const& map() const { return *map_; }
    // The bytes of [offset, offset + size), as far as the file goes. Exact, or an error that names the
    // object: never a part.
    Result<std::vector<Piece>> read(std::uint64_t offset, std::uint64_t size, std::stop_token stop);

  private:
    void fetch_ahead(AheadRange const& range);

    std::shared_ptr<FileMap const> map_;
    ChunkCache& cache_;
    std::mutex mutex_;
    Readahead readahead_;
};

}  // namespace holdfast
