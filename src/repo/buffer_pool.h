#pragma once

#include <mutex>
#include <vector>

#include "base/bytes.h"

namespace holdfast {

// Buffers that are used again: fresh memory costs more than anything that is done with it here (each
// page is faulted in and zeroed). Thread-safe.
class BufferPool {
  public:
    // Keeps at most `bytes_max` of capacity for later.
    explicit BufferPool(std::size_t bytes_max) : bytes_max_(bytes_max) {}

    // A buffer with room for `capacity` bytes at least. Its size and content are anything.
    Bytes take(std::size_t capacity);
    void give(Bytes buffer);

  private:
    std::size_t const bytes_max_;
    std::mutex mutex_;
    std::vector<Bytes> buffers_;  // by capacity, ascending
    std::size_t bytes_ = 0;
};

}  // namespace holdfast
