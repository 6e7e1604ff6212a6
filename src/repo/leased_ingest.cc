#include "repo/leased_ingest.h"

namespace holdfast {
namespace {

class LeasedStream : public Ingest::Stream {
  public:
    LeasedStream(std::unique_ptr<Stream> stream, Lease& lease, std::stop_token stop)
        : stream_(std::move(stream)), lease_(lease), stop_(std::move(stop)) {}

    Result<void> append(ByteView bytes) override {
        TRY(lease_.renew_if_due(stop_));
        return stream_->append(bytes);
    }
    ByteSpan room() override { return stream_->room(); }
    Result<void> filled(std::size_t bytes) override {
        TRY(lease_.renew_if_due(stop_));
        return stream_->filled(bytes);
    }
    Result<void> hole(std::uint64_t length) override { return stream_->hole(length); }
    Result<Content> finish() override { return stream_->finish(); }
    std::span<ChunkId const> chunks() const override { return stream_->chunks(); }

  private:
    std::unique_ptr<Stream> stream_;
    Lease& lease_;
    std::stop_token stop_;
};

class LeasedIngest : public Ingest {
  public:
    LeasedIngest(std::unique_ptr<Ingest> ingest, std::unique_ptr<Lease> lease, std::stop_token stop)
        : lease_(std::move(lease)), ingest_(std::move(ingest)), stop_(std::move(stop)) {}

    std::unique_ptr<Stream> open_stream(ChunkKind kind, Layout layout) override {
        return std::make_unique<LeasedStream>(ingest_->open_stream(kind, std::move(layout)),
                                              *lease_, stop_);
    }
    bool knows(ChunkId const& chunk) const override { return ingest_->knows(chunk); }
    Result<void> flush() override {
        TRY(ingest_->flush());
        // After the flush, which may take long: a point must not be published on a lapsed lease.
        return lease_->renew_if_due(stop_);
    }
    Result<void> secure(std::stop_token stop) override {
        TRY(ingest_->secure(stop));
        return lease_->renew_if_due(stop);
    }
    IngestStatistics statistics() const override { return ingest_->statistics(); }
    std::string pair() const override { return ingest_->pair(); }
    std::set<PackId> relied_on() const override { return ingest_->relied_on(); }

  private:
    std::unique_ptr<Lease> lease_;  // outlives the ingest: its stages may still store packs
    std::unique_ptr<Ingest> ingest_;
    std::stop_token stop_;
};

}  // namespace

std::unique_ptr<Ingest> with_lease(std::unique_ptr<Ingest> ingest, std::unique_ptr<Lease> lease,
                                   std::stop_token stop) {
    return std::make_unique<LeasedIngest>(std::move(ingest), std::move(lease), std::move(stop));
}

}  // namespace holdfast
