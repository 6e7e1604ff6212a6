#pragma once

#include "base/bytes.h"
#include "codec/element.h"
#include "codec/plane_kernels.h"

namespace holdfast {

// Arrays of numbers, byte plane by byte plane: docs/tensor-codec.md has the format byte by byte. Pure
// functions; a thread keeps some memory from call to call.

// The room that encode_planes() needs at most.
std::size_t planes_bytes_max(std::size_t raw_bytes);

// Encodes `raw` (at most kFrameRawBytesMax bytes, not none) as elements of the given kind into `out`, which
// has planes_bytes_max(raw.size()) bytes. Returns how many it wrote; that may be more than raw.size() when
// nothing can be won. The same bytes whatever the instructions, which are for tests.
std::size_t encode_planes(ByteView raw, Element element, ByteSpan out,
                          Instructions instructions = best_instructions());

// Fills `raw`, whose size is the stated length, exactly. `damaged` when `stored` is not one whole encoding
// of that many bytes; then the content of `raw` is undefined. Never writes beyond it, and needs memory in
// proportion to it.
Result<void> decode_planes(ByteView stored, ByteSpan raw, Instructions instructions = best_instructions());

}  // namespace holdfast
