#pragma once

#include <functional>
#include <span>
#include <stop_token>

#include "repo/content.h"

namespace holdfast {

struct FetchLimits {
    std::size_t in_flight_bytes = 96u << 20;  // sealed and raw bytes between store and sink
};

// The way out: chunk ids → plan by pack → ranged reads → open → decode → recompute the chunk id → sink.
// Needs a reader's key.
class Fetch {
  public:
    // Receives the bytes of wants[index], or why they can't be had. Called from several threads at
    // once, in the order of packs, exactly once for each index. An error that it returns ends the
    // fetch and is returned by it.
    using Sink = std::function<Result<void>(std::size_t index, Result<ByteView> const& bytes)>;

    virtual ~Fetch() = default;
    // Every location of a chunk is tried before the sink hears `damaged` or `not_found` about it.
    // Must not be called from an executor's task.
    virtual Result<void> chunks(std::span<ChunkId const> wants, Sink const& sink, std::stop_token stop) = 0;
    // One chunk, through a small cache of frames: for trees, `ls`, `cat`.
    virtual Result<Bytes> chunk(ChunkId const& id, std::stop_token stop) = 0;
    // The extents of a content at depth 0, in order, its lists fetched on the way: `visit` gets
    // runs of them (at most some thousands at once), so memory stays bounded for any file.
    virtual Result<void> extents(Content const& content,
                                 std::function<Result<void>(std::span<Extent const>)> const& visit,
                                 std::stop_token stop) = 0;
    // The whole content, for small ones: `damaged` when it is larger than `size_max`.
    virtual Result<Bytes> content(Content const& content, std::uint64_t size_max, std::stop_token stop) = 0;
    // Where a chunk lies: for messages ("pack 3f2a…") and for verify. Empty when nowhere.
    virtual std::vector<PackId> locations(ChunkId const& id) const = 0;
    // The id that these bytes have here: restore compares what is on disk before it fetches.
    virtual ChunkId id_of(ByteView bytes) const = 0;
};

}  // namespace holdfast
