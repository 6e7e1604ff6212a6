#pragma once

#include <array>

#include "base/bytes.h"
#include "repo/buffer_pool.h"
#include "repo/layout.h"

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
//     while (!bytes.empty()) {
//         bytes = chunker.feed(bytes);
//         if (chunker.full()) use(chunker.take());
//     }
//     if (!chunker.empty()) use(chunker.take());
class Chunker {
  public:
    // `gear`, and `pool` if there is one (for large chunks' memory), outlive the chunker.
    Chunker(GearTable const& gear, Layout layout, BufferPool* pool = nullptr);

    // Takes bytes up to the end of the chunk at most; returns those that it did not take. Must not be
    // called while full().
    ByteView feed(ByteView bytes);
    // The chunk is complete.
    bool full() const { return full_; }
    bool empty() const { return buffer_.empty(); }
    // The chunk as far as it is, and a new one begins.
    Bytes take();
    // Passes over `length` bytes of the stream (a hole). The chunk must be empty.
    void skip(std::uint64_t length);

  private:
    std::size_t scan(ByteView bytes);
    std::size_t to_next_cut() const;

    GearTable const& gear_;
    BufferPool* pool_;
    Layout layout_;
    Bytes buffer_;
    std::uint64_t offset_ = 0;  // of the chunk's start in the stream
    std::uint64_t hash_ = 0;
    std::size_t next_cut_ = 0;  // index in layout_.cuts
    bool full_ = false;
};

}  // namespace holdfast
