#include "repo/content.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

ChunkId chunk_id(std::uint8_t seed) {
    ChunkId id;
    id.bytes.fill(seed);
    return id;
}

Bytes encoded(Content const& content) {
    ByteWriter writer;
    encode(content, writer);
    return writer.take();
}

Result<Content> decoded(ByteView bytes) {
    ByteReader reader(bytes);
    auto content = TRY(decode_content(reader));
    if (!reader.done()) return fail(ErrorKind::damaged, "bytes behind the content");
    return content;
}

Content example() {
    return {.size = 4096 + (1ull << 40) + 7,
            .depth = 0,
            .extents = {{chunk_id(1), 512, 4096}, {{}, 0, 1ull << 40}, {chunk_id(2), 0, 7}}};
}

TEST(Content, RoundTrips) {
    Content list{.size = 1'000'000'000'000, .depth = 2, .extents = {{chunk_id(9), 0, 100}}};
    for (auto const& content : {Content{}, example(), list}) {
        auto back = decoded(encoded(content));
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_EQ(*back, content);
    }
}

TEST(Content, IsEncodedAsDocumented) {
    Content content{.size = 10, .depth = 0, .extents = {{{}, 0, 3}, {chunk_id(0xab), 300, 7}}};
    std::string run(64, 'a');
    for (std::size_t i = 1; i < run.size(); i += 2) run[i] = 'b';
    EXPECT_EQ(to_hex(encoded(content)), "0a0002" "0003" "01" + run + "ac0207");
}

TEST(Content, RefusesEveryTruncation) {
    auto bytes = encoded(example());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        auto back = decoded(ByteView(bytes).first(size));
        ASSERT_FALSE(back) << size;
        EXPECT_EQ(back.error().kind, ErrorKind::damaged);
    }
}

TEST(Content, EveryFlipFailsOrReadsBackTheSame) {
    auto const bytes = encoded(example());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        for (unsigned bit = 0; bit < 8; ++bit) {
            auto bad = bytes;
            bad[i] ^= static_cast<std::uint8_t>(1u << bit);
            auto back = decoded(bad);
            // One value has one spelling.
            if (back) {
                EXPECT_EQ(encoded(*back), bad) << i;
            }
        }
    }
}

Result<Content> decoded_raw(auto const& write) {
    ByteWriter writer;
    write(writer);
    return decoded(writer.view());
}

TEST(Content, RefusesWhatEncodeCannotWrite) {
    auto run = [](ByteWriter& w, std::uint64_t offset, std::uint64_t length) {
        w.u8(1);
        w.raw(chunk_id(1).view());
        w.varint(offset);
        w.varint(length);
    };
    auto head = [](ByteWriter& w, std::uint64_t size, std::uint8_t depth, std::uint64_t count) {
        w.varint(size);
        w.u8(depth);
        w.varint(count);
    };
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) { head(w, 5, 0, 1), run(w, 0, 6); }));  // wrong sum
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) { head(w, 5, 5, 1), run(w, 0, 5); }));  // too deep
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) { head(w, 5, 1, 0); }));                // empty list
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) { head(w, 0, 0, 1), run(w, 0, 0); }));  // empty extent
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) { head(w, 5, 1, 1), w.u8(0), w.varint(5); }));
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) { head(w, 5, 0, 1), w.u8(2), w.varint(5); }));
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) { head(w, 0, 0, 1ull << 60); }));  // hostile count
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) {  // beyond the largest chunk
        head(w, kChunkBytesMax, 0, 1), run(w, 1, kChunkBytesMax);
    }));
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) {  // offset wraps in 32 bits
        head(w, 5, 0, 1), run(w, 1ull << 32, 5);
    }));
    EXPECT_FALSE(decoded_raw([&](ByteWriter& w) {  // two holes overflow 64 bits
        head(w, 0, 0, 2), w.u8(0), w.varint(1ull << 63), w.u8(0), w.varint(1ull << 63);
    }));
}

}  // namespace
}  // namespace holdfast
