#pragma once

#include "codec/huffman.h"

namespace holdfast {

// A run of bytes: as they are, one byte for all of them, or in a Huffman code of its own with its table before it.
// docs/tensor-codec.md has it byte by byte.

// What a run takes at most beyond its bytes.
inline constexpr std::size_t kRunOverhead = 1 + 2 + 128;

// Writes `bytes` (a multiple of 4, not none), which are counted in `counts`, to `at`, in the way that takes the
// least. There is room for kRunOverhead + HuffmanEncoder::encoded_bytes_max(). Returns the end.
std::uint8_t* write_run(ByteView bytes, ByteCounts const& counts, HuffmanEncoder& encoder, std::uint8_t* at);
// Fills `bytes` (a multiple of 4, not none) from the front of `stored`, and takes that away from it. `damaged` when
// it is not one run of that many bytes, none of them above `most`.
Result<void> read_run(ByteView& stored, HuffmanDecoder& decoder, unsigned most, ByteSpan bytes);

}  // namespace holdfast
