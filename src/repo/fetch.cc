#include "repo/fetch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <list>
#include <map>
#include <mutex>
#include <optional>

#include "repo/index.h"
#include "repo/mend.h"
#include "repo/object_check.h"
#include "repo/repository_parts.h"

namespace holdfast {
namespace {

constexpr std::uint64_t kReadMax = 20u << 20;
// Chunks whose ids are computed together (HmacKey::of_each), and the raw bytes of their frames.
constexpr std::size_t kCheckedTogether = 16;
constexpr std::size_t kCheckedBytes = 16u << 20;
// Raw frames that chunk() keeps: a directory's neighbours lie in the same ones.
constexpr std::size_t kCacheBytes = 16u << 20;
// Extents that extents() hands over at once.
constexpr std::size_t kExtentBatch = 4096;

// A chunk that somebody waits for.
struct Want {
    std::size_t index;  // of the caller's wants
    ChunkLocation location;
};

// Wants that lie in one frame.
struct FrameRead {
    std::vector<Want> wants;
    ChunkLocation const& location() const { return wants.front().location; }
    std::uint64_t begin() const { return location().frame_offset; }
    std::uint64_t end() const { return begin() + location().frame.stored; }
};

// Frames of one pack that are read at once.
struct Read {
    std::vector<FrameRead> frames;
    std::uint64_t begin() const { return frames.front().begin(); }
    std::uint64_t length() const { return frames.back().end() - begin(); }
    // What it holds in memory while it runs: the sealed bytes, and some frames as raw, one of them as stored.
    std::size_t cost() const {
        std::size_t largest = 0, all = 0;
        for (auto const& frame : frames) {
            largest = std::max<std::size_t>(largest, frame.location().frame.raw);
            all += frame.location().frame.raw;
        }
        return length() + 2 * largest + std::min(all, kCheckedBytes);
    }
};

// Sorts wants by pack and place, and joins what lies near.
std::vector<Read> plan(std::vector<Want> wants) {
    std::sort(wants.begin(), wants.end(), [](Want const& a, Want const& b) {
        auto key = [](Want const& want) {
            return std::tuple(want.location.pack_number, want.location.frame_number, want.location.offset);
        };
        return key(a) < key(b);
    });
    std::vector<Read> reads;
    for (auto& want : wants) {
        auto const& location = want.location;
        auto* last = reads.empty() ? nullptr : &reads.back();
        if (last && last->frames.back().location().pack_number == location.pack_number) {
            auto& frame = last->frames.back();
            if (frame.location().frame_number == location.frame_number) {
                frame.wants.push_back(std::move(want));
                continue;
            }
            auto end = location.frame_offset + location.frame.stored;
            if (location.frame_offset - frame.end() <= kGapMax && end - last->begin() <= kReadMax) {
                auto& added = last->frames.emplace_back();
                added.wants.push_back(std::move(want));
                continue;
            }
        }
        reads.emplace_back().frames.emplace_back().wants.push_back(std::move(want));
    }
    return reads;
}

// What one call of chunks() shares with its tasks.
struct Batch {
    std::span<ChunkId const> wants;
    Fetch::Sink const& sink;
    std::stop_token stop;

    std::mutex mutex;
    std::optional<Error> error;      // ends the fetch
    std::size_t bytes = 0;           // in flight
    std::size_t tasks = 0;
    std::vector<std::size_t> again;  // wants whose location failed
    std::map<std::size_t, Error> failures;  // the last one of each want that failed

    bool ended() {
        std::lock_guard lock(mutex);
        return error.has_value() || stop.stop_requested();
    }
    void end_with(Error what) {
        std::lock_guard lock(mutex);
        if (!error) error = std::move(what);
    }
};

class FetchImpl : public Fetch {
  public:
    FetchImpl(Repository& repository, std::shared_ptr<Index> index, FetchLimits limits, Fetch* front)
        : repository_(repository),
          index_(std::move(index)),
          limits_(limits),
          id_key_(repository.keys().id_key.view()),
          data_keys_(repository.data_keys()),
          front_(front == nullptr ? this : front) {}

    Result<void> chunks(std::span<ChunkId const> wants, Sink const& sink, std::stop_token stop) override {
        auto batch = std::make_shared<Batch>(wants, sink, stop);
        std::vector<std::size_t> left(wants.size());
        for (std::size_t i = 0; i < left.size(); ++i) left[i] = i;
        // Each round tries the next location of what the round before could not read.
        for (std::size_t round = 0; !left.empty(); ++round) {
            std::vector<Want> found, failed;
            for (auto index : left) {
                auto locations = index_->find(wants[index]);
                if (!locations) {
                    TRY(sink(index, Result<ByteView>(fail(std::move(locations).error()))));
                } else if (round < locations->size()) {
                    found.push_back({index, (*locations)[round]});
                } else if (!locations->empty()) {
                    failed.push_back({index, locations->front()});
                } else {
                    TRY(sink(index, Result<ByteView>(fail(unknown(wants[index])))));
                }
                if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            }
            TRY(deliver_mended(*batch, std::move(failed)));
            TRY(run(batch, plan(std::move(found))));
            left = std::exchange(batch->again, {});
            std::sort(left.begin(), left.end());
        }
        return {};
    }

    Result<Bytes> chunk(ChunkId const& id, std::stop_token stop) override {
        auto error = unknown(id);
        for (auto const& location : TRY(index_->find(id))) {
            auto raw = cached_frame(location, stop);
            if (raw) {
                auto bytes = ByteView(**raw).subspan(location.offset, location.length);
                if (id_of(bytes) == id) return Bytes(bytes.begin(), bytes.end());
                raw = fail(other_bytes());
            }
            if (!is_local(raw.error().kind)) return fail(std::move(raw.error()));
            error = at(location, id, std::move(raw.error()));
        }
        // No parity helps who does not hold the key.
        if (error.kind == ErrorKind::key_refused) return fail(std::move(error));
        auto mended = mended_chunk(id, stop);
        if (mended || !is_local(mended.error().kind)) return mended;
        return fail(std::move(error));
    }

    Result<void> extents(Content const& content,
                         std::function<Result<void>(std::span<Extent const>)> const& visit,
                         std::stop_token stop) override {
        Lists lists(*this, content, visit, stop);
        return lists.run();
    }

    Result<Bytes> content(Content const& content, std::uint64_t size_max, std::stop_token stop) override {
        if (content.size > size_max) {
            return fail(ErrorKind::damaged,
                        fmt::format("content of {} bytes, where at most {} are expected", content.size,
                                    size_max));
        }
        Bytes bytes;
        bytes.reserve(content.size);
        TRY(extents(
            content,
            [&](std::span<Extent const> run) -> Result<void> {
                for (auto const& extent : run) {
                    // extents() has checked that the sum stays within the size.
                    if (!extent.chunk) {
                        bytes.resize(bytes.size() + extent.length);
                        continue;
                    }
                    auto piece = TRY(slice(extent, stop));
                    bytes.insert(bytes.end(), piece.begin(), piece.end());
                }
                return {};
            },
            stop));
        return bytes;
    }

    std::vector<PackId> locations(ChunkId const& id) const override {
        std::vector<PackId> packs;
        if (auto found = index_->find(id)) {
            for (auto const& location : *found) packs.push_back(location.pack);
        }
        return packs;
    }

    ChunkId id_of(ByteView bytes) const override { return ChunkId::from_bytes(id_key_.of(bytes)); }

  private:
    // Walks the lists of a content down to its extents, holding one chunk and the cut-off end of one
    // entry for each level.
    class Lists {
      public:
        Lists(FetchImpl& fetch, Content const& content,
              std::function<Result<void>(std::span<Extent const>)> const& visit, std::stop_token stop)
            : fetch_(fetch), content_(content), visit_(visit), stop_(stop), rests_(content.depth) {}

        Result<void> run() {
            if (content_.depth > kContentDepthMax) return malformed("lists nested too deep");
            for (auto const& extent : content_.extents) TRY(take(content_.depth, extent));
            for (std::size_t level = content_.depth; level > 0; --level) {
                TRY(parse(level));
                if (!rests_[level - 1].empty()) return malformed("a list ends within an entry");
            }
            TRY(hand_over());
            if (sum_ != content_.size) return malformed("extents do not add up to the size");
            return {};
        }

      private:
        static std::unexpected<Error> malformed(char const* what) {
            return fail(ErrorKind::damaged, std::string("content: ") + what);
        }

        // An extent of the content at `level`: at 0 it is a result, above it is a run of a list.
        Result<void> take(std::size_t level, Extent const& extent) {
            if (level == 0) {
                if (extent.length > content_.size - sum_) return malformed("extents exceed the size");
                sum_ += extent.length;
                batch_.push_back(extent);
                if (batch_.size() >= kExtentBatch) return hand_over();
                return {};
            }
            if (!extent.chunk) return malformed("a hole in a list");
            auto bytes = TRY(fetch_.slice(extent, stop_));
            auto& rest = rests_[level - 1];
            rest.insert(rest.end(), bytes.begin(), bytes.end());
            if (rest.size() < kExtentBytesMax) return {};
            return parse(level);
        }

        // Reads the entries of the list at `level` that are whole. The last bytes, which may be the
        // beginning of an entry, stay.
        Result<void> parse(std::size_t level) {
            auto bytes = std::exchange(rests_[level - 1], {});
            ByteReader reader(bytes);
            std::size_t used = 0;
            while (reader.remaining() > 0) {
                auto whole = reader.remaining() >= kExtentBytesMax;
                auto extent = decode_extent(reader);
                if (!extent) {
                    if (whole) return fail(std::move(extent.error()));
                    break;
                }
                used = bytes.size() - reader.remaining();
                TRY(take(level - 1, *extent));
            }
            rests_[level - 1].assign(bytes.begin() + static_cast<std::ptrdiff_t>(used), bytes.end());
            return {};
        }

        Result<void> hand_over() {
            if (batch_.empty()) return {};
            TRY(visit_(batch_));
            batch_.clear();
            return {};
        }

        FetchImpl& fetch_;
        Content const& content_;
        std::function<Result<void>(std::span<Extent const>)> const& visit_;
        std::stop_token stop_;
        std::vector<Bytes> rests_;  // of the list at level i + 1
        std::vector<Extent> batch_;
        std::uint64_t sum_ = 0;
    };

    // The bytes of an extent that has a chunk.
    Result<Bytes> slice(Extent const& extent, std::stop_token stop) {
        auto bytes = TRY(front_->chunk(*extent.chunk, stop));
        if (extent.offset > bytes.size() || extent.length > bytes.size() - extent.offset) {
            return fail(ErrorKind::damaged,
                        "content: an extent beyond chunk " + extent.chunk->brief() + "'s end");
        }
        bytes.resize(extent.offset + extent.length);
        bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(extent.offset));
        return bytes;
    }

    static Error other_bytes() { return {ErrorKind::damaged, "holds other bytes than its id says", {}}; }

    static Error at(ChunkLocation const& location, ChunkId const& id, Error error) {
        return std::move(error).within(
            fmt::format("pack {}: chunk {}", location.pack.brief(), id.brief()));
    }

    Error unknown(ChunkId const& id) const {
        Error error{ErrorKind::not_found, "chunk " + id.brief() + " is in no index", {}};
        auto damaged = index_->damaged();
        if (!damaged.empty()) {
            error.kind = ErrorKind::damaged;
            error.hint = "it may be in a pack that a damaged segment names: " + damaged.front().error.message;
        }
        return error;
    }

    // Runs the reads on the executor; returns when all are over.
    Result<void> run(std::shared_ptr<Batch> const& batch, std::vector<Read> reads) {
        auto& executor = repository_.world().executor;
        for (auto& read : reads) {
            auto cost = read.cost();
            executor.wait_until([&] {
                std::lock_guard lock(batch->mutex);
                return batch->bytes == 0 || batch->bytes + cost <= limits_.in_flight_bytes ||
                       batch->error || batch->stop.stop_requested();
            });
            if (batch->ended()) break;
            {
                std::lock_guard lock(batch->mutex);
                batch->bytes += cost;
                ++batch->tasks;
            }
            auto task = std::make_shared<Read>(std::move(read));
            executor.post([this, batch, task, cost] {
                if (!batch->ended()) perform(*batch, *task);
                std::lock_guard lock(batch->mutex);
                batch->bytes -= cost;
                --batch->tasks;
            });
        }
        executor.wait_until([&] {
            std::lock_guard lock(batch->mutex);
            return batch->tasks == 0;
        });
        if (batch->error) return fail(*batch->error);
        if (batch->stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        return {};
    }

    // Memory to read into and to open frames in. Not the thread's: a sink may fetch another chunk while
    // it looks at this.
    struct Scratch {
        Bytes sealed;
        std::deque<FrameScratch> frames;  // of those that are delivered together
        FrameScratch& frame(std::size_t number) {
            while (frames.size() <= number) frames.emplace_back();
            return frames[number];
        }
    };
    std::unique_ptr<Scratch> take_scratch() {
        std::lock_guard lock(scratch_mutex_);
        if (scratches_.empty()) return std::make_unique<Scratch>();
        auto scratch = std::move(scratches_.back());
        scratches_.pop_back();
        return scratch;
    }
    void give_scratch(std::unique_ptr<Scratch> scratch) {
        std::lock_guard lock(scratch_mutex_);
        scratches_.push_back(std::move(scratch));
    }

    void perform(Batch& batch, Read const& read) {
        auto scratch = take_scratch();
        perform(batch, read, *scratch);
        give_scratch(std::move(scratch));
    }

    void perform(Batch& batch, Read const& read, Scratch& scratch) {
        auto const& location = read.frames.front().location();
        auto key = derive(location.header);
        if (!key) {
            for (auto const& frame : read.frames) give_up(batch, frame, key.error());
            return;
        }
        auto object = pack_key(location.pack);
        auto& store = repository_.store();
        auto sealed = grown(scratch.sealed, read.length());
        auto got = store.read(object, read.begin(), sealed, batch.stop);
        Opened opened;
        for (auto const& frame : read.frames) {
            if (batch.ended()) return;
            auto const& frame_location = frame.location();
            auto& memory = scratch.frame(opened.frames);
            if (got) {
                auto bytes = sealed.subspan(frame.begin() - read.begin(), frame.end() - frame.begin());
                add(batch, opened, frame,
                    open_frame(*key, frame_location.frame_number, frame_location.frame, bytes, memory));
            } else if (!is_local(got.error().kind)) {
                return batch.end_with(std::move(got.error()).within("read pack " + location.pack.brief()));
            } else if (read.frames.size() == 1 || got.error().kind == ErrorKind::not_found) {
                give_up(batch, frame, got.error());
            } else {
                // What can't be read at once may be readable in part: a pack that was cut off.
                add(batch, opened, frame, read_frame(*key, frame_location, memory, batch.stop));
            }
        }
        deliver(batch, opened);
    }

    Result<PackKey> derive(PackHeader const& header) const {
        auto const& repository = repository_.keys().repository;
        auto data = data_keys_->find(header.data_key);
        if (data) return PackKey::derive(repository, **data, header);
        // A mount lives for months: there may have been a rotation since.
        if (!repository_.ring({})) return fail(std::move(data).error());
        auto const now = repository_.data_keys();
        auto const* fresh = TRY(now->find(header.data_key));
        return PackKey::derive(repository, *fresh, header);
    }

    // The result lies in the scratch.
    Result<ByteView> read_frame(PackKey const& key, ChunkLocation const& location, FrameScratch& scratch,
                                std::stop_token stop) {
        auto sealed = TRY(repository_.store().get_range(pack_key(location.pack), location.frame_offset,
                                                        location.frame.stored, stop));
        return open_frame(key, location.frame_number, location.frame, sealed, scratch);
    }

    // Wants that are checked together; their frames lie in memory of their own.
    struct Opened {
        std::vector<Want const*> wants;
        std::vector<ByteView> chunks;
        std::size_t frames = 0, bytes = 0;
    };

    void add(Batch& batch, Opened& opened, FrameRead const& frame, Result<ByteView> raw) {
        if (!raw) return give_up(batch, frame, raw.error());
        ++opened.frames;
        opened.bytes += raw->size();
        for (auto const& want : frame.wants) {
            opened.wants.push_back(&want);
            opened.chunks.push_back(raw->subspan(want.location.offset, want.location.length));
        }
        if (opened.wants.size() >= kCheckedTogether || opened.bytes >= kCheckedBytes) deliver(batch, std::exchange(opened, {}));
    }

    // Hands chunks to the sink, or notes why not.
    void deliver(Batch& batch, Opened const& opened) {
        std::vector<Hash32> ids(opened.chunks.size());
        id_key_.of_each(opened.chunks, ids);
        for (std::size_t i = 0; i < ids.size(); ++i) {
            auto const& want = *opened.wants[i];
            if (ChunkId::from_bytes(ids[i]) != batch.wants[want.index]) {
                note(batch, want, other_bytes());
                continue;
            }
            auto done = batch.sink(want.index, opened.chunks[i]);
            if (!done) return batch.end_with(std::move(done.error()));
        }
    }

    void give_up(Batch& batch, FrameRead const& frame, Error const& error) {
        if (!is_local(error.kind)) {
            batch.end_with(Error(error).within("read pack " + frame.location().pack.brief()));
            return;
        }
        for (auto const& want : frame.wants) note(batch, want, error);
    }

    void note(Batch& batch, Want const& want, Error error) {
        error = at(want.location, batch.wants[want.index], std::move(error));
        std::lock_guard lock(batch.mutex);
        batch.again.push_back(want.index);
        batch.failures.insert_or_assign(want.index, std::move(error));
    }

    // The last resort, for chunks that none of their places gave: pack by pack, what parity brings back.
    Result<void> deliver_mended(Batch& batch, std::vector<Want> wants) {
        std::ranges::stable_sort(wants, {}, [](Want const& want) { return want.location.pack_number; });
        for (auto const& want : wants) {
            auto const& failure = batch.failures.at(want.index);
            auto mended = failure.kind == ErrorKind::key_refused ? Result<Bytes>(fail(failure))
                                                                 : mended_chunk(batch.wants[want.index], batch.stop);
            if (!mended && !is_local(mended.error().kind)) return fail(std::move(mended.error()));
            if (mended) {
                TRY(batch.sink(want.index, Result<ByteView>(ByteView(*mended))));
                continue;
            }
            // Why it was not there says more than why it could not be mended.
            TRY(batch.sink(want.index, Result<ByteView>(fail(batch.failures.at(want.index)))));
        }
        return {};
    }

    Result<Bytes> mended_chunk(ChunkId const& id, std::stop_token stop) {
        auto error = unknown(id);
        // One at a time: a whole pack is in memory.
        std::lock_guard lock(mended_mutex_);
        for (auto const& location : TRY(index_->find(id))) {
            auto pack = mended_pack(location, stop);
            if (!pack && !is_local(pack.error().kind)) return fail(std::move(pack.error()));
            if (!pack) {
                error = at(location, id, std::move(pack.error()));
                continue;
            }
            auto key = derive(location.header);
            if (!key) return fail(std::move(key.error()));
            FrameScratch scratch;
            auto sealed = pack->subspan(location.frame_offset, location.frame.stored);
            auto raw = open_frame(*key, location.frame_number, location.frame, sealed, scratch);
            if (!raw) continue;
            auto bytes = raw->subspan(location.offset, location.length);
            if (id_of(bytes) == id) return Bytes(bytes.begin(), bytes.end());
        }
        return fail(std::move(error));
    }

    // With mended_mutex_. The last one is kept: its neighbours are likely to be asked for next.
    Result<ByteView> mended_pack(ChunkLocation const& location, std::stop_token stop) {
        auto number = location.pack_number;
        if (auto known = unmendable_.find(number); known != unmendable_.end()) return fail(known->second);
        if (mended_number_ != number) {
            mended_number_.reset();
            mended_bytes_ = {};
            auto bytes = read_mended(repository_.store(), location.pack, location.pack_bytes, stop);
            if (!bytes) {
                if (is_local(bytes.error().kind)) unmendable_.emplace(number, bytes.error());
                return fail(std::move(bytes.error()));
            }
            mended_bytes_ = std::move(*bytes);
            mended_number_ = number;
        }
        return ByteView(mended_bytes_);
    }

    // The raw frame, from the cache or the store.
    Result<std::shared_ptr<Bytes const>> cached_frame(ChunkLocation const& location, std::stop_token stop) {
        std::pair key(location.pack_number, location.frame_number);
        {
            std::lock_guard lock(cache_mutex_);
            if (auto found = cache_index_.find(key); found != cache_index_.end()) {
                cache_.splice(cache_.begin(), cache_, found->second);
                return cache_.front().raw;
            }
        }
        auto pack = TRY(derive(location.header));
        // No call of others until it is copied.
        auto bytes = TRY(read_frame(pack, location, thread_frame_scratch(), stop));
        auto raw = std::make_shared<Bytes const>(bytes.begin(), bytes.end());
        std::lock_guard lock(cache_mutex_);
        if (!cache_index_.contains(key)) {
            cache_.push_front({key, raw});
            cache_index_[key] = cache_.begin();
            cache_bytes_ += raw->size();
            while (cache_bytes_ > kCacheBytes && cache_.size() > 1) {
                cache_bytes_ -= cache_.back().raw->size();
                cache_index_.erase(cache_.back().key);
                cache_.pop_back();
            }
        }
        return raw;
    }

    Repository& repository_;
    std::shared_ptr<Index> index_;
    FetchLimits const limits_;
    HmacKey const id_key_;
    std::shared_ptr<DataKeys const> const data_keys_;
    Fetch* const front_;  // who is asked for the chunks of lists

    std::mutex scratch_mutex_;
    std::vector<std::unique_ptr<Scratch>> scratches_;

    std::mutex mended_mutex_;
    std::optional<std::uint32_t> mended_number_;  // of the pack that mended_bytes_ is
    Bytes mended_bytes_;
    std::map<std::uint32_t, Error> unmendable_;

    using FrameKey = std::pair<std::uint32_t, std::uint32_t>;
    struct CachedFrame {
        FrameKey key;
        std::shared_ptr<Bytes const> raw;
    };
    std::mutex cache_mutex_;
    std::list<CachedFrame> cache_;  // most recently used first
    std::map<FrameKey, std::list<CachedFrame>::iterator> cache_index_;
    std::size_t cache_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Fetch> make_fetch_of(Repository& repository, std::shared_ptr<Index> index, FetchLimits limits,
                                     Fetch* front) {
    assert(repository.keys().data_private);
    return std::make_unique<FetchImpl>(repository, std::move(index), limits, front);
}

}  // namespace holdfast
