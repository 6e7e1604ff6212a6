#pragma once

#include <stop_token>

#include "formats/random_access.h"
#include "repo/fetch.h"

namespace holdfast {

// Model files where they lie, for the readers in `formats`.

// An open file of this machine. It does not own the descriptor.
class FileAccess : public RandomAccess {
  public:
    static Result<FileAccess> open(int fd);
    std::uint64_t size() const override { return size_; }
    // `io` also when the file became shorter meanwhile.
    Result<void> read(std::uint64_t offset, ByteSpan bytes) const override;

  private:
    FileAccess(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
    int fd_;
    std::uint64_t size_;
};

// A file of a recovery point: its chunks are fetched where they are wanted, one of them is kept. `fetch` outlives
// it. For one thread.
class PointAccess : public RandomAccess {
  public:
    static Result<PointAccess> open(Fetch& fetch, Content const& content, std::stop_token stop);
    std::uint64_t size() const override { return size_; }
    Result<void> read(std::uint64_t offset, ByteSpan bytes) const override;

  private:
    struct Piece {
        std::uint64_t begin;  // in the file
        Extent extent;
    };
    PointAccess(Fetch& fetch, std::uint64_t size, std::stop_token stop) : fetch_(&fetch), size_(size), stop_(std::move(stop)) {}

    Fetch* fetch_;
    std::uint64_t size_;
    std::stop_token stop_;
    std::vector<Piece> pieces_;
    mutable std::optional<ChunkId> held_id_;
    mutable Bytes held_;
};

}  // namespace holdfast
