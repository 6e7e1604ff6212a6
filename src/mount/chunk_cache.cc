#include "mount/chunk_cache.h"

namespace holdfast {
namespace {

// Batches that wait: a few readers' worth. More would come too late to be of use.
constexpr std::size_t kBatchesMax = 16;
// Two, so that the store answers one batch while another is decoded.
constexpr std::size_t kFetchThreads = 2;

}  // namespace

ChunkCache::ChunkCache(Fetch& fetch, std::size_t bytes_max) : fetch_(fetch), bytes_max_(bytes_max) {
    for (std::size_t i = 0; i < kFetchThreads; ++i) {
        threads_.emplace_back([this](std::stop_token stop) { fetch_ahead(stop); });
    }
}

ChunkCache::~ChunkCache() {
    for (auto& thread : threads_) thread.request_stop();
    threads_.clear();
}

Result<ChunkCache::Chunk> ChunkCache::get(ChunkId const& id, std::stop_token stop) {
    {
        std::unique_lock lock(mutex_);
        for (;;) {
            auto found = slots_.find(id);
            if (found == slots_.end()) break;
            if (found->second.chunk) {
                used_.splice(used_.begin(), used_, found->second.place);
                return found->second.chunk;
            }
            // On its way; the slot goes when it can't be had, and then we ask ourselves.
            if (!changed_.wait(lock, stop, [&] {
                    auto now = slots_.find(id);
                    return now == slots_.end() || now->second.chunk;
                })) {
                return fail(ErrorKind::cancelled, "stopped");
            }
        }
        slots_.try_emplace(id);  // others wait for us
    }
    auto bytes = fetch_.chunk(id, stop);
    std::lock_guard lock(mutex_);
    if (!bytes) {
        slots_.erase(id);
        changed_.notify_all();
        return fail(std::move(bytes.error()));
    }
    auto chunk = std::make_shared<Bytes const>(std::move(*bytes));
    keep(id, chunk);
    return chunk;
}

void ChunkCache::ahead(std::span<ChunkId const> ids) {
    std::lock_guard lock(mutex_);
    if (batches_.size() >= kBatchesMax) return;
    std::vector<ChunkId> batch;
    for (auto const& id : ids) {
        if (slots_.try_emplace(id).second) batch.push_back(id);
    }
    if (batch.empty()) return;
    batches_.push_back(std::move(batch));
    changed_.notify_all();
}

void ChunkCache::keep(ChunkId const& id, Chunk chunk) {
    auto& slot = slots_[id];
    if (slot.chunk) return;
    bytes_ += chunk->size();
    used_.push_front(id);
    slot = {std::move(chunk), used_.begin()};
    while (bytes_ > bytes_max_ && used_.size() > 1) {
        auto last = slots_.find(used_.back());
        bytes_ -= last->second.chunk->size();
        slots_.erase(last);
        used_.pop_back();
    }
    changed_.notify_all();
}

void ChunkCache::fetch_ahead(std::stop_token stop) {
    for (;;) {
        std::vector<ChunkId> batch;
        {
            std::unique_lock lock(mutex_);
            if (!changed_.wait(lock, stop, [&] { return !batches_.empty(); })) return;
            batch = std::move(batches_.front());
            batches_.pop_front();
        }
        fetch_batch(batch, stop);
    }
}

void ChunkCache::fetch_batch(std::vector<ChunkId> const& batch, std::stop_token stop) {
    auto sink = [&](std::size_t index, Result<ByteView> const& bytes) -> Result<void> {
        if (!bytes) return {};
        auto chunk = std::make_shared<Bytes const>(bytes->begin(), bytes->end());
        std::lock_guard lock(mutex_);
        keep(batch[index], std::move(chunk));
        return {};
    };
    // Failures are heard by those who need the chunk: they ask for it themselves.
    std::ignore = fetch_.chunks(batch, sink, stop);
    std::lock_guard lock(mutex_);
    for (auto const& id : batch) {
        auto found = slots_.find(id);
        if (found != slots_.end() && !found->second.chunk) slots_.erase(found);
    }
    changed_.notify_all();
}

}  // namespace holdfast
