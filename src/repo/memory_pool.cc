#include "repo/memory_pool.h"

#include <sys/mman.h>

#include <new>

namespace holdfast {
namespace {

constexpr std::align_val_t kAlignment{4096};
constexpr std::align_val_t kHugeAlignment{2u << 20};

std::align_val_t alignment_of(std::size_t size) {
    return size >= static_cast<std::size_t>(kHugeAlignment) ? kHugeAlignment : kAlignment;
}

}  // namespace

Memory::Memory(std::size_t size)
    : data_(static_cast<std::uint8_t*>(::operator new(size, alignment_of(size)))), size_(size) {
    // One fault instead of 512; a kernel that has none goes on as ever.
    if (alignment_of(size) == kHugeAlignment) (void)::madvise(data_, size, MADV_HUGEPAGE);
}

Memory::~Memory() { ::operator delete(data_, alignment_of(size_)); }

MemoryPool::MemoryPool(std::size_t bytes_max) : kept_(std::make_shared<Kept>(bytes_max)) {}

std::shared_ptr<Memory> MemoryPool::take(std::size_t size) {
    std::unique_ptr<Memory> memory;
    {
        std::lock_guard lock(kept_->mutex);
        auto found = kept_->by_size.find(size);
        if (found != kept_->by_size.end() && !found->second.empty()) {
            // The one that came back last may still be in the processor's cache.
            memory = std::move(found->second.back());
            found->second.pop_back();
            kept_->bytes -= size;
        }
    }
    if (!memory) memory = std::make_unique<Memory>(size);
    return {memory.release(), [kept = std::weak_ptr(kept_)](Memory* used) {
                std::unique_ptr<Memory> back(used);
                auto pool = kept.lock();
                if (!pool) return;
                std::lock_guard lock(pool->mutex);
                if (pool->bytes + back->size() > pool->bytes_max) return;
                pool->bytes += back->size();
                pool->by_size[back->size()].push_back(std::move(back));
            }};
}

}  // namespace holdfast
