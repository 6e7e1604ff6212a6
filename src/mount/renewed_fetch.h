#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "os/clock.h"
#include "repo/fetch.h"

namespace holdfast {

// A way out that lives for days. Garbage collection may pack chunks again and delete the packs that we
// know, and new points hold chunks that we do not know: what is not found is looked for once more with an
// index that was read anew. Thread-safe, as every Fetch.
class RenewedFetch : public Fetch {
  public:
    using Open = std::function<Result<std::unique_ptr<Fetch>>(std::stop_token)>;
    static Result<std::unique_ptr<RenewedFetch>> open(Open open, Clock& clock, std::stop_token stop);

    Result<void> chunks(std::span<ChunkId const> wants, Sink const& sink, std::stop_token stop) override;
    Result<Bytes> chunk(ChunkId const& id, std::stop_token stop) override;
    Result<void> extents(Content const& content,
                         std::function<Result<void>(std::span<Extent const>)> const& visit,
                         std::stop_token stop) override;
    Result<Bytes> content(Content const& content, std::uint64_t size_max, std::stop_token stop) override;
    std::vector<PackId> locations(ChunkId const& id) const override;
    ChunkId id_of(ByteView bytes) const override;

  private:
    RenewedFetch(Open open, Clock& clock) : open_(std::move(open)), clock_(clock) {}
    // Shared: whoever reads through the old one keeps it until he is done.
    std::shared_ptr<Fetch> current() const;
    // A newer one than `old`; nullptr when there is none to be had now.
    std::shared_ptr<Fetch> newer_than(std::shared_ptr<Fetch> const& old, std::stop_token stop);

    Open const open_;
    Clock& clock_;
    mutable std::mutex mutex_;
    std::mutex renewing_;  // one reads the index, the others wait for it
    std::shared_ptr<Fetch> fetch_;
    Duration renewed_{};
};

}  // namespace holdfast
