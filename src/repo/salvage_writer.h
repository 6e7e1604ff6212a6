#pragma once

#include <array>
#include <memory>
#include <set>
#include <vector>

#include "repo/pack.h"
#include "repo/repository.h"

namespace holdfast {

// Stores chunks that were brought out of a damaged place again: new packs, then the segment that names them.
// What it is given has been checked against its ids. One thread.
class SalvageWriter {
  public:
    SalvageWriter(Repository& repository, std::stop_token stop) : repository_(repository), stop_(std::move(stop)) {}

    // Takes `raw`, the chunks behind each other; one frame of them.
    Result<void> add(ChunkKind kind, ByteView raw, std::vector<PackChunk> chunks);
    bool has(ChunkId const& id) const { return chunks_.contains(id); }
    // Stores what is pending. Returns the packs since the last call: they are durable, and named.
    Result<std::vector<PackSummary>> flush();
    std::size_t chunks() const { return chunks_.size(); }

  private:
    static constexpr std::size_t kLanes = 2;  // content; trees and extent lists
    Result<void> close(std::unique_ptr<PackBuilder>& builder);

    Repository& repository_;
    std::stop_token const stop_;
    std::array<std::unique_ptr<PackBuilder>, kLanes> open_;
    std::vector<PackSummary> stored_;  // and not named yet
    std::set<ChunkId> chunks_;
    Bytes scratch_;
};

}  // namespace holdfast
