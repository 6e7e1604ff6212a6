#pragma once

#include <array>

#include "base/bytes.h"
#include "repo/layout.h"
#include "repo/memory_pool.h"

namespace holdfast {

// What the rolling hash adds for each byte value. Derived from the id key, so that where chunks end
// tells nothing about what they hold to those who do not have it.
using GearTable = std::array<std::uint64_t, 256>;
GearTable make_gear_table(ByteView id_key);

// Content-defined cutting. These numbers are part of the format in effect: other ones would still be
// read, but nothing would deduplicate against what is there.
inline constexpr std::size_t kChunkMin = 256u << 10;
inline constexpr std::size_t kChunkAverage = 1u << 20;
inline constexpr std::size_t kChunkMax = 4u << 20;
inline constexpr std::size_t kPagesChunk = 128u << 10;
inline constexpr std::size_t kStatedChunk = 1u << 20;

// Cuts one stream into chunks. The cuts depend on the bytes and the layout alone, never on how the
// bytes arrive.
//
// Layout::content is FastCDC (Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking
// Approach for Data Deduplication", USENIX ATC 2016) with its normalised chunking, level 2: a mask of
// 22 bits before the average size and of 18 bits behind it, and cut-point skipping: the first
// kChunkMin bytes of a chunk are not hashed.
//
// Bytes are written once, into room(), and a chunk is a slice of that memory:
//
//     chunker.filled(read(chunker.room()));      or  bytes = chunker.feed(bytes);
//     while (chunker.full()) use(chunker.take());
//     …
//     if (!chunker.empty()) use(chunker.take());
class Chunker {
  public:
    // `gear` and `pool` outlive the chunker.
    Chunker(GearTable const& gear, Layout layout, MemoryPool& pool);

    // Where the next bytes of the stream may be written: some kilobytes at least, until the next call
    // of anything else. Must not be called while full().
    ByteSpan room();
    // So many bytes of room() are there.
    void filled(std::size_t size);
    // Copies as many bytes as there is room for; returns the others.
    ByteView feed(ByteView bytes);

    // The chunk is complete.
    bool full() const { return full_; }
    bool empty() const { return begin_ == end_; }
    // What the chunk is an array of, as the layout states it.
    Element element() const;
    // The chunk as far as it is, and a new one begins.
    Slice take();
    // Passes over `length` bytes of the stream (a hole). The chunk must be empty.
    void skip(std::uint64_t length);

  private:
    void advance();
    void scan();
    std::size_t cut_behind() const;
    std::size_t to_next_cut() const;
    void move_to_new_memory();

    GearTable const& gear_;
    MemoryPool& pool_;
    Layout layout_;
    // The chunk is [begin_, at_) of memory_ so far, and what was looked at; [at_, end_) comes next.
    std::shared_ptr<Memory> memory_;
    std::size_t begin_ = 0, at_ = 0, end_ = 0;
    std::uint64_t offset_ = 0;  // of begin_ in the stream
    std::uint64_t hash_ = 0;
    std::size_t next_cut_ = 0;  // index in layout_.cuts
    bool full_ = false;
};

}  // namespace holdfast
