#include "sources/postgres/relation_stream.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "archive/fake_chunks.h"
#include "archive/test_directory.h"
#include "archive/test_repository.h"
#include "formats/pg_page.h"
#include "os/file.h"

namespace holdfast::postgres {
namespace {

constexpr std::size_t kPages = RelationStream::kGroupBytes / kPgPageBytes;

Bytes pages_of(std::size_t pages, unsigned seed) {
    std::mt19937 random(seed);
    Bytes bytes(pages * kPgPageBytes);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    return bytes;
}
ByteSpan page_at(Bytes& bytes, std::size_t number) {
    return ByteSpan(bytes).subspan(number * kPgPageBytes, kPgPageBytes);
}

// Cuts where the layout says, as a repository does: the streams of FakeIngest cut by size alone.
class CuttingIngest : public FakeIngest {
  public:
    explicit CuttingIngest(FakeChunks& chunks) : FakeIngest(chunks) {}
    std::unique_ptr<Stream> open_stream(ChunkKind kind, Layout layout) override {
        return std::make_unique<Cutting>(*this, kind, std::move(layout));
    }

  private:
    class Cutting : public Stream {
      public:
        Cutting(CuttingIngest& ingest, ChunkKind kind, Layout layout)
            : ingest_(ingest), kind_(kind), layout_(std::move(layout)) {}
        Result<void> append(ByteView bytes) override {
            bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
            return {};
        }
        ByteSpan room() override { return {}; }
        Result<void> filled(std::size_t) override { return {}; }
        Result<void> hole(std::uint64_t) override { return {}; }
        Result<Content> finish() override {
            auto whole = ingest_.FakeIngest::open_stream(kind_, {});
            if (layout_.cuts.empty()) {
                TRY(whole->append(bytes_));
                return whole->finish();
            }
            Content all{.size = bytes_.size(), .depth = 0, .extents = {}};
            std::size_t begin = 0;
            layout_.cuts.push_back(bytes_.size());
            for (auto cut : layout_.cuts) {
                if (cut == begin) continue;
                auto part = ingest_.FakeIngest::open_stream(kind_, {});
                TRY(part->append(ByteView(bytes_).subspan(begin, cut - begin)));
                auto content = TRY(part->finish());
                all.extents.insert(all.extents.end(), content.extents.begin(), content.extents.end());
                begin = cut;
            }
            return all;
        }

      private:
        CuttingIngest& ingest_;
        ChunkKind kind_;
        Layout layout_;
        Bytes bytes_;
    };
};

struct Relations {
    FakeChunks chunks;
    CuttingIngest ingest{chunks};
    FastMac sums{Bytes(64, 7)};
    MappedFile map;
    Content content;

    Relations() { chunks.chunk_bytes = RelationStream::kGroupBytes; }

    // Stores the file over the map of the time before, in pieces of any size; how many bytes were new.
    std::uint64_t store(Bytes const& bytes, std::size_t piece = 10'000) {
        auto before = chunks.appended;
        RelationStream stream(ingest, sums, map);
        for (std::size_t at = 0; at < bytes.size(); at += piece)
            EXPECT_TRUE(stream.append(ByteView(bytes).subspan(at, std::min(piece, bytes.size() - at))));
        auto finished = stream.finish();
        EXPECT_TRUE(finished);
        content = finished.value();
        map = stream.map();
        expect(bytes);
        return chunks.appended - before;
    }
    void expect(Bytes const& bytes) {
        FakeFetch fetch(chunks);
        auto read = fetch.content(content, 1 << 30, {});
        ASSERT_TRUE(read) << read.error().message;
        EXPECT_TRUE(*read == bytes);
        EXPECT_EQ(content.size, bytes.size());
    }
};

TEST(RelationStream, WhatIsNewIsStoredByGroups) {
    Relations relations;
    auto bytes = pages_of(2 * kPages + 3, 1);
    EXPECT_EQ(relations.store(bytes), bytes.size());
    ASSERT_EQ(relations.content.extents.size(), 3u);
    EXPECT_EQ(relations.content.extents[0].length, RelationStream::kGroupBytes);
    EXPECT_EQ(relations.content.extents[2].length, 3 * kPgPageBytes);
}

TEST(RelationStream, OnlyPagesThatDifferAreStoredAgain) {
    Relations relations;
    auto bytes = pages_of(3 * kPages, 2);
    relations.store(bytes);
    EXPECT_EQ(relations.store(bytes), 0u);
    for (auto number : {0u, 5u, 6u, 31u, 47u}) page_at(bytes, number)[100] ^= 1;
    EXPECT_EQ(relations.store(bytes), 5 * kPgPageBytes);
    // What was carried over is carried over again.
    page_at(bytes, 7)[8000] ^= 1;
    EXPECT_EQ(relations.store(bytes, 1), kPgPageBytes);
}

TEST(RelationStream, FilesGrowAndShrink) {
    Relations relations;
    auto bytes = pages_of(kPages + 2, 3);
    relations.store(bytes);
    auto more = pages_of(kPages, 4);
    bytes.insert(bytes.end(), more.begin(), more.end());
    EXPECT_EQ(relations.store(bytes), more.size());
    bytes.resize(5 * kPgPageBytes);
    EXPECT_EQ(relations.store(bytes), 0u);
    bytes.clear();
    EXPECT_EQ(relations.store(bytes), 0u);
    EXPECT_TRUE(relations.content.extents.empty());
}

TEST(RelationStream, APageThatIsCutShortIsStoredEachTime) {
    Relations relations;
    auto bytes = pages_of(kPages + 1, 5);
    bytes.resize(bytes.size() - 1000);
    relations.store(bytes);
    EXPECT_EQ(relations.store(bytes), kPgPageBytes - 1000);
    bytes.resize(kPages * kPgPageBytes);
    EXPECT_EQ(relations.store(bytes), 0u);
}

TEST(RelationStream, PagesThatMovedAreNotTakenForTheirPlace) {
    Relations relations;
    auto bytes = pages_of(kPages, 6);
    relations.store(bytes);
    std::swap_ranges(page_at(bytes, 1).begin(), page_at(bytes, 1).end(), page_at(bytes, 9).begin());
    EXPECT_EQ(relations.store(bytes), 2 * kPgPageBytes);
}

TEST(RelationStream, WhatIsNotThereAnyMoreIsStoredAgain) {
    Relations relations;
    auto bytes = pages_of(2 * kPages, 7);
    relations.store(bytes);
    relations.chunks.forgotten.insert(*relations.map.extents[0].chunk);
    EXPECT_EQ(relations.store(bytes), RelationStream::kGroupBytes);
}

TEST(RelationStream, FragmentsAreBounded) {
    Relations relations;
    auto bytes = pages_of(8 * kPages, 8);
    relations.store(bytes);
    std::mt19937 random(9);
    for (int round = 0; round < 40; ++round) {
        for (int i = 0; i < 12; ++i) page_at(bytes, random() % (8 * kPages))[50] ^= static_cast<std::uint8_t>(1 + random() % 255);
        relations.store(bytes);
        ASSERT_LE(relations.map.extents.size(), 8 * RelationStream::kRunsMax);
    }
    // Every second page: more runs than a group may have.
    for (std::size_t number = 0; number < kPages; number += 2) page_at(bytes, number)[60] ^= 1;
    relations.store(bytes);
    EXPECT_EQ(relations.map.extents[0].length, RelationStream::kGroupBytes);
}

// More runs than are stored at once, among others that are carried over.
TEST(RelationStream, ManyRunsKeepTheirPlaces) {
    Relations relations;
    auto bytes = pages_of(40 * kPages, 20);
    relations.store(bytes);
    for (std::size_t number = 0; number < 40 * kPages; number += 3)
        if (number % 48 < 30) page_at(bytes, number)[77] ^= 1;
    relations.store(bytes);  // which compares
    EXPECT_GT(relations.map.extents.size(), 200u);
}

FileStamp stamp_at(std::uint64_t size, std::int64_t second) {
    return {.inode = 7, .size = size, .mtime = {second, 1}, .ctime = {second, 2}};
}

TEST(RelationStream, WhatWasReadTwiceAsOneFileIsCarriedOverUnread) {
    Relations relations;
    auto bytes = pages_of(40 * kPages, 11);
    relations.store(bytes);
    auto carry = [&](FileStamp const& stamp) {
        RelationStream stream(relations.ingest, relations.sums, relations.map);
        auto carried = stream.carry_over(stamp);
        EXPECT_TRUE(carried);
        if (!carried || !*carried) return false;
        relations.content = stream.finish().value();
        EXPECT_EQ(stream.map().sums, relations.map.sums);
        EXPECT_EQ(stream.map().crc32c, relations.map.crc32c);
        EXPECT_EQ(stream.map().still, relations.map.still);
        EXPECT_TRUE(stream.map().twice);
        relations.expect(bytes);
        return true;
    };
    auto stamp = stamp_at(bytes.size(), 100);
    EXPECT_FALSE(carry(stamp));
    relations.map.still = stamp;
    EXPECT_FALSE(carry(stamp));  // once
    relations.map.twice = true;
    relations.map.crc32c = 42;
    EXPECT_TRUE(carry(stamp));
    EXPECT_FALSE(carry(stamp_at(bytes.size(), 101)));
    EXPECT_FALSE(carry(stamp_at(bytes.size() + 8192, 100)));
    relations.chunks.forgotten.insert(*relations.map.extents[30].chunk);
    EXPECT_FALSE(carry(stamp));
}

TEST(RelationStream, ManyExtentsBecomeAList) {
    Relations relations;
    auto bytes = pages_of(40 * kPages, 10);
    relations.store(bytes);
    EXPECT_GT(relations.content.depth, 0);
    page_at(bytes, 333)[1] ^= 1;
    EXPECT_EQ(relations.store(bytes), kPgPageBytes);
}

struct Maps {
    TestDirectory directory;
    ManualClock clock{*parse_rfc3339("2026-11-28T10:00:00Z")};
    SeededRandom random{1};
    CachingRepository repository{clock, random, directory.path()};
    PageMapPlace place = *PageMapPlace::of(repository, "database");
    MappedFile file;

    Maps() {
        auto chunk = ChunkId::from_bytes(sha256(as_bytes("a chunk")));
        file.sums = {PageSum{1, 2, 3}, PageSum{4}, PageSum{5}};
        file.extents = {{chunk, 8192, 16384}, {ChunkId::from_bytes(sha256(as_bytes("another"))), 0, 9000}};
        file.still = stamp_at(16384 + 9000, 1'795'868'718);
        file.twice = true;
        file.crc32c = 0x7cb39c7d;
    }
    void write(std::vector<std::string> const& paths) {
        auto writer = PageMapWriter::create(place, random);
        ASSERT_TRUE(writer);
        for (auto const& path : paths) writer->add(path, file);
        writer->finish();
    }
    void replace(ByteView bytes) {
        std::ofstream(place.file, std::ios::binary | std::ios::trunc) << as_text(bytes);
    }
    bool knows(std::string const& path) {
        auto reader = PageMapReader::open(place);
        auto found = reader ? reader->find(path) : std::nullopt;
        return found && found->sums == file.sums && found->extents == file.extents && found->still == file.still &&
               found->twice == file.twice && found->crc32c == file.crc32c;
    }
};

TEST(PageMap, IsCurrentWhenItsBackupIsPublished) {
    Maps maps;
    EXPECT_FALSE(PageMapReader::open(maps.place));
    maps.write({"base/5/1259", "base/5/1260"});
    EXPECT_FALSE(maps.knows("base/5/1259"));
    ASSERT_TRUE(commit_page_map(maps.repository, "database"));
    EXPECT_TRUE(maps.knows("base/5/1259"));
    EXPECT_TRUE(maps.knows("base/5/1260"));
    EXPECT_FALSE(maps.knows("base/5/1261"));
    // A backup that is not published leaves it as it is.
    maps.write({"base/5/1261"});
    EXPECT_TRUE(maps.knows("base/5/1259"));
    EXPECT_TRUE(commit_page_map(maps.repository, "other"));
    EXPECT_FALSE(maps.knows("base/5/1261"));
}

TEST(PageMap, SaysWhenAllWasRead) {
    Maps maps;
    auto opened = [&](bool read_all) {
        auto pages = PageMaps::open(maps.repository, "database");
        ASSERT_TRUE(pages && pages->after);
        EXPECT_EQ(pages->read_all, read_all);
        pages->after->add("base/5/1259", maps.file);
        pages->after->finish();
        ASSERT_TRUE(commit_page_map(maps.repository, "database"));
    };
    opened(true);
    maps.clock.advance(std::chrono::days(3));
    opened(false);
    EXPECT_TRUE(maps.knows("base/5/1259"));
    maps.clock.advance(std::chrono::days(3));
    opened(false);
    maps.clock.advance(std::chrono::days(1));  // since the first, not since the last
    opened(true);
    opened(false);
    maps.clock.advance(-std::chrono::hours(1));  // it says a time that was not yet
    opened(true);
}

TEST(PageMap, EveryFlippedBitIsNoMap) {
    Maps maps;
    maps.write({"base/5/1259"});
    ASSERT_TRUE(commit_page_map(maps.repository, "database"));
    auto whole = read_file(maps.place.file, 1 << 20).value();
    for (std::size_t at = 0; at < whole.size(); ++at) {
        auto bytes = whole;
        bytes[at] ^= 0x10;
        maps.replace(bytes);
        EXPECT_FALSE(maps.knows("base/5/1259")) << at;
    }
    for (std::size_t size = 0; size < whole.size(); ++size) {
        maps.replace(ByteView(whole).first(size));
        EXPECT_FALSE(maps.knows("base/5/1259")) << size;
    }
    maps.replace(whole);
    EXPECT_TRUE(maps.knows("base/5/1259"));
}

TEST(PageMap, WhatAKilledBackupLeftIsRemoved) {
    Maps maps;
    auto left = maps.place.file.string() + ".0badc0de";
    std::filesystem::create_directories(maps.place.directory);
    std::ofstream(left) << "HFM1";
    auto living = PageMapWriter::create(maps.place, maps.random);
    ASSERT_TRUE(living);
    EXPECT_FALSE(std::filesystem::exists(left));
    maps.write({"base/5/1259"});  // another backup meanwhile
    living->add("base/5/1260", maps.file);
    living->finish();
    ASSERT_TRUE(commit_page_map(maps.repository, "database"));
    EXPECT_TRUE(maps.knows("base/5/1260"));
}

TEST(PageMap, AnotherDatasetsIsNone) {
    Maps maps;
    maps.write({"base/5/1259"});
    ASSERT_TRUE(commit_page_map(maps.repository, "database"));
    auto other = *PageMapPlace::of(maps.repository, "other");
    std::filesystem::copy_file(maps.place.file, other.file);
    auto reader = PageMapReader::open(other);
    ASSERT_TRUE(reader);
    EXPECT_FALSE(reader->find("base/5/1259"));
}

}  // namespace
}  // namespace holdfast::postgres
