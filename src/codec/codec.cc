#include "codec/codec.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <memory>

#include "codec/planes.h"

namespace holdfast {
namespace {

// Contexts are expensive to make and cheap to reuse: one of each for a thread.
struct FreeCompressor {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

ZSTD_CCtx* compressor() {
    static thread_local std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
    return context.get();
}

ZSTD_DCtx* decompressor() {
    static thread_local std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
    return context.get();
}

constexpr std::size_t kSampleSlices = 8;
constexpr std::size_t kSampleSliceBytes = 4096;
constexpr std::size_t kSampleBytes = kSampleSlices * kSampleSliceBytes;

// Bytes that zstd makes of kSampleBytes out of `raw`, which has twice as many at least; nothing when
// memory is short.
std::size_t zstd_sample(ByteView raw) {
    std::array<std::uint8_t, kSampleBytes> sample;
    auto stride = (raw.size() - kSampleSliceBytes) / (kSampleSlices - 1);
    for (std::size_t i = 0; i < kSampleSlices; ++i) {
        std::memcpy(sample.data() + i * kSampleSliceBytes, raw.data() + i * stride,
                    kSampleSliceBytes);
    }
    std::array<std::uint8_t, ZSTD_COMPRESSBOUND(kSampleBytes)> packed;
    auto* context = compressor();
    if (!context) return 0;
    auto size = ZSTD_compressCCtx(context, packed.data(), packed.size(), sample.data(),
                                  sample.size(), 1);
    return ZSTD_isError(size) ? 0 : size;
}

bool wins(std::size_t size, std::size_t raw) { return size <= raw - raw / 64 && size < raw; }

// zstd of all of it, in scratch[at…].
Result<Encoded> encode_zstd(ByteView raw, int level, Bytes& scratch, std::size_t at) {
    auto* context = compressor();
    if (!context) return fail(ErrorKind::internal, "compress: out of memory");
    auto bound = ZSTD_compressBound(raw.size());
    if (scratch.size() < at + bound) scratch.resize(at + bound);
    auto size = ZSTD_compressCCtx(context, scratch.data() + at, bound, raw.data(), raw.size(),
                                  std::clamp(level, kZstdLevelMin, kZstdLevelMax));
    if (ZSTD_isError(size)) {
        return fail(ErrorKind::internal, std::string("compress: ") + ZSTD_getErrorName(size));
    }
    return Encoded{Codec::zstd, ByteView(scratch).subspan(at, size)};
}

Result<Encoded> encode_numbers(ByteView raw, EncodeOptions options, Bytes& scratch) {
    auto room = planes_bytes_max(raw.size());
    if (scratch.size() < room) scratch.resize(room);
    auto size = encode_planes(raw, options.element, ByteSpan(scratch).first(room));
    // Numbers that repeat (indices, masks, a table of few values) are zstd's: worth the whole only when the
    // sample is clearly smaller. Of little data the whole costs no more than a sample.
    if (raw.size() >= 2 * kSampleBytes) {
        auto sample = zstd_sample(raw);
        if (sample == 0 || sample * raw.size() / kSampleBytes > size - size / 16) sample = 0;
        if (sample == 0) return Encoded{Codec::planes, ByteView(scratch).first(size)};
    }
    auto zstd = TRY(encode_zstd(raw, options.zstd_level, scratch, room));
    if (zstd.bytes.size() < size) return zstd;
    return Encoded{Codec::planes, ByteView(scratch).first(size)};
}

}  // namespace

bool looks_incompressible(ByteView raw) {
    // Below this, compressing all of it costs as much as a sample.
    if (raw.size() < 2 * kSampleBytes) return false;
    return zstd_sample(raw) > kSampleBytes - kSampleBytes / 32;
}

Result<Encoded> encode_frame(ByteView raw, EncodeOptions options, Bytes& scratch) {
    assert(!raw.empty() && raw.size() <= kFrameRawBytesMax);
    Encoded plain{Codec::raw, raw};
    if (options.element != Element::none) {
        auto numbers = TRY(encode_numbers(raw, options, scratch));
        return wins(numbers.bytes.size(), raw.size()) ? numbers : plain;
    }
    if (looks_incompressible(raw)) return plain;
    auto encoded = TRY(encode_zstd(raw, options.zstd_level, scratch, 0));
    return wins(encoded.bytes.size(), raw.size()) ? encoded : plain;
}

Result<void> decode_frame(Codec codec, ByteView stored, ByteSpan raw) {
    switch (codec) {
        case Codec::raw:
            if (stored.size() != raw.size()) {
                return fail(ErrorKind::damaged, "frame: raw bytes of another length than stated");
            }
            std::copy(stored.begin(), stored.end(), raw.begin());
            return {};
        case Codec::zstd: {
            // One frame that says its size, and nothing behind it: what encode_frame() writes.
            if (ZSTD_getFrameContentSize(stored.data(), stored.size()) != raw.size() ||
                ZSTD_findFrameCompressedSize(stored.data(), stored.size()) != stored.size()) {
                return fail(ErrorKind::damaged, "frame: zstd data of another length than stated");
            }
            auto* context = decompressor();
            if (!context) return fail(ErrorKind::internal, "decompress: out of memory");
            auto size = ZSTD_decompressDCtx(context, raw.data(), raw.size(), stored.data(),
                                            stored.size());
            if (ZSTD_isError(size) || size != raw.size()) {
                return fail(ErrorKind::damaged,
                            std::string("frame: zstd: ") +
                                (ZSTD_isError(size) ? ZSTD_getErrorName(size) : "ends early"));
            }
            return {};
        }
        case Codec::planes: return decode_planes(stored, raw);
    }
    return fail(ErrorKind::damaged,
                "frame: unknown codec " + std::to_string(static_cast<unsigned>(codec)),
                "a newer version of Holdfast may have written it");
}

}  // namespace holdfast
