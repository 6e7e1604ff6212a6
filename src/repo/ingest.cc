#include "repo/ingest.h"

#include <cassert>

#include "repo/doomed.h"
#include "repo/pipeline.h"
#include "repo/repository_parts.h"

namespace holdfast {
namespace {

// Above this (128 GiB of average chunks, 4 MiB of ids) a stream does not say which chunks it needs.
constexpr std::size_t kStreamChunksMax = 1u << 17;
// Chunks whose ids are computed together, and the memory that they may hold meanwhile.
constexpr std::size_t kTogether = 16;
constexpr std::size_t kTogetherBytes = 24u << 20;
// How often a backup is stored again beside a collection that goes on.
constexpr int kSecureAttemptsMax = 5;

// Chunks of one stream or list, remembered for Stream::chunks().
class ChunkNames {
  public:
    void add(ChunkId const& id) {
        if (full_) return;
        if (ids_.size() < kStreamChunksMax) {
            ids_.push_back(id);
        } else {
            full_ = true;
            ids_ = {};
        }
    }
    std::span<ChunkId const> ids() const { return ids_; }

  private:
    std::vector<ChunkId> ids_;
    bool full_ = false;
};

class ExtentList;
class ChunkQueue;

// The bytes of a list of extents, cut and stored as they come, so that a list never lies in memory
// as a whole. What they become is again a list of extents, one level up.
class ListStream {
  public:
    ListStream(Pipeline& pipeline, ChunkNames& names, std::uint8_t depth);
    ~ListStream();
    Result<void> append(Extent const& extent);
    Result<Content> finish();

  private:
    Chunker chunker_;
    std::unique_ptr<ExtentList> list_;
    std::unique_ptr<ChunkQueue> queue_;
};

// Extents in order: few are kept, more go into a ListStream as they come.
class ExtentList {
  public:
    ExtentList(Pipeline& pipeline, ChunkNames& names, std::uint8_t depth)
        : pipeline_(pipeline), names_(names), depth_(depth) {}

    Result<void> add(Extent const& extent) {
        if (!list_ && extents_.size() < kInlineExtentsMax) {
            extents_.push_back(extent);
            return {};
        }
        if (!list_) {
            // A list of at least 6,000 extents becomes one: four levels hold 32 * 6,000^4 chunks.
            assert(depth_ < kContentDepthMax);
            list_ = std::make_unique<ListStream>(pipeline_, names_, static_cast<std::uint8_t>(depth_ + 1));
            for (auto const& kept : std::exchange(extents_, {})) TRY(list_->append(kept));
        }
        return list_->append(extent);
    }

    // The content without its size.
    Result<Content> finish() {
        if (list_) return list_->finish();
        return Content{.size = 0, .depth = depth_, .extents = std::move(extents_)};
    }

  private:
    Pipeline& pipeline_;
    ChunkNames& names_;
    std::uint8_t depth_;
    std::vector<Extent> extents_;
    std::unique_ptr<ListStream> list_;
};

// Chunks of one stream on their way into its list. Their ids are computed several at a time.
class ChunkQueue {
  public:
    ChunkQueue(Pipeline& pipeline, ChunkNames& names, ChunkKind kind, ExtentList& list)
        : pipeline_(pipeline), names_(names), kind_(kind), list_(list) {}

    // Takes what the chunker has complete.
    Result<void> take_from(Chunker& chunker) {
        auto element = chunker.element();
        auto bytes = chunker.take();
        waiting_bytes_ += bytes.bytes.size();
        waiting_.push_back({std::move(bytes), element});
        if (waiting_.size() < kTogether && waiting_bytes_ < kTogetherBytes) return {};
        return flush();
    }

    Result<void> flush() {
        if (waiting_.empty()) return {};
        std::vector<std::size_t> sizes;
        for (auto const& chunk : waiting_) sizes.push_back(chunk.bytes.bytes.size());
        auto ids = TRY(pipeline_.store_chunks(kind_, waiting_));
        waiting_.clear();
        waiting_bytes_ = 0;
        for (std::size_t i = 0; i < ids.size(); ++i) {
            names_.add(ids[i]);
            TRY(list_.add({.chunk = ids[i], .offset = 0, .length = sizes[i]}));
        }
        return {};
    }

  private:
    Pipeline& pipeline_;
    ChunkNames& names_;
    ChunkKind kind_;
    ExtentList& list_;
    std::vector<Pipeline::Chunk> waiting_;
    std::size_t waiting_bytes_ = 0;
};

ListStream::ListStream(Pipeline& pipeline, ChunkNames& names, std::uint8_t depth)
    : chunker_(pipeline.gear(), Layout{}, pipeline.memory()),
      list_(std::make_unique<ExtentList>(pipeline, names, depth)),
      queue_(std::make_unique<ChunkQueue>(pipeline, names, ChunkKind::extents, *list_)) {}
ListStream::~ListStream() = default;

Result<void> ListStream::append(Extent const& extent) {
    ByteWriter writer;
    encode(extent, writer);
    auto bytes = writer.view();
    while (!bytes.empty()) {
        bytes = chunker_.feed(bytes);
        while (chunker_.full()) TRY(queue_->take_from(chunker_));
    }
    return {};
}

Result<Content> ListStream::finish() {
    if (!chunker_.empty()) TRY(queue_->take_from(chunker_));
    TRY(queue_->flush());
    return list_->finish();
}

class StreamImpl : public Ingest::Stream {
  public:
    StreamImpl(std::shared_ptr<Pipeline> pipeline, ChunkKind kind, Layout layout)
        : pipeline_(std::move(pipeline)),
          chunker_(pipeline_->gear(), std::move(layout), pipeline_->memory()),
          list_(*pipeline_, names_, 0),
          queue_(*pipeline_, names_, kind, list_) {}

    Result<void> append(ByteView bytes) override {
        if (bytes.empty()) return pipeline_->check();
        TRY(end_hole());
        size_ += bytes.size();
        while (!bytes.empty()) {
            bytes = chunker_.feed(bytes);
            while (chunker_.full()) TRY(end_chunk());
        }
        return pipeline_->check();
    }

    ByteSpan room() override { return chunker_.room(); }

    Result<void> filled(std::size_t bytes) override {
        if (bytes > 0) TRY(end_hole());
        size_ += bytes;
        chunker_.filled(bytes);
        while (chunker_.full()) TRY(end_chunk());
        return pipeline_->check();
    }

    Result<void> hole(std::uint64_t length) override {
        if (length == 0) return {};
        if (!chunker_.empty()) TRY(end_chunk());
        chunker_.skip(length);
        size_ += length;
        hole_ += length;  // joined with the hole before, if nothing was between them
        return {};
    }

    Result<Content> finish() override {
        assert(!finished_);
        finished_ = true;
        TRY(end_hole());
        if (!chunker_.empty()) TRY(end_chunk());
        TRY(queue_.flush());
        auto content = TRY(list_.finish());
        content.size = size_;
        return content;
    }

    std::span<ChunkId const> chunks() const override { return names_.ids(); }

  private:
    Result<void> end_chunk() { return queue_.take_from(chunker_); }
    Result<void> end_hole() {
        if (hole_ == 0) return {};
        TRY(queue_.flush());  // what comes before it
        return list_.add({.chunk = {}, .offset = 0, .length = std::exchange(hole_, 0)});
    }

    std::shared_ptr<Pipeline> pipeline_;
    ChunkNames names_;
    Chunker chunker_;
    ExtentList list_;
    ChunkQueue queue_;
    std::uint64_t size_ = 0;
    std::uint64_t hole_ = 0;
    bool finished_ = false;
};

class IngestImpl : public Ingest {
  public:
    IngestImpl(Repository& repository, std::shared_ptr<Pipeline> pipeline, std::set<std::string> doomed)
        : repository_(repository), pipeline_(std::move(pipeline)), doomed_(std::move(doomed)) {}
    ~IngestImpl() override { pipeline_->close(); }

    std::unique_ptr<Stream> open_stream(ChunkKind kind, Layout layout) override {
        return std::make_unique<StreamImpl>(pipeline_, kind, std::move(layout));
    }
    bool knows(ChunkId const& chunk) const override { return pipeline_->knows(chunk); }
    Result<void> flush() override { return pipeline_->flush(); }
    Result<void> secure(std::stop_token stop) override;
    IngestStatistics statistics() const override { return pipeline_->statistics(); }
    std::string pair() const override { return pipeline_->pair(); }
    std::set<PackId> relied_on() const override { return pipeline_->relied_on(); }

  private:
    Result<std::set<PackId>> unsafe_packs(std::set<PackId> const& doomed, std::stop_token stop) const;

    Repository& repository_;
    std::shared_ptr<Pipeline> pipeline_;
    std::set<std::string> doomed_;  // names of the lists that were taken into account
};

// Of the packs that were relied on, those that are doomed or gone. What is doomed was read before: a pack
// is deleted while it is doomed, and its entry goes later than itself.
Result<std::set<PackId>> IngestImpl::unsafe_packs(std::set<PackId> const& doomed,
                                                  std::stop_token stop) const {
    auto lost = pipeline_->relied_on();
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        auto id = pack_of(info.key);
        if (id && !doomed.contains(*id)) lost.erase(*id);
        return {};
    };
    TRY(repository_.store().list("packs/", visit, stop));
    return lost;
}

Result<void> IngestImpl::secure(std::stop_token stop) {
    for (int attempt = 1; attempt <= kSecureAttemptsMax; ++attempt) {
        auto keys = TRY(list_doomed_keys(repository_.store(), stop));
        // Nothing was doomed since we chose what to rely on.
        if (keys == doomed_) return {};
        auto doomed = TRY(read_doomed(repository_, stop));
        auto lost = TRY(unsafe_packs(doomed.packs, stop));
        doomed_ = std::move(doomed.keys);
        if (lost.empty()) return {};
        auto gone = [&](std::string why) {
            return fail(ErrorKind::unsafe,
                        "garbage was collected meanwhile, and " + std::to_string(lost.size()) +
                            " packs of this backup with it" + why,
                        "run the backup again: what still stands is found again");
        };
        if (!repository_.keys().data_private) return gone("");
        auto fetch = TRY(make_fetch(repository_, {}, stop));
        auto stored = pipeline_->store_again(lost, *fetch, stop);
        if (!stored) {
            auto kind = stored.error().kind;
            auto elsewhere = kind == ErrorKind::not_found || kind == ErrorKind::damaged || kind == ErrorKind::key_refused;
            if (elsewhere) return gone(": " + stored.error().message);
            return stored;
        }
        TRY(pipeline_->flush());
    }
    return fail(ErrorKind::unsafe, "garbage is collected faster than this backup can store it again");
}

}  // namespace

Result<std::unique_ptr<Ingest>> make_ingest(Repository& repository, IngestLimits limits,
                                            std::stop_token stop) {
    auto keys = repository.data_keys();
    SealTo seal_to{TRY(keys->newest(limits.pair)), keys->epochs(limits.pair)};
    // What is doomed before what there is: a pack that is in neither is not relied on.
    auto doomed = TRY(read_doomed(repository, stop));
    auto index = TRY(refresh_index(repository, {.check_packs = true}, stop));
    index->exclude(doomed.packs);
    auto pipeline = std::make_shared<Pipeline>(repository, std::move(index), std::move(seal_to), limits,
                                               std::move(stop));
    return std::unique_ptr<Ingest>(std::make_unique<IngestImpl>(
        repository, std::move(pipeline), std::move(doomed.keys)));
}

}  // namespace holdfast
