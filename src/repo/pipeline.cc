#include "repo/pipeline.h"

#include <cassert>

namespace holdfast {
namespace {

// A segment names so many packs, or those with so many chunks: what an interrupted backup has to store again is
// bounded, and so is the memory for what has no name yet.
constexpr std::size_t kPacksPerSegment = 8;
constexpr std::size_t kChunksPerSegment = 65'536;

std::size_t lane_of(ChunkKind kind) { return kind == ChunkKind::data ? 0 : 1; }

}  // namespace

Pipeline::Pipeline(Repository& repository, std::shared_ptr<Index> index, SealTo seal_to,
                   IngestLimits limits, std::stop_token stop)
    : repository_(repository),
      index_(std::move(index)),
      seal_to_(std::move(seal_to)),
      limits_(std::move(limits)),
      id_key_(repository.keys().id_key.view()),
      gear_(make_gear_table(repository.keys().id_key.view())),
      // What was in flight once will be needed again: it goes back when the pipeline ends.
      memory_(SIZE_MAX),
      forward_stop_(std::move(stop), [this] { stop_.request_stop(); }) {}

bool Pipeline::stopping() const {
    if (stop_.stop_requested()) return true;
    std::lock_guard lock(mutex_);
    return error_.has_value();
}

void Pipeline::fail_with(Error error) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
}

Result<void> Pipeline::check() const {
    std::lock_guard lock(mutex_);
    // What a stop made fail is not the reason.
    if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
    if (error_) return fail(*error_);
    return {};
}

IngestStatistics Pipeline::statistics() const {
    std::lock_guard lock(mutex_);
    return statistics_;
}

template <typename Ready>
Result<void> Pipeline::wait(Ready const& ready) {
    repository_.world().executor.wait_until([&] {
        if (stop_.stop_requested()) return true;
        std::lock_guard lock(mutex_);
        return error_.has_value() || ready();
    });
    return check();
}

template <typename Task>
void Pipeline::post(Task task) {
    {
        std::lock_guard lock(mutex_);
        ++tasks_;
    }
    // The task keeps the pipeline alive: whoever waits for it may go on before it has quite ended.
    repository_.world().executor.post([self = shared_from_this(), task = std::move(task)] {
        if (!self->stopping()) {
            Result<void> done = task(*self);
            if (!done) self->fail_with(std::move(done.error()));
        }
        std::lock_guard lock(self->mutex_);
        --self->tasks_;
    });
}

bool Pipeline::knows(ChunkId const& id) const {
    {
        std::lock_guard lock(mutex_);
        if (pending_.contains(id)) return true;
    }
    auto pack = index_->reusable_pack(id, seal_to_.readable);
    if (!pack) return false;
    std::lock_guard lock(mutex_);
    relied_on_.insert(*pack);
    return true;
}

std::set<PackId> Pipeline::relied_on() const {
    std::lock_guard lock(mutex_);
    return {relied_on_.begin(), relied_on_.end()};
}

Result<void> Pipeline::store_again(std::set<PackId> const& packs, Fetch& fetch, std::stop_token stop) {
    index_->exclude(packs);
    {
        std::lock_guard lock(mutex_);
        for (auto const& pack : packs) relied_on_.erase(pack);
    }
    auto const named = TRY(index_->packs());
    for (std::size_t number = 0; number < named.size(); ++number) {
        if (!packs.contains(named[number].id)) continue;
        auto const directory = TRY(index_->directory(number));
        auto const* chunk = directory.chunks.data();
        for (auto const& frame : directory.frames) {
            for (std::uint32_t i = 0; i < frame.chunks; ++i, ++chunk) {
                if (knows(chunk->id)) continue;
                auto bytes = TRY(fetch.chunk(chunk->id, stop));
                auto memory = std::make_shared<Memory>(bytes.size());
                std::ranges::copy(bytes, memory->span().begin());
                auto view = memory->view();
                TRY(store_chunk(frame.kind, chunk->id, {{std::move(memory), view}}));
            }
        }
    }
    return {};
}

Result<std::vector<ChunkId>> Pipeline::store_chunks(ChunkKind kind, std::span<Chunk> chunks) {
    TRY(check());
    std::vector<ByteView> bytes;
    for (auto const& chunk : chunks) bytes.push_back(chunk.bytes.bytes);
    std::vector<Hash32> hashes(chunks.size());
    id_key_.of_each(bytes, hashes);
    std::vector<ChunkId> ids;
    for (std::size_t i = 0; i < chunks.size(); ++i) {
        ids.push_back(ChunkId::from_bytes(hashes[i]));
        TRY(store_chunk(kind, ids.back(), std::move(chunks[i])));
    }
    return ids;
}

Result<void> Pipeline::store_chunk(ChunkKind kind, ChunkId const& id, Chunk chunk) {
    auto bytes = chunk.bytes.bytes;
    assert(!bytes.empty() && bytes.size() <= kChunkBytesMax);
    auto known = knows(id);
    {
        std::lock_guard lock(mutex_);
        statistics_.bytes_in += bytes.size();
        if (known) {
            ++statistics_.chunks_known;
        } else {
            ++statistics_.chunks_new;
            statistics_.bytes_new += bytes.size();
            pending_.insert(id);
        }
    }
    if (known) return {};
    PackChunk entry{id, static_cast<std::uint32_t>(bytes.size())};
    FrameOf const of{kind, chunk.element};
    if (bytes.size() >= kLargeChunk) return submit_frame(of, std::move(chunk.bytes), {entry});
    auto& group = groups_[of];
    if (!group.raw) group.raw = memory_.take(kSolidFrame + kLargeChunk);
    std::memcpy(group.raw->span().data() + group.bytes, bytes.data(), bytes.size());
    group.bytes += bytes.size();
    group.chunks.push_back(entry);
    if (group.bytes >= kSolidFrame) return submit_group(of);
    return {};
}

Result<void> Pipeline::submit_group(FrameOf of) {
    auto node = groups_.extract(of);
    if (node.empty()) return {};
    auto& group = node.mapped();
    auto bytes = group.raw->view().first(group.bytes);
    return submit_frame(of, {std::move(group.raw), bytes}, std::move(group.chunks));
}

Result<void> Pipeline::submit_frame(FrameOf of, Slice raw, std::vector<PackChunk> chunks) {
    auto size = raw.bytes.size();
    TRY(wait([&] {
        return (frame_bytes_ == 0 || frame_bytes_ + size <= limits_.frames_in_flight_bytes) &&
               packs_ < std::max<std::size_t>(1, limits_.packs_in_flight_max);
    }));
    {
        std::lock_guard lock(mutex_);
        frame_bytes_ += size;
    }
    // Shared, because a task must be copyable.
    auto frame = std::make_shared<FrameTask>(FrameTask{of.first, of.second, std::move(raw), std::move(chunks)});
    post([frame, size](Pipeline& self) {
        auto done = self.seal_frame(*frame);
        frame->raw = {};
        std::lock_guard lock(self.mutex_);
        self.frame_bytes_ -= size;
        return done;
    });
    return {};
}

Result<void> Pipeline::seal_frame(FrameTask& task) {
    static thread_local Bytes scratch;
    auto encoded = TRY(encode_frame(task.raw.bytes, {.zstd_level = limits_.zstd_level, .element = task.element}, scratch));

    // A frame's place is given when its size is known; packs fill in about the order of the data.
    std::shared_ptr<OpenPack> pack;
    PackBuilder::Frame* frame = nullptr;
    {
        std::lock_guard lock(mutex_);
        auto& open = open_[lane_of(task.kind)];
        if (open && !open->builder->fits(encoded.bytes.size())) close_pack(open);
        if (!open) {
            auto const& keys = repository_.keys();
            auto memory = memory_.take(limits_.pack_bytes + kPackSlack);
            auto builder = TRY(PackBuilder::create(keys.repository, seal_to_.public_key,
                                                   repository_.world().random, std::move(memory)));
            open = std::make_shared<OpenPack>();
            open->builder = std::move(builder);
        }
        pack = open;
        frame = &pack->builder->reserve(encoded.codec, task.kind, encoded.bytes.size(), task.chunks);
        if (pack->builder->bytes() >= limits_.pack_bytes) close_pack(open);
    }
    TRY(pack->builder->seal(*frame, encoded.bytes, task.raw.bytes));

    bool complete = false;
    {
        std::lock_guard lock(mutex_);
        ++pack->sealed;
        complete = pack->closed && pack->sealed == pack->builder->frames();
    }
    if (complete) post([pack](Pipeline& self) { return self.store_pack(pack); });
    return {};
}

void Pipeline::close_pack(std::shared_ptr<OpenPack>& pack) {
    pack->closed = true;
    ++packs_;
    pack = nullptr;
}

Result<void> Pipeline::store_pack(std::shared_ptr<OpenPack> const& pack) {
    auto sealed = std::move(*pack->builder).finish(limits_.parity_percent);
    pack->builder.reset();
    auto put = repository_.store().put(pack_key(sealed.summary.id), sealed.views(), stop_.get_token());
    TRY(std::move(put).within("store pack " + sealed.summary.id.brief()));
    sealed.frames = {};

    std::vector<PackSummary> batch;
    {
        std::lock_guard lock(mutex_);
        --packs_;
        ++statistics_.packs;
        relied_on_.insert(sealed.summary.id);
        statistics_.bytes_stored += sealed.summary.bytes;
        unindexed_chunks_ += sealed.summary.directory.chunks.size();
        unindexed_.push_back(std::move(sealed.summary));
        if (unindexed_.size() >= kPacksPerSegment || unindexed_chunks_ >= kChunksPerSegment) batch = take_unindexed();
    }
    post_segment(std::move(batch));
    return {};
}

std::vector<PackSummary> Pipeline::take_unindexed() {
    unindexed_chunks_ = 0;
    return std::exchange(unindexed_, {});
}

void Pipeline::post_segment(std::vector<PackSummary> packs) {
    if (packs.empty()) return;
    auto group = std::make_shared<SegmentGroup const>(repository_.keys().id, std::move(packs));
    post([group](Pipeline& self) { return self.store_segment(*group); });
}

Result<void> Pipeline::store_segment(SegmentGroup const& group) {
    auto object = repository_.seal(DocumentKind::index, encode_segment(group.packs));
    auto key = segment_key(object);
    auto put = repository_.store().put(key, object, stop_.get_token());
    TRY(std::move(put).within("store " + key.text()));
    index_->add_segment(key.text(), {&group, 1});
    std::lock_guard lock(mutex_);
    for (auto const& pack : group.packs) {
        for (auto const& chunk : pack.directory.chunks) pending_.erase(chunk.id);
    }
    return {};
}

Result<void> Pipeline::flush() {
    TRY(check());
    while (!groups_.empty()) TRY(submit_group(groups_.begin()->first));
    auto idle = [this] { return tasks_ == 0; };
    TRY(wait(idle));
    std::vector<std::shared_ptr<OpenPack>> last;
    {
        std::lock_guard lock(mutex_);
        for (auto& open : open_) {
            if (!open) continue;
            last.push_back(open);
            close_pack(open);
        }
    }
    for (auto const& pack : last) post([pack](Pipeline& self) { return self.store_pack(pack); });
    TRY(wait(idle));
    std::vector<PackSummary> batch;
    {
        std::lock_guard lock(mutex_);
        batch = take_unindexed();
    }
    post_segment(std::move(batch));
    return wait(idle);
}

void Pipeline::close() {
    stop_.request_stop();
    repository_.world().executor.wait_until([this] {
        std::lock_guard lock(mutex_);
        return tasks_ == 0;
    });
}

}  // namespace holdfast
