#pragma once

#include <array>
#include <memory>

#include "base/bytes.h"

namespace holdfast {

// Huffman coding of bytes with codes of at most 11 bits, in four streams that are written and read side by
// side, so that a processor works on all of them at once. The code is canonical: it follows from the
// lengths. docs/tensor-codec.md has it byte by byte.

inline constexpr unsigned kHuffmanBitsMax = 11;
inline constexpr std::size_t kHuffmanStreams = 4;

using ByteCounts = std::array<std::uint32_t, 256>;
using CodeLengths = std::array<std::uint8_t, 256>;  // 0: the byte has no code

// Counts how often each byte occurs. Neighbours are often equal, and adding to one place twice waits: there
// are eight tables, which are added up once.
class ByteCounter {
  public:
    void add(ByteView bytes);
    ByteCounts total() const;

  private:
    std::array<ByteCounts, 8> parts_{};
};

// The lengths of an optimal code (nearly: where the limit of 11 bits bends it). Two bytes at least occur.
CodeLengths code_lengths(ByteCounts const& counts);
// Bits that the counted bytes take.
std::uint64_t coded_bits(ByteCounts const& counts, CodeLengths const& lengths);

// Writes one run after another; keeps tables and memory between them.
class HuffmanEncoder {
  public:
    HuffmanEncoder();
    // `symbols.size()` is a multiple of 4, every symbol has a code. Writes four lengths (32 bits) and four
    // streams to `out`, which has room for encoded_bytes_max(symbols.size()). Returns the bytes written.
    std::size_t encode(CodeLengths const& lengths, ByteView symbols, std::uint8_t* out);
    static constexpr std::size_t encoded_bytes_max(std::size_t symbols) {
        return kHuffmanStreams * (sizeof(std::uint32_t) + 16 + symbols / kHuffmanStreams * kHuffmanBitsMax / 8);
    }

  private:
    // For two bytes a, b (index a | b << 8): both codes and in the low byte their length. Only the pairs of
    // bytes that have codes are ever written or read.
    std::unique_ptr<std::uint32_t[]> pairs_;
    Bytes streams_;
};

// Reads what HuffmanEncoder wrote, from bytes that are not trusted.
class HuffmanDecoder {
  public:
    HuffmanDecoder();
    // False when the lengths are not those of a complete code.
    bool set(CodeLengths const& lengths);
    // Fills `symbols` (a multiple of 4) from the front of `stored`, and takes that away from it. False when
    // it is not one encoding of that many symbols. Writes only into `symbols`, reads only from `stored`.
    bool decode(ByteView& stored, ByteSpan symbols) const;

  private:
    // By the next 11 bits: up to six symbols. Byte 0 is the bits that they take, bytes 1 to 6 are the
    // symbols, byte 7 their number.
    std::unique_ptr<std::uint64_t[]> table_;
    CodeLengths lengths_{};
};

}  // namespace holdfast
