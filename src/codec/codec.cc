#include "codec/codec.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <memory>

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

}  // namespace

bool looks_incompressible(ByteView raw) {
    // Below this, compressing all of it costs as much as a sample.
    if (raw.size() < 2 * kSampleBytes) return false;
    std::array<std::uint8_t, kSampleBytes> sample;
    auto stride = (raw.size() - kSampleSliceBytes) / (kSampleSlices - 1);
    for (std::size_t i = 0; i < kSampleSlices; ++i) {
        std::memcpy(sample.data() + i * kSampleSliceBytes, raw.data() + i * stride,
                    kSampleSliceBytes);
    }
    std::array<std::uint8_t, ZSTD_COMPRESSBOUND(kSampleBytes)> packed;
    auto* context = compressor();
    if (!context) return false;
    auto size = ZSTD_compressCCtx(context, packed.data(), packed.size(), sample.data(),
                                  sample.size(), 1);
    return !ZSTD_isError(size) && size > kSampleBytes - kSampleBytes / 32;
}

Result<Encoded> encode_frame(ByteView raw, int zstd_level, Bytes& scratch) {
    assert(!raw.empty() && raw.size() <= kFrameRawBytesMax);
    Encoded plain{Codec::raw, raw};
    if (looks_incompressible(raw)) return plain;
    auto* context = compressor();
    if (!context) return fail(ErrorKind::internal, "compress: out of memory");
    if (auto bound = ZSTD_compressBound(raw.size()); scratch.size() < bound) scratch.resize(bound);
    auto size = ZSTD_compressCCtx(context, scratch.data(), scratch.size(), raw.data(), raw.size(),
                                  std::clamp(zstd_level, kZstdLevelMin, kZstdLevelMax));
    if (ZSTD_isError(size)) {
        return fail(ErrorKind::internal, std::string("compress: ") + ZSTD_getErrorName(size));
    }
    if (size > raw.size() - raw.size() / 64 || size >= raw.size()) return plain;
    return Encoded{Codec::zstd, ByteView(scratch).first(size)};
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
    }
    return fail(ErrorKind::damaged,
                "frame: unknown codec " + std::to_string(static_cast<unsigned>(codec)),
                "a newer version of Holdfast may have written it");
}

}  // namespace holdfast
