#pragma once

#include "base/bytes.h"

namespace holdfast {

// How the bytes of a frame are stored. The numbers are part of the repository's format.
enum class Codec : std::uint8_t {
    raw = 0,
    zstd = 1,  // one Zstandard frame (RFC 8878) that states its content size, without a checksum
    // 2 (planes) and 3 (delta) are kept for tensor data.
};

// The largest run of bytes that is encoded as one.
inline constexpr std::size_t kFrameRawBytesMax = 8u << 20;
inline constexpr int kZstdLevelMin = 1;
inline constexpr int kZstdLevelMax = 19;

struct Encoded {
    Codec codec = Codec::raw;
    ByteView bytes;  // in the scratch, or the input itself for Codec::raw
};

// Makes `raw` (1 to kFrameRawBytesMax bytes) small. A sample decides whether zstd is tried at all,
// and zstd must win 1/64 to be taken. The same input and level give the same output. `scratch` is made
// large enough and may be used again for the next. Fails only when memory is short (`internal`).
Result<Encoded> encode_frame(ByteView raw, int zstd_level, Bytes& scratch);

// Fills `raw`, whose size is the stated length, exactly. `damaged` when the stored bytes are not one
// whole encoding of that many bytes; then the content of `raw` is undefined. Never writes beyond it.
Result<void> decode_frame(Codec codec, ByteView stored, ByteSpan raw);

// Whether a sample of the bytes says that compression would not pay.
bool looks_incompressible(ByteView raw);

}  // namespace holdfast
