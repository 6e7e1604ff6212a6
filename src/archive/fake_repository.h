#pragma once

#include <filesystem>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "crypto/crypto.h"
#include "repo/repository.h"

namespace holdfast {

// A repository in memory for tests of what lies above `repo`: chunks are runs of at most
// `chunk_bytes`, kept as they are; contents with many extents get lists as in the real one.
struct FakeChunks {
    std::size_t chunk_bytes = 1u << 16;
    std::mutex mutex;
    std::unordered_map<ChunkId, Bytes> chunks;
    std::unordered_set<ChunkId> damaged;    // heard as `damaged` by whoever fetches them
    std::unordered_set<ChunkId> forgotten;  // knows() denies them
    std::uint64_t appended = 0;             // raw bytes that went through streams of data
    std::uint64_t fetched = 0;              // raw bytes that Fetch::chunks handed out

    ChunkId id_of(ByteView bytes) const;
    ChunkId put(ByteView bytes);
};

class FakeIngest : public Ingest {
  public:
    explicit FakeIngest(FakeChunks& chunks) : chunks_(chunks) {}
    std::unique_ptr<Stream> open_stream(ChunkKind kind, Layout layout) override;
    bool knows(ChunkId const& chunk) const override;
    Result<void> flush() override { return {}; }
    IngestStatistics statistics() const override { return {}; }

  private:
    FakeChunks& chunks_;
};

class FakeFetch : public Fetch {
  public:
    explicit FakeFetch(FakeChunks& chunks) : chunks_(chunks) {}
    Result<void> chunks(std::span<ChunkId const> wants, Sink const& sink, std::stop_token stop) override;
    Result<Bytes> chunk(ChunkId const& id, std::stop_token stop) override;
    Result<void> extents(Content const& content,
                         std::function<Result<void>(std::span<Extent const>)> const& visit,
                         std::stop_token stop) override;
    Result<Bytes> content(Content const& content, std::uint64_t size_max, std::stop_token stop) override;
    std::vector<PackId> locations(ChunkId const&) const override { return {}; }
    ChunkId id_of(ByteView bytes) const override { return chunks_.id_of(bytes); }

    // Called before each batch of chunks(): a test changes the world here, while a restore runs.
    std::function<void()> before_batch;

  private:
    FakeChunks& chunks_;
};

// Only what captures need: an id, keys, a world, a way in and out.
class FakeRepository : public Repository {
  public:
    FakeRepository(FakeChunks& chunks, RepositoryWorld world);
    RepositoryId id() const override { return keys_.repository; }
    KeyBundle const& keys() const override { return keys_; }
    Store& store() const override;
    std::vector<std::string> const& notices() const override { return notices_; }
    Bytes seal(DocumentKind, ByteView plain) override { return Bytes(plain.begin(), plain.end()); }
    Result<OpenDocument> open(DocumentKind, ByteView, std::stop_token) override;
    RepositoryWorld const& world() const override { return world_; }
    Result<PointList> points(std::stop_token) override { return PointList{}; }
    Result<PointList> points_of(std::string_view, std::stop_token) override { return PointList{}; }
    Result<std::unique_ptr<Ingest>> begin_ingest(IngestLimits, std::stop_token) override;
    Result<PointInfo> publish(Ingest&, RecoveryPoint point, std::stop_token) override;
    Result<std::unique_ptr<Fetch>> begin_fetch(FetchLimits, std::stop_token) override;

  private:
    FakeChunks& chunks_;
    RepositoryWorld world_;
    KeyBundle keys_;
    std::vector<std::string> notices_;
};

}  // namespace holdfast
