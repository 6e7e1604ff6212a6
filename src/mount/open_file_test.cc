#include "mount/open_file.h"

#include <atomic>
#include <gtest/gtest.h>
#include <random>

#include "archive/fake_chunks.h"

namespace holdfast {
namespace {

constexpr std::size_t kMiB = 1u << 20;

Bytes noise(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(engine());
    return bytes;
}

// A file of data, hole, data, hole, in chunks of 1,000 bytes: lists of two levels.
struct HoleyFile {
    HoleyFile() {
        chunks.chunk_bytes = 1000;
        FakeIngest ingest(chunks);
        auto stream = ingest.open_stream(ChunkKind::data, {});
        auto add = [&](std::size_t size, std::uint64_t seed) {
            auto part = noise(size, seed);
            EXPECT_TRUE(stream->append(part));
            bytes.insert(bytes.end(), part.begin(), part.end());
        };
        auto hole = [&](std::size_t size) {
            EXPECT_TRUE(stream->hole(size));
            bytes.resize(bytes.size() + size);
        };
        add(150'500, 1);
        hole(300'000);
        add(70'001, 2);
        hole(5);
        content = *stream->finish();
    }
    FakeChunks chunks;
    Bytes bytes;
    Content content;
};

Bytes joined(std::vector<Piece> const& pieces) {
    Bytes bytes;
    for (auto const& piece : pieces) bytes.insert(bytes.end(), piece.bytes.begin(), piece.bytes.end());
    return bytes;
}

TEST(FileMap, FindsDataAndHoles) {
    HoleyFile file;
    ASSERT_GE(file.content.depth, 1);
    FakeFetch fetch(file.chunks);
    auto map = *FileMap::load(fetch, file.content, {});
    EXPECT_EQ(map.size(), file.bytes.size());
    EXPECT_EQ(map.data_bytes(), 220'501u);
    EXPECT_EQ(map.next_hole(0), 150'500u);
    EXPECT_EQ(map.next_hole(200'000), 200'000u);
    EXPECT_EQ(map.next_data(150'499), 150'499u);
    EXPECT_EQ(map.next_data(150'500), 450'500u);
    EXPECT_EQ(map.next_hole(450'500), 520'501u);
    EXPECT_EQ(map.next_data(520'502), std::nullopt) << "only a hole follows";
    EXPECT_EQ(map.next_hole(file.bytes.size()), std::nullopt);
    EXPECT_EQ(map.find(file.bytes.size()), map.count());
}

TEST(FileMap, AFileWithoutHolesEndsInOne) {
    FakeChunks chunks;
    FakeIngest ingest(chunks);
    auto stream = ingest.open_stream(ChunkKind::data, {});
    ASSERT_TRUE(stream->append(noise(10, 1)));
    FakeFetch fetch(chunks);
    auto map = *FileMap::load(fetch, *stream->finish(), {});
    EXPECT_EQ(map.next_hole(3), 10u);
    auto empty = *FileMap::load(fetch, {}, {});
    EXPECT_EQ(empty.next_data(0), std::nullopt);
    EXPECT_EQ(empty.next_hole(0), std::nullopt);
}

TEST(OpenFile, GivesTheBytesAtAnyOffset) {
    HoleyFile file;
    FakeFetch fetch(file.chunks);
    ChunkCache cache(fetch, 50'000);  // a fraction of the file
    OpenFile open(std::make_shared<FileMap const>(*FileMap::load(fetch, file.content, {})), cache);
    std::mt19937_64 engine(7);
    for (int i = 0; i < 500; ++i) {
        auto offset = engine() % (file.bytes.size() + 100);
        auto size = 1 + engine() % 200'000;
        auto pieces = open.read(offset, size, {});
        ASSERT_TRUE(pieces) << pieces.error().message;
        auto from = std::min<std::uint64_t>(offset, file.bytes.size());
        auto to = std::min<std::uint64_t>(offset + size, file.bytes.size());
        auto begin = file.bytes.begin();
        ASSERT_EQ(joined(*pieces), Bytes(begin + static_cast<std::ptrdiff_t>(from), begin + static_cast<std::ptrdiff_t>(to)))
            << offset << " + " << size;
    }
}

TEST(OpenFile, ADamagedChunkIsAnErrorAndNeverAPart) {
    HoleyFile file;
    FakeFetch fetch(file.chunks);
    ChunkCache cache(fetch, kMiB);
    auto map = std::make_shared<FileMap const>(*FileMap::load(fetch, file.content, {}));
    file.chunks.damaged.insert(*map->extent(10).chunk);
    OpenFile open(map, cache);
    EXPECT_TRUE(open.read(0, 10'000, {}));
    auto pieces = open.read(5'000, 5'001, {});
    ASSERT_FALSE(pieces);
    EXPECT_EQ(pieces.error().kind, ErrorKind::damaged);
    file.chunks.damaged.clear();
    EXPECT_TRUE(open.read(5'000, 5'001, {})) << "a failure is not remembered";
}

TEST(OpenFile, AnExtentBeyondItsChunkIsDamage) {
    FakeChunks chunks;
    FakeFetch fetch(chunks);
    ChunkCache cache(fetch, kMiB);
    auto chunk = chunks.put(noise(100, 1));
    Content content{.size = 50, .depth = 0, .extents = {{chunk, 60, 50}}};
    OpenFile open(std::make_shared<FileMap const>(*FileMap::load(fetch, content, {})), cache);
    auto pieces = open.read(0, 50, {});
    ASSERT_FALSE(pieces);
    EXPECT_EQ(pieces.error().kind, ErrorKind::damaged);
}

TEST(ChunkCache, FetchesAheadOfAReader) {
    FakeChunks chunks;
    chunks.chunk_bytes = 64 << 10;
    FakeIngest ingest(chunks);
    auto stream = ingest.open_stream(ChunkKind::data, {});
    ASSERT_TRUE(stream->append(noise(8 * kMiB, 3)));
    auto content = *stream->finish();
    FakeFetch fetch(chunks);
    std::atomic<int> batches = 0;
    fetch.before_batch = [&] { ++batches; };
    ChunkCache cache(fetch, 16 * kMiB);
    OpenFile open(std::make_shared<FileMap const>(*FileMap::load(fetch, content, {})), cache);
    for (std::size_t at = 0; at < 8 * kMiB; at += 128 << 10) ASSERT_TRUE(open.read(at, 128 << 10, {}));
    EXPECT_GT(batches, 0);
    EXPECT_LT(batches, 8) << "in large batches";
}

TEST(ChunkCache, AReaderThatWaitsForWhatCannotBeHadHearsSo) {
    FakeChunks chunks;
    FakeFetch fetch(chunks);
    ChunkCache cache(fetch, kMiB);
    ChunkId nowhere;
    cache.ahead(std::span(&nowhere, 1));
    auto got = cache.get(nowhere, {});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace holdfast
