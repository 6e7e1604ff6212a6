#include "repo/buffer_pool.h"

#include <algorithm>

namespace holdfast {
namespace {

// Capacities are multiples of it, so that buffers of about the same use fit each other.
constexpr std::size_t kStep = 256u << 10;

bool less(Bytes const& buffer, std::size_t capacity) { return buffer.capacity() < capacity; }

}  // namespace

Bytes BufferPool::take(std::size_t capacity) {
    {
        std::lock_guard lock(mutex_);
        auto fit = std::lower_bound(buffers_.begin(), buffers_.end(), capacity, less);
        // A much larger one would be missed where it is needed.
        if (fit != buffers_.end() && fit->capacity() <= 2 * capacity + kStep) {
            auto buffer = std::move(*fit);
            buffers_.erase(fit);
            bytes_ -= buffer.capacity();
            return buffer;
        }
    }
    Bytes buffer;
    buffer.reserve((capacity + kStep) / kStep * kStep);
    return buffer;
}

void BufferPool::give(Bytes buffer) {
    if (buffer.capacity() < kStep) return;
    std::lock_guard lock(mutex_);
    bytes_ += buffer.capacity();
    auto capacity = buffer.capacity();
    buffers_.insert(std::lower_bound(buffers_.begin(), buffers_.end(), capacity, less), std::move(buffer));
    while (bytes_ > bytes_max_) {
        // The largest would be the hardest to use again.
        bytes_ -= buffers_.back().capacity();
        buffers_.pop_back();
    }
}

}  // namespace holdfast
