#pragma once

#include <condition_variable>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "repo/fetch.h"

namespace holdfast {

// Chunks in memory, the most recently used ones, and a thread that fetches ahead of readers. Thread-safe.
// Chunks that somebody still holds count until he lets go of them only while they are in the cache.
class ChunkCache {
  public:
    // Shared: a chunk that is being copied to the kernel outlives its place in the cache.
    using Chunk = std::shared_ptr<Bytes const>;

    // Holds at most `bytes_max`, and in any case one chunk. `fetch` outlives it.
    ChunkCache(Fetch& fetch, std::size_t bytes_max);
    ~ChunkCache();
    ChunkCache(ChunkCache const&) = delete;
    ChunkCache& operator=(ChunkCache const&) = delete;

    // The chunk, whole and checked against its id. Waits for one that is being fetched ahead.
    Result<Chunk> get(ChunkId const& id, std::stop_token stop);
    // Asks for chunks that will be wanted soon, in this order. Returns at once. What can't be had is not
    // reported here but to the one who needs it; asked for in excess, the rest is left out.
    void ahead(std::span<ChunkId const> ids);

    std::size_t bytes_max() const { return bytes_max_; }

  private:
    struct Slot {
        Chunk chunk;  // none yet: on its way
        std::list<ChunkId>::iterator place;  // in used_, when it has a chunk
    };
    void keep(ChunkId const& id, Chunk chunk);  // with the lock held
    void fetch_ahead(std::stop_token stop);
    void fetch_batch(std::vector<ChunkId> const& batch, std::stop_token stop);

    Fetch& fetch_;
    std::size_t const bytes_max_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::unordered_map<ChunkId, Slot> slots_;
    std::list<ChunkId> used_;  // most recently used first
    std::size_t bytes_ = 0;
    std::deque<std::vector<ChunkId>> batches_;
    std::vector<std::jthread> threads_;  // last: joined first
};

}  // namespace holdfast
