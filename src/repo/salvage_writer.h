#pragma once

#include <array>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "repo/pack.h"
#include "repo/repository.h"

namespace holdfast {

// Stores chunks that were brought out of a damaged place again: new packs, then the segment that names them.
// What it is given has been checked against its ids. One thread.
class SalvageWriter {
  public:
    SalvageWriter(Repository& repository, std::stop_token stop) : repository_(repository), stop_(std::move(stop)) {}

    // Takes `raw`, the chunks behind each other; one frame of them. Sealed to the newest epoch of the key pair.
    Result<void> add(std::string const& pair, ChunkKind kind, ByteView raw, std::vector<PackChunk> chunks);
    bool has(std::string const& pair, ChunkId const& id) const {
        return chunks_.contains(in_pair(id, pair_mark(pair)));
    }
    // Stores what is pending. Returns the packs since the last call: they are durable, and named.
    Result<std::vector<PackSummary>> flush();
    std::size_t chunks() const { return chunks_.size(); }

  private:
    static constexpr std::size_t kLanes = 2;  // content; trees and extent lists
    Result<void> close(std::unique_ptr<PackBuilder>& builder);

    Repository& repository_;
    std::stop_token const stop_;
    std::map<std::string, std::array<std::unique_ptr<PackBuilder>, kLanes>> open_;  // by the pair
    std::vector<PackSummary> stored_;  // and not named yet
    std::set<ChunkId> chunks_;  // in_pair()
    Bytes scratch_;
};

}  // namespace holdfast
