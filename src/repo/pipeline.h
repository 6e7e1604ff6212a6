#pragma once

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <unordered_set>

#include "repo/chunker.h"
#include "repo/index.h"
#include "repo/repository.h"

namespace holdfast {

// Which key pair a capture's packs are sealed to, and in whose packs a chunk counts as stored: what its
// readers could not open is stored again.
struct SealTo {
    BoxPublicKey public_key{};
    std::vector<DataKeyId> readable;
};

// The stages behind the producer: new chunks → frames → packs → store → index. The producer's thread
// calls; compression, sealing and puts are tasks on the executor.
//
// Order of writing: a pack is put before a segment names it, and a segment holds only packs whose put
// has succeeded. Chunks of a pack count as stored for deduplication within this pipeline as soon as
// they are taken in, because nothing is promised before flush() has succeeded.
class Pipeline : public std::enable_shared_from_this<Pipeline> {
  public:
    Pipeline(Repository& repository, std::shared_ptr<Index> index, SealTo seal_to, IngestLimits limits,
             std::stop_token stop);

    // The producer's side.
    // `element` is what a chunk is an array of.
    struct Chunk {
        Slice bytes;
        Element element = Element::none;
    };
    // Takes in chunks: computes their ids, and stores those that are not known. Waits while too much is in flight. Sixteen at
    // a time cost half of what each alone does (HmacKey::of_each).
    Result<std::vector<ChunkId>> store_chunks(ChunkKind kind, std::span<Chunk> chunks);
    // Whoever hears yes relies on it: see relied_on().
    bool knows(ChunkId const& id) const;
    Result<void> flush();
    // The packs in which lies what was taken in or known so far.
    std::set<PackId> relied_on() const;
    // Stores again what these packs hold, and relies on them no more. Flush before and after.
    Result<void> store_again(std::set<PackId> const& packs, Fetch& fetch, std::stop_token stop);
    // Stops what runs and waits for it: after this no task touches the repository.
    void close();
    // The first error of any stage, or that it was stopped.
    Result<void> check() const;
    IngestStatistics statistics() const;
    std::string const& pair() const { return limits_.pair; }
    GearTable const& gear() const { return gear_; }
    // Where the memory of chunks comes from.
    MemoryPool& memory() { return memory_; }

  private:
    // What may share a frame: small arrays of different elements would spoil each other's codes.
    using FrameOf = std::pair<ChunkKind, Element>;
    // Chunks that wait for a frame of their kind to fill.
    struct Group {
        std::shared_ptr<Memory> raw;
        std::size_t bytes = 0;
        std::vector<PackChunk> chunks;
    };
    struct FrameTask {
        ChunkKind kind;
        Element element;
        Slice raw;
        std::vector<PackChunk> chunks;
    };
    struct OpenPack {
        std::unique_ptr<PackBuilder> builder;
        std::size_t sealed = 0;
        bool closed = false;
    };
    static constexpr std::size_t kLanes = 2;  // content; trees and extent lists

    Result<void> store_chunk(ChunkKind kind, ChunkId const& id, Chunk chunk);
    Result<void> submit_group(FrameOf of);
    Result<void> submit_frame(FrameOf of, Slice raw, std::vector<PackChunk> chunks);
    // Returns when `ready` (called with the lock held) is true, or something failed.
    template <typename Ready>
    Result<void> wait(Ready const& ready);
    // Counts the task until it ends.
    template <typename Task>
    void post(Task task);

    // The tasks.
    Result<void> seal_frame(FrameTask& task);
    Result<void> store_pack(std::shared_ptr<OpenPack> const& pack);
    std::vector<PackSummary> take_unindexed();  // under the mutex
    void post_segment(std::vector<PackSummary> packs);
    Result<void> store_segment(SegmentGroup const& group);
    // With the lock held.
    void close_pack(std::shared_ptr<OpenPack>& pack);

    bool stopping() const;
    void fail_with(Error error);

    Repository& repository_;
    std::shared_ptr<Index> index_;
    SealTo const seal_to_;
    IngestLimits const limits_;
    HmacKey const id_key_;
    GearTable const gear_;
    std::stop_source stop_;
    MemoryPool memory_;

    // The producer's own.
    std::map<FrameOf, Group> groups_;  // those that are not empty

    mutable std::mutex mutex_;
    std::optional<Error> error_;
    std::unordered_set<ChunkId> pending_;  // taken in, not in the index yet
    std::array<std::shared_ptr<OpenPack>, kLanes> open_;
    std::vector<PackSummary> unindexed_;  // stored, not in the index yet
    std::size_t unindexed_chunks_ = 0;    // in them
    mutable std::unordered_set<PackId> relied_on_;
    std::size_t tasks_ = 0;
    std::size_t frame_bytes_ = 0;  // raw, in frame tasks
    std::size_t packs_ = 0;        // closed, not stored yet
    IngestStatistics statistics_;

    // Last: it may call request_stop() on stop_ as soon as it exists.
    std::stop_callback<std::function<void()>> forward_stop_;
};

}  // namespace holdfast
