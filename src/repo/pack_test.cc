#include "repo/pack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace holdfast {
namespace {

using testing::HasSubstr;

struct Example {
    RepositoryId repository;
    BoxKey data;
    HmacKey id_key{Bytes(32, 3)};
    std::vector<Bytes> raws;
    SealedPack sealed;
    Bytes object;

    PackId id() const { return sealed.summary.id; }
    PackReport check(ByteView pack) const { return check_pack(pack, id(), repository, data, id_key); }
};

Bytes join(auto const& parts) {
    Bytes joined;
    for (auto const& part : parts) joined.insert(joined.end(), part.begin(), part.end());
    return joined;
}

std::unique_ptr<PackBuilder> builder_for(Example const& example, Random& random) {
    return std::move(PackBuilder::create(example.repository, example.data.public_key, random,
                                         std::make_shared<Memory>(8u << 20))
                         .value());
}

// A pack of a raw frame, a solid zstd frame of three chunks, and a tree.
Example make_example(std::uint64_t seed = 1, std::size_t scale = 1) {
    SeededRandom random(seed);
    Example example{.repository = {}, .data = BoxKey::generate(random), .raws = {}, .sealed = {}, .object = {}};
    random.fill(example.repository.bytes);
    auto builder = builder_for(example, random);
    auto add = [&](ChunkKind kind, std::vector<Bytes> const& chunks) {
        std::vector<PackChunk> records;
        for (auto const& chunk : chunks) {
            auto id = example.id_key.of(chunk);
            records.push_back({ChunkId::from_bytes(id), static_cast<std::uint32_t>(chunk.size())});
        }
        auto raw = join(chunks);
        Bytes scratch;
        auto encoded = encode_frame(raw, {.zstd_level = 3}, scratch).value();
        auto& frame = builder->reserve(encoded.codec, kind, encoded.bytes.size(), records);
        EXPECT_TRUE(builder->seal(frame, encoded.bytes, raw));
        example.raws.push_back(raw);
    };
    Bytes noise(700 * scale);
    random.fill(noise);
    add(ChunkKind::data, {noise});
    add(ChunkKind::data, {Bytes(900, 'a'), Bytes(1, 'b'), Bytes(300, 'c')});
    add(ChunkKind::tree, {to_bytes("a tree")});
    example.sealed = std::move(*builder).finish(0);
    example.object = join(example.sealed.views());
    return example;
}

TEST(Pack, RoundTripsAndIsNamedByItsDirectory) {
    auto example = make_example();
    auto const& summary = example.sealed.summary;
    EXPECT_EQ(summary.bytes, example.object.size());
    EXPECT_EQ(pack_key(summary.id).text(), "packs/" + summary.id.hex().substr(0, 2) + "/" + summary.id.hex());
    auto report = example.check(example.object);
    ASSERT_TRUE(report.errors.empty()) << report.errors[0].message;
    EXPECT_TRUE(report.lost.empty());
    EXPECT_EQ(*report.summary, summary);
    EXPECT_EQ(summary.directory.frames.size(), 3u);
    EXPECT_EQ(summary.directory.frames[0].codec, Codec::raw);
    EXPECT_EQ(summary.directory.frames[1].codec, Codec::zstd);

    // A reader that has only the summary.
    auto key = PackKey::derive(example.repository, example.data, summary.header);
    ASSERT_TRUE(key);
    FrameScratch scratch;
    std::uint64_t offset = kPackHeaderBytes;
    for (std::uint32_t i = 0; i < 3; ++i) {
        auto const& frame = summary.directory.frames[i];
        auto raw = open_frame(*key, i, frame, ByteView(example.object).subspan(offset, frame.stored), scratch);
        ASSERT_TRUE(raw);
        EXPECT_TRUE(std::ranges::equal(*raw, example.raws[i]));
        offset += frame.stored;
    }
}

TEST(Pack, EveryFlippedByteIsFound) {
    auto const example = make_example();
    for (std::size_t i = 0; i < example.object.size(); ++i) {
        auto bad = example.object;
        bad[i] ^= static_cast<std::uint8_t>(1 + i % 255);
        EXPECT_FALSE(check_sectors(bad)) << i;
        EXPECT_FALSE(example.check(bad).errors.empty()) << i;
    }
}

// The sums are in the clear: an attacker mends them. Then the seals and ids must tell.
TEST(Pack, EveryFlippedByteIsFoundWithoutSectorSumsToo) {
    auto const example = make_example();
    auto trailer = *check_sectors(example.object);
    for (std::size_t i = 0; i < trailer.body; ++i) {
        auto bad = example.object;
        bad[i] ^= 0x40;
        auto report = example.check(bad);
        // The sum's error and one more.
        EXPECT_GE(report.errors.size(), 2u) << i;
    }
    EXPECT_EQ(trailer.body + trailer.bytes(), example.object.size());
}

TEST(Pack, EveryTruncationIsFound) {
    auto const example = make_example();
    for (std::size_t size = 0; size < example.object.size(); ++size) {
        auto report = example.check(ByteView(example.object).first(size));
        ASSERT_FALSE(report.errors.empty()) << size;
        EXPECT_EQ(report.errors[0].kind, ErrorKind::damaged);
    }
    auto longer = example.object;
    longer.push_back(0);
    EXPECT_FALSE(check_sectors(longer));
}

TEST(Pack, SectorSumsNameTheSector) {
    auto example = make_example(2, 4000);
    ASSERT_GT(example.object.size(), 2u * kSectorBytes);
    EXPECT_TRUE(check_sectors(example.object));
    example.object[kSectorBytes + 5] ^= 1;
    auto checked = check_sectors(example.object);
    ASSERT_FALSE(checked);
    EXPECT_THAT(checked.error().message, HasSubstr("1 of 3 sectors, the first at byte 1048576"));
    // The frames beside the bad one still open, and the lost chunks are named.
    auto report = example.check(example.object);
    EXPECT_EQ(report.lost, std::vector<ChunkId>{example.sealed.summary.directory.chunks[0].id});
}

TEST(Pack, IsBoundToItsRepositoryAndItsName) {
    auto example = make_example();
    RepositoryId other;
    other.bytes.fill(9);
    auto report = check_pack(example.object, example.id(), other, example.data, example.id_key);
    ASSERT_FALSE(report.errors.empty());

    auto swapped = make_example(2);
    swapped.repository = example.repository;
    report = example.check(swapped.object);
    ASSERT_FALSE(report.errors.empty());
    EXPECT_EQ(report.errors[0].kind, ErrorKind::key_refused);

    // Another pack of the same repository and key under this name.
    SeededRandom random(5);
    auto builder = builder_for(example, random);
    auto raw = to_bytes("other");
    auto id = example.id_key.of(raw);
    std::vector<PackChunk> chunks = {{ChunkId::from_bytes(id), 5}};
    ASSERT_TRUE(builder->seal(builder->reserve(Codec::raw, ChunkKind::data, 5, chunks), raw, raw));
    report = example.check(join(std::move(*builder).finish(0).views()));
    ASSERT_EQ(report.errors.size(), 1u);
    EXPECT_THAT(report.errors[0].message, HasSubstr("under this name"));
}

TEST(Pack, FramesDoNotOpenInAnotherSlot) {
    auto example = make_example();
    auto const& summary = example.sealed.summary;
    auto key = *PackKey::derive(example.repository, example.data, summary.header);
    FrameScratch scratch;
    auto frame = summary.directory.frames[0];
    auto sealed = ByteView(example.object).subspan(kPackHeaderBytes, frame.stored);
    EXPECT_TRUE(open_frame(key, 0, frame, sealed, scratch));
    EXPECT_FALSE(open_frame(key, 1, frame, sealed, scratch));
    frame.kind = ChunkKind::tree;
    EXPECT_FALSE(open_frame(key, 0, frame, sealed, scratch));
    frame = summary.directory.frames[0];
    frame.raw += 1;
    EXPECT_FALSE(open_frame(key, 0, frame, sealed, scratch));
}

TEST(Pack, ALiedChunkIdIsFound) {
    auto example = make_example();
    SeededRandom random(5);
    auto builder = builder_for(example, random);
    auto raw = to_bytes("garbage");
    std::vector<PackChunk> chunks = {{ChunkId{}, 7}};
    ASSERT_TRUE(builder->seal(builder->reserve(Codec::raw, ChunkKind::data, 7, chunks), raw, raw));
    auto pack = std::move(*builder).finish(0);
    auto report = check_pack(join(pack.views()), pack.summary.id, example.repository, example.data, example.id_key);
    ASSERT_EQ(report.errors.size(), 1u);
    EXPECT_EQ(report.lost, std::vector<ChunkId>{ChunkId{}});
}

TEST(Pack, BadMemoryIsFoundBeforeThePut) {
    auto example = make_example();
    SeededRandom random(5);
    auto builder = builder_for(example, random);
    Bytes raw(100'000, 'x');
    Bytes scratch;
    auto encoded = encode_frame(raw, {.zstd_level = 3}, scratch).value();
    raw[50'000] ^= 1;  // a bit flips between compression and comparison
    std::vector<PackChunk> chunks = {{ChunkId{}, 100'000}};
    auto& frame = builder->reserve(encoded.codec, ChunkKind::data, encoded.bytes.size(), chunks);
    auto sealed = builder->seal(frame, encoded.bytes, raw);
    ASSERT_FALSE(sealed);
    EXPECT_EQ(sealed.error().kind, ErrorKind::internal);
    EXPECT_THAT(sealed.error().message, HasSubstr("memory"));
}

// Whoever has the public key can seal what he likes: what a frame becomes is bounded by what its directory says.
TEST(Pack, ABombUnderASealThatFitsIsDamage) {
    SeededRandom random(1);
    auto data = BoxKey::generate(random);
    PackHeader header;
    auto key = PackKey::create({}, data.public_key, random, header).value();
    Bytes scratch, zeros(kFrameRawBytesMax);
    auto bomb = encode_frame(zeros, {}, scratch).value();
    ASSERT_LT(bomb.bytes.size(), 4096u);
    for (std::uint32_t said : {1u, 4096u, static_cast<std::uint32_t>(kFrameRawBytesMax) - 1}) {
        Bytes sealed(bomb.bytes.size() + kGcmTagBytes);
        key.seal({.number = 0, .kind = static_cast<std::uint8_t>(ChunkKind::data), .raw_length = said}, bomb.bytes, sealed);
        PackFrame frame{.codec = bomb.codec,
                        .kind = ChunkKind::data,
                        .stored = static_cast<std::uint32_t>(sealed.size()),
                        .chunks = 1,
                        .raw = said};
        FrameScratch memory;
        auto opened = open_frame(PackKey::derive({}, data, header).value(), 0, frame, sealed, memory);
        ASSERT_FALSE(opened) << said;
        EXPECT_EQ(opened.error().kind, ErrorKind::damaged);
        EXPECT_LE(memory.raw.size(), kFrameRawBytesMax);
    }
}

TEST(Pack, PaddingIsSmallAndHidesTheSize) {
    for (std::size_t scale : {1, 10, 1000, 3000}) {
        auto example = make_example(3, scale);
        auto trailer = *check_sectors(example.object);
        auto end = trailer.directory_offset + trailer.directory_bytes;
        EXPECT_LE(trailer.body - end, end / 100);
        if (scale == 3000) {
            EXPECT_EQ(trailer.body % 16384, 0u);
        }
    }
}

TEST(Pack, TheSameInputsGiveTheSameBytes) { EXPECT_EQ(make_example(4).object, make_example(4).object); }

TEST(Pack, OnlyItsOwnKeysNamePacks) {
    auto id = make_example().id();
    EXPECT_EQ(pack_of(pack_key(id)), id);
    EXPECT_FALSE(pack_of(ObjectKey("packs/00/" + id.hex())));
    EXPECT_FALSE(pack_of(ObjectKey("packs/" + id.hex())));
    EXPECT_FALSE(pack_of(ObjectKey("index/" + id.hex())));
}

Result<PackDirectory> decoded_directory(ByteView bytes) {
    ByteReader reader(bytes);
    return decode_directory(reader);
}

TEST(PackDirectory, RefusesEveryTruncationAndEveryFlipReadsBackTheSameOrFails) {
    auto const directory = make_example().sealed.summary.directory;
    ByteWriter writer;
    encode(directory, writer);
    auto const bytes = writer.take();
    EXPECT_EQ(*decoded_directory(bytes), directory);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_FALSE(decoded_directory(ByteView(bytes).first(size))) << size;
    }
    for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
        auto bad = bytes;
        bad[i / 8] ^= static_cast<std::uint8_t>(1u << i % 8);
        auto back = decoded_directory(bad);
        if (!back) continue;
        ByteWriter again;
        encode(*back, again);
        EXPECT_TRUE(std::ranges::equal(again.view(), ByteView(bad).first(again.size()))) << i;
    }
}

TEST(PackDirectory, RefusesHostileCounts) {
    for (std::uint32_t frames : {0u, 1u, 0x10000000u, 0xffffffffu}) {
        ByteWriter writer;
        writer.u32(frames);
        writer.u32(0xffffffff);
        writer.u32(0);
        EXPECT_FALSE(decoded_directory(writer.view()));
    }
}

}  // namespace
}  // namespace holdfast
