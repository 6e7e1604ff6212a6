#pragma once

#include "base/bytes.h"
#include "codec/element.h"
#include "codec/plane_kernels.h"

namespace holdfast {

// Arrays of numbers as their differences to others of the same kind and number: the same tensor, some steps of
// training earlier. docs/tensor-codec.md has the format byte by byte. Pure functions; a thread keeps some memory
// from call to call.

// The room that encode_delta() needs at most.
std::size_t delta_bytes_max(std::size_t raw_bytes);

// Encodes `raw` (at most kFrameRawBytesMax bytes, not none) against `base`, which has as many, into `out`, which has
// delta_bytes_max(raw.size()). Returns how many bytes it wrote; that may be more than raw.size(), and more than
// encode_planes() needs without a base, when the two have little in common. The same bytes whatever the
// instructions, which are for tests.
std::size_t encode_delta(ByteView raw, ByteView base, Element element, ByteSpan out,
                         Instructions instructions = best_instructions());

// Fills `raw`, whose size is the stated length, exactly. `damaged` when `stored` is not one whole encoding of that
// many bytes, or `base` has another number of bytes; then the content of `raw` is undefined. With other bytes in
// `base` than were encoded against, other bytes come out, or `damaged`: whoever calls this proves both. Never
// writes beyond `raw`, and needs memory in proportion to it.
Result<void> decode_delta(ByteView stored, ByteView base, ByteSpan raw, Instructions instructions = best_instructions());

}  // namespace holdfast
