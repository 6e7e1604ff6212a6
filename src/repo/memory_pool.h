#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "base/bytes.h"

namespace holdfast {

// Memory that is not cleared first, aligned to a page.
class Memory {
  public:
    explicit Memory(std::size_t size);
    Memory(Memory const&) = delete;
    Memory& operator=(Memory const&) = delete;
    ~Memory();
    ByteSpan span() { return {data_, size_}; }
    ByteView view() const { return {data_, size_}; }
    std::size_t size() const { return size_; }

  private:
    std::uint8_t* data_;
    std::size_t size_;
};

// A run of bytes, and the memory that must live as long.
struct Slice {
    std::shared_ptr<Memory const> memory;
    ByteView bytes;
};

// Memory that is used again: fresh memory costs more than anything that is done with it here (each
// page is faulted in and zeroed). Thread-safe.
class MemoryPool {
  public:
    // Keeps at most `bytes_max` for later.
    explicit MemoryPool(std::size_t bytes_max);
    // Comes back by itself when its last owner lets go, be it after the pool's own end. Its content is
    // anything.
    std::shared_ptr<Memory> take(std::size_t size);

  private:
    struct Kept {
        explicit Kept(std::size_t max) : bytes_max(max) {}
        std::size_t const bytes_max;
        std::mutex mutex;
        std::size_t bytes = 0;
        std::map<std::size_t, std::vector<std::unique_ptr<Memory>>> by_size;
    };
    std::shared_ptr<Kept> kept_;
};

}  // namespace holdfast
