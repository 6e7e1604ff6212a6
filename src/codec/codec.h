#pragma once

#include "base/bytes.h"
#include "codec/element.h"

namespace holdfast {

// How the bytes of a frame are stored. The numbers are part of the repository's format.
enum class Codec : std::uint8_t {
    raw = 0,
    zstd = 1,  // one Zstandard frame (RFC 8878) that states its content size, without a checksum
    planes = 2,  // arrays of numbers, byte plane by byte plane: docs/tensor-codec.md
    // 3 (delta) is kept for tensor data.
};

// The largest run of bytes that is encoded as one.
inline constexpr std::size_t kFrameRawBytesMax = 8u << 20;
inline constexpr int kZstdLevelMin = 1;
inline constexpr int kZstdLevelMax = 19;

struct Encoded {
    Codec codec = Codec::raw;
    ByteView bytes;  // in the scratch, or the input itself for Codec::raw
};

struct EncodeOptions {
    int zstd_level = 3;
    Element element = Element::none;  // what `raw` is an array of, where that is known
};

// Makes `raw` (1 to kFrameRawBytesMax bytes) small. Numbers are coded in planes, unless zstd does better on
// a sample of them and then on the whole. For other bytes a sample decides whether zstd is tried at all. What
// is taken must win 1/64. The same input and options give the same output. `scratch` is made large enough and
// may be used again for the next. Fails only when memory is short (`internal`).
Result<Encoded> encode_frame(ByteView raw, EncodeOptions options, Bytes& scratch);

// Fills `raw`, whose size is the stated length, exactly. `damaged` when the stored bytes are not one
// whole encoding of that many bytes; then the content of `raw` is undefined. Never writes beyond it.
Result<void> decode_frame(Codec codec, ByteView stored, ByteSpan raw);

// Whether a sample of the bytes says that compression would not pay.
bool looks_incompressible(ByteView raw);

}  // namespace holdfast
