#pragma once

// For tests alone: chunks in memory that can be damaged, forgotten and counted.

#include <functional>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "crypto/crypto.h"
#include "repo/fetch.h"
#include "repo/ingest.h"

namespace holdfast {

// Chunks are runs of at most `chunk_bytes`, kept as they are; contents with many extents get lists, as
// in a repository.
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

inline constexpr std::size_t kFakeListExtentsMax = 64;  // small, so that small tests reach depth 2

class FakeStream : public Ingest::Stream {
  public:
    FakeStream(FakeChunks& chunks, ChunkKind kind) : chunks_(chunks), kind_(kind) {}

    Result<void> append(ByteView bytes) override {
        if (kind_ == ChunkKind::data) {
            std::lock_guard lock(chunks_.mutex);
            chunks_.appended += bytes.size();
        }
        while (!bytes.empty()) {
            auto take = std::min(bytes.size(), chunks_.chunk_bytes - pending_.size());
            pending_.insert(pending_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(take));
            bytes = bytes.subspan(take);
            if (pending_.size() == chunks_.chunk_bytes) cut();
        }
        return {};
    }
    ByteSpan room() override {
        room_.resize(chunks_.chunk_bytes);
        return room_;
    }
    Result<void> filled(std::size_t bytes) override { return append(ByteView(room_).first(bytes)); }
    Result<void> hole(std::uint64_t length) override {
        cut();
        if (length > 0) content_.extents.push_back({std::nullopt, 0, length});
        content_.size += length;
        return {};
    }
    Result<Content> finish() override {
        cut();
        while (content_.extents.size() > kInlineExtentsMax) to_lists();
        for (auto const& extent : content_.extents) {
            if (extent.chunk) used_.push_back(*extent.chunk);
        }
        return content_;
    }
    std::span<ChunkId const> chunks() const override { return used_; }

  private:
    void cut() {
        if (pending_.empty()) return;
        content_.extents.push_back({chunks_.put(pending_), 0, pending_.size()});
        content_.size += pending_.size();
        pending_.clear();
    }
    void to_lists() {
        std::vector<Extent> lists;
        for (std::size_t at = 0; at < content_.extents.size(); at += kFakeListExtentsMax) {
            ByteWriter writer;
            for (auto i = at; i < std::min(at + kFakeListExtentsMax, content_.extents.size()); ++i) {
                encode(content_.extents[i], writer);
                if (content_.extents[i].chunk) used_.push_back(*content_.extents[i].chunk);
            }
            lists.push_back({chunks_.put(writer.view()), 0, writer.size()});
        }
        content_.extents = std::move(lists);
        ++content_.depth;
    }

    FakeChunks& chunks_;
    ChunkKind kind_;
    Bytes pending_;
    Bytes room_;
    Content content_;
    std::vector<ChunkId> used_;
};

inline ChunkId FakeChunks::id_of(ByteView bytes) const { return ChunkId::from_bytes(sha256(bytes)); }

inline ChunkId FakeChunks::put(ByteView bytes) {
    auto id = id_of(bytes);
    std::lock_guard lock(mutex);
    chunks.try_emplace(id, bytes.begin(), bytes.end());
    return id;
}

inline std::unique_ptr<Ingest::Stream> FakeIngest::open_stream(ChunkKind kind, Layout) {
    return std::make_unique<FakeStream>(chunks_, kind);
}

inline bool FakeIngest::knows(ChunkId const& chunk) const {
    std::lock_guard lock(chunks_.mutex);
    return chunks_.chunks.contains(chunk) && !chunks_.forgotten.contains(chunk);
}

inline Result<Bytes> FakeFetch::chunk(ChunkId const& id, std::stop_token stop) {
    if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
    std::lock_guard lock(chunks_.mutex);
    auto at = chunks_.chunks.find(id);
    if (at == chunks_.chunks.end()) return fail(ErrorKind::not_found, "chunk " + id.brief() + " is nowhere");
    if (chunks_.damaged.contains(id)) return fail(ErrorKind::damaged, "chunk " + id.brief() + " is damaged");
    return at->second;
}

inline Result<void> FakeFetch::chunks(std::span<ChunkId const> wants, Sink const& sink, std::stop_token stop) {
    if (before_batch) before_batch();
    for (std::size_t i = wants.size(); i-- > 0;) {  // an order that nobody asked for
        auto bytes = chunk(wants[i], stop);
        if (!bytes) {
            if (bytes.error().kind == ErrorKind::cancelled) return fail(bytes.error());
            TRY(sink(i, fail(bytes.error())));
            continue;
        }
        chunks_.fetched += bytes->size();
        TRY(sink(i, ByteView(*bytes)));
    }
    return {};
}

inline Result<void> FakeFetch::extents(Content const& content,
                                std::function<Result<void>(std::span<Extent const>)> const& visit,
                                std::stop_token stop) {
    if (content.depth == 0) return visit(content.extents);
    for (auto const& list : content.extents) {
        auto bytes = TRY(chunk(*list.chunk, stop));
        Content below;
        below.depth = content.depth - 1;
        ByteReader reader(ByteView(bytes).subspan(list.offset, list.length));
        while (reader.remaining() > 0) {
            auto extent = TRY(decode_extent(reader));
            below.size += extent.length;
            below.extents.push_back(extent);
        }
        TRY(extents(below, visit, stop));
    }
    return {};
}

inline Result<Bytes> FakeFetch::content(Content const& content, std::uint64_t size_max, std::stop_token stop) {
    if (content.size > size_max) return fail(ErrorKind::damaged, "content is too large");
    Bytes all;
    auto add = [&](std::span<Extent const> run) -> Result<void> {
        for (auto const& extent : run) {
            if (!extent.chunk) {
                all.resize(all.size() + extent.length);
                continue;
            }
            auto bytes = TRY(chunk(*extent.chunk, stop));
            auto part = ByteView(bytes).subspan(extent.offset, extent.length);
            all.insert(all.end(), part.begin(), part.end());
        }
        return {};
    };
    TRY(extents(content, add, stop));
    return all;
}

}  // namespace holdfast
