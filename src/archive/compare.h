#pragma once

#include "archive/posix.h"
#include "repo/fetch.h"

namespace holdfast {

// Compares what lies on disk with extents of a point, without fetching.
class LiveFile {
  public:
    // `fd` is open for reading and stays the caller's.
    LiveFile(int fd, std::uint64_t size);

    enum class Match {
        same,
        allocation,  // the same bytes, but a hole where the point has data, or the other way round
        different,
        unknown,     // the extent is a part of a chunk: only its bytes can tell
    };
    // What can't be read is different. `offset` is where the extent lies in the file.
    Match match(Fetch const& fetch, Extent const& extent, std::uint64_t offset);

  private:
    Match match_hole(std::uint64_t offset, std::uint64_t end);
    int fd_;
    std::uint64_t size_;
    bool has_holes_;
    Bytes buffer_;
};

}  // namespace holdfast
