#include "mount/renewed_fetch.h"

namespace holdfast {
namespace {

// What is really missing must not have the index read again for each who asks.
constexpr Duration kPause = std::chrono::seconds(2);

}  // namespace

Result<std::unique_ptr<RenewedFetch>> RenewedFetch::open(Open open, Clock& clock, std::stop_token stop) {
    auto first = TRY(open(stop));
    std::unique_ptr<RenewedFetch> made(new RenewedFetch(std::move(open), clock));
    made->fetch_ = std::move(first);
    made->renewed_ = clock.elapsed() - kPause;
    return made;
}

std::shared_ptr<Fetch> RenewedFetch::current() const {
    std::lock_guard lock(mutex_);
    return fetch_;
}

std::shared_ptr<Fetch> RenewedFetch::newer_than(std::shared_ptr<Fetch> const& old, std::stop_token stop) {
    std::lock_guard renewing(renewing_);
    if (auto now = current(); now != old) return now;
    if (clock_.elapsed() - renewed_ < kPause) return nullptr;
    auto fresh = open_(stop);
    renewed_ = clock_.elapsed();
    if (!fresh) return nullptr;
    std::lock_guard lock(mutex_);
    fetch_ = std::move(*fresh);
    return fetch_;
}

// Ahead of a reader only: what is not found here is asked for by chunk(), too.
Result<void> RenewedFetch::chunks(std::span<ChunkId const> wants, Sink const& sink, std::stop_token stop) {
    return current()->chunks(wants, sink, stop);
}

Result<Bytes> RenewedFetch::chunk(ChunkId const& id, std::stop_token stop) {
    auto fetch = current();
    auto bytes = fetch->chunk(id, stop);
    if (bytes || bytes.error().kind == ErrorKind::cancelled) return bytes;
    auto fresh = newer_than(fetch, stop);
    return fresh ? fresh->chunk(id, stop) : std::move(bytes);
}

Result<void> RenewedFetch::extents(Content const& content,
                                   std::function<Result<void>(std::span<Extent const>)> const& visit,
                                   std::stop_token stop) {
    bool visited = false;
    auto fetch = current();
    auto done = fetch->extents(
        content,
        [&](std::span<Extent const> run) {
            visited = true;
            return visit(run);
        },
        stop);
    // What was handed over can't be taken back.
    if (done || visited || done.error().kind == ErrorKind::cancelled) return done;
    auto fresh = newer_than(fetch, stop);
    return fresh ? fresh->extents(content, visit, stop) : std::move(done);
}

Result<Bytes> RenewedFetch::content(Content const& content, std::uint64_t size_max, std::stop_token stop) {
    auto fetch = current();
    auto bytes = fetch->content(content, size_max, stop);
    if (bytes || bytes.error().kind == ErrorKind::cancelled) return bytes;
    auto fresh = newer_than(fetch, stop);
    return fresh ? fresh->content(content, size_max, stop) : std::move(bytes);
}

std::vector<PackId> RenewedFetch::locations(ChunkId const& id) const { return current()->locations(id); }

ChunkId RenewedFetch::id_of(ByteView bytes) const { return current()->id_of(bytes); }

}  // namespace holdfast
