#include "codec/codec.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include "codec/test_bytes.h"

namespace holdfast {
namespace {

Bytes text_bytes(std::size_t size) {
    Bytes bytes;
    bytes.reserve(size + 32);
    for (std::size_t i = 0; bytes.size() < size; ++i) {
        auto line = std::to_string(i * 7919) + " membrane potential\n";
        bytes.insert(bytes.end(), line.begin(), line.end());
    }
    bytes.resize(size);
    return bytes;
}

struct Kept {
    Codec codec;
    Bytes bytes;
};
Result<Kept> encoded_frame(ByteView raw, int level) {
    Bytes scratch;
    auto encoded = TRY(encode_frame(raw, {.zstd_level = level}, scratch));
    return Kept{encoded.codec, {encoded.bytes.begin(), encoded.bytes.end()}};
}

Bytes decoded(Kept const& encoded, Bytes const& raw) {
    Bytes out(raw.size());
    EXPECT_TRUE(decode_frame(encoded.codec, encoded.bytes, out));
    return out;
}

TEST(Codec, RoundTripsAtEverySize) {
    for (std::size_t size : {1ul, 2ul, 100ul, 4096ul, 65535ul, 65536ul, 1ul << 20, kFrameRawBytesMax}) {
        for (auto const& raw : {random_bytes(size, size), text_bytes(size), Bytes(size, 0)}) {
            auto encoded = encoded_frame(raw, 3);
            ASSERT_TRUE(encoded);
            EXPECT_EQ(decoded(*encoded, raw), raw);
        }
    }
}

TEST(Codec, ChoosesByContent) {
    EXPECT_EQ(encoded_frame(text_bytes(1 << 20), 3)->codec, Codec::zstd);
    EXPECT_EQ(encoded_frame(random_bytes(1 << 20, 1), 3)->codec, Codec::raw);
    EXPECT_EQ(encoded_frame(random_bytes(1000, 1), 3)->codec, Codec::raw);
    EXPECT_TRUE(looks_incompressible(random_bytes(1 << 20, 1)));
    EXPECT_FALSE(looks_incompressible(text_bytes(1 << 20)));
}

TEST(Codec, TriesWhenOnlyAPartIsCompressible) {
    auto raw = random_bytes(1 << 20, 1);
    std::fill(raw.begin() + (1 << 19), raw.end(), 7);
    auto encoded = encoded_frame(raw, 3);
    ASSERT_TRUE(encoded);
    EXPECT_EQ(encoded->codec, Codec::zstd);
    EXPECT_LT(encoded->bytes.size(), raw.size() * 6 / 10);
}

TEST(Codec, HeedsTheLevelAndBoundsIt) {
    auto raw = text_bytes(1 << 20);
    EXPECT_NE(encoded_frame(raw, 12)->bytes.size(), encoded_frame(raw, 1)->bytes.size());
    EXPECT_TRUE(encoded_frame(raw, 1000));
    EXPECT_TRUE(encoded_frame(raw, -1000));
}

TEST(Codec, UsesItsScratchAgain) {
    Bytes scratch;
    auto text = text_bytes(1 << 20);
    auto first = encode_frame(text, {.zstd_level = 3}, scratch);
    Bytes kept(first->bytes.begin(), first->bytes.end());
    auto const* data = scratch.data();
    EXPECT_EQ(encode_frame(text_bytes(1000), {.zstd_level = 3}, scratch)->bytes.data(), data);
    auto again = encode_frame(text, {.zstd_level = 3}, scratch);
    EXPECT_EQ(Bytes(again->bytes.begin(), again->bytes.end()), kept);
    auto raw = random_bytes(1 << 20, 1);
    EXPECT_EQ(encode_frame(raw, {.zstd_level = 3}, scratch)->bytes.data(), raw.data());
}

TEST(Codec, RefusesABomb) {
    // 64 MiB of zeros in a few kilobytes, said to be 1 MiB.
    Bytes zeros(64 << 20);
    Bytes packed(ZSTD_compressBound(zeros.size()));
    packed.resize(ZSTD_compress(packed.data(), packed.size(), zeros.data(), zeros.size(), 3));
    Bytes raw(1 << 20);
    EXPECT_EQ(decode_frame(Codec::zstd, packed, raw).error().kind, ErrorKind::damaged);
    // A streamed frame does not state its size: refused before it is decoded.
    auto* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    Bytes unstated(ZSTD_compressBound(raw.size()));
    unstated.resize(ZSTD_compress2(context, unstated.data(), unstated.size(), raw.data(), raw.size()));
    ZSTD_freeCCtx(context);
    EXPECT_FALSE(decode_frame(Codec::zstd, unstated, raw));
}

TEST(Codec, RefusesEveryOtherLength) {
    auto raw = text_bytes(200000);
    auto packed = encoded_frame(raw, 3)->bytes;
    for (std::size_t size : {0ul, 1ul, raw.size() - 1, raw.size() + 1}) {
        Bytes out(size);
        EXPECT_FALSE(decode_frame(Codec::zstd, packed, out)) << size;
        EXPECT_FALSE(decode_frame(Codec::raw, raw, out)) << size;
    }
    Bytes out(raw.size());
    for (std::size_t size = 0; size < packed.size(); size += 1 + packed.size() / 300) {
        EXPECT_FALSE(decode_frame(Codec::zstd, ByteView(packed).first(size), out)) << size;
    }
    packed.push_back(0);
    EXPECT_FALSE(decode_frame(Codec::zstd, packed, out));
    // Two frames that make the right sum are not one.
    auto half = text_bytes(100000);
    auto one = encoded_frame(half, 3)->bytes;
    auto two = one;
    two.insert(two.end(), one.begin(), one.end());
    EXPECT_FALSE(decode_frame(Codec::zstd, two, out));
}

TEST(Codec, RefusesAnUnknownCodec) {
    Bytes out(4);
    EXPECT_EQ(decode_frame(static_cast<Codec>(3), out, out).error().kind, ErrorKind::damaged);
}

TEST(Codec, SurvivesFlippedBytes) {
    auto raw = text_bytes(20000);
    auto const packed = encoded_frame(raw, 3)->bytes;
    for (std::size_t i = 0; i < packed.size(); ++i) {
        auto bad = packed;
        bad[i] ^= static_cast<std::uint8_t>(1 + i % 255);
        Bytes out(raw.size());
        (void)decode_frame(Codec::zstd, bad, out);  // may decode to something: ids tell
    }
}

}  // namespace
}  // namespace holdfast
