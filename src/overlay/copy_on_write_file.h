#pragma once

#include <functional>
#include <memory>
#include <shared_mutex>

#include "overlay/home_map.h"
#include "overlay/local_file.h"

namespace holdfast {

// A file of a recovery point that is read and written before it has come back. Thread-safe.
//
// What sync() has returned for survives the end of the process and of the power; what was written since may be there, or
// what the point has, block by block. Cutting the file off is durable by itself, since what lay behind must never return.
class CopyOnWriteFile {
  public:
    // Fills `to` with the point's bytes from `offset` on, exactly.
    using Lower = std::function<Result<void>(std::uint64_t offset, ByteSpan to)>;

    // `number`: of the file in the map, which outlives it. `state`: what the map has of it. The local file has the
    // file's size, and its bytes in the blocks that are home; elsewhere it is a hole.
    static Result<std::unique_ptr<CopyOnWriteFile>> open(std::uint32_t number, std::unique_ptr<LocalFile> local, HomeMap& map,
                                                         HomeState state, Lower lower);

    // As much as there is before the end; returns how much. `damaged` when the point's bytes can't be had: never a part
    // then.
    Result<std::size_t> read(std::uint64_t offset, ByteSpan to);
    Result<void> write(std::uint64_t offset, ByteView bytes);
    Result<void> truncate(std::uint64_t size);
    Result<void> allocate(std::uint64_t offset, std::uint64_t length, LocalFile::Growth growth);
    Result<void> sync();

    // The first run of at most `blocks_max` blocks from `from` on whose bytes are the point's; count 0: there is none.
    BlockRun next_missing(std::uint64_t from, std::uint64_t blocks_max) const;
    // How many such blocks there are.
    std::uint64_t missing() const;
    // Puts the point's bytes of [offset, offset + bytes.size()) where nobody has written meanwhile. `offset` is a block's
    // beginning; a block at the end of which a part is missing is passed over, unless the point's bytes end there.
    Result<void> bring(std::uint64_t offset, ByteView bytes);

  private:
    CopyOnWriteFile(std::uint32_t number, std::unique_ptr<LocalFile> local, HomeMap& map, HomeState state, Lower lower)
        : number_(number), local_(std::move(local)), map_(map), home_(std::move(state.home)), end_(state.end),
          lower_(std::move(lower)) {}
    // With the lock held.
    bool is_missing(std::uint64_t block) const;
    Result<void> make_home(std::uint64_t block);
    // `bytes` are the point's, up to its end.
    Result<void> put_home(BlockRun const& run, ByteView bytes);
    void note_home(BlockRun const& run);

    std::uint32_t const number_;
    std::unique_ptr<LocalFile> const local_;
    HomeMap& map_;
    std::mutex syncing_;  // who comes second must not return before the first one's blocks are in the map
    mutable std::shared_mutex mutex_;
    BlockSet home_;
    std::uint64_t end_;   // from here on nothing is the point's
    Lower const lower_;
    std::vector<BlockRun> unstated_;  // home, and not in the map
    bool failed_ = false;
};

}  // namespace holdfast
