#pragma once

#include <filesystem>

#include "crypto/crypto.h"
#include "repo/ids.h"

namespace holdfast {

// Which key ring this machine has seen: nothing below it is believed again.
struct SeenRing {
    std::uint64_t n = 0;  // 0: none
    Hash32 hash{};        // of its object
    bool operator==(SeenRing const&) const = default;
};

// <state>/<repository id>/ring: "ring <n> <hash, hex>" and a line feed. Written durably, after the ring was
// read. With an empty state directory nothing is remembered.
class RingFile {
  public:
    RingFile(std::filesystem::path const& state, RepositoryId const& repository);

    // Nothing seen when there is no file yet; `damaged` when it is not what was written.
    Result<SeenRing> load() const;
    Result<void> save(SeenRing const& seen) const;

  private:
    std::filesystem::path path_;  // empty: nothing is remembered
};

}  // namespace holdfast
