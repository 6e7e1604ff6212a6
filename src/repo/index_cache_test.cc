#include "repo/index_cache.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/index.h"
#include "repo/test_world.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

template <typename SomeId>
SomeId id_number(std::uint64_t number) {
    return SomeId::from_bytes(sha256(as_bytes(std::to_string(number))));
}

// A pack of two frames with `chunks` each, all numbered from `first`.
PackSummary numbered_pack(std::uint64_t first, std::uint32_t chunks) {
    PackSummary pack;
    pack.id = id_number<PackId>(first + 1'000'000'000);
    pack.header.ephemeral.fill(static_cast<std::uint8_t>(first));
    std::uint64_t end = kPackHeaderBytes;
    for (int frame = 0; frame < 2; ++frame) {
        std::uint32_t raw = 0;
        for (std::uint32_t c = 0; c < chunks; ++c) {
            pack.directory.chunks.push_back({id_number<ChunkId>(first++), 50 + c % 100});
            raw += 50 + c % 100;
        }
        pack.directory.frames.push_back(
            {.codec = Codec::raw, .kind = ChunkKind::tree, .stored = raw + 16, .chunks = chunks, .raw = raw});
        end += raw + 16;
    }
    auto body = end + 500;
    pack.bytes = body + (body + kSectorBytes - 1) / kSectorBytes * 16 + 48;
    return pack;
}

bool nothing_is_proven(IndexPack const&) { return false; }

class IndexCacheTest : public testing::Test {
  protected:
    std::vector<DataKeyId> const data_keys{DataKeyId{}};  // what numbered packs are sealed to

    IndexCacheTest() { open(); }
    ~IndexCacheTest() override { fs::remove_all(directory); }
    static fs::path make_directory() {
        auto pattern = (fs::temp_directory_path() / "index-cache-XXXXXX").string();
        return mkdtemp(pattern.data());
    }

    // As another process would.
    void open() {
        repository = std::make_unique<TestRepository>(store, *executor, random, keys.clone(), certificates, cache);
    }
    std::string put_segment(std::vector<PackSummary> const& packs) {
        auto object = repository->seal(DocumentKind::index, encode_segment(packs));
        auto key = segment_key(object);
        EXPECT_TRUE(store.put(key, object, {}));
        for (auto const& pack : packs) said.push_back(pack);
        return key.text();
    }
    // So many that they are worth a file.
    void put_segments(std::uint64_t first, std::size_t segments, std::uint32_t chunks) {
        for (std::size_t i = 0; i < segments; ++i) {
            put_segment({numbered_pack(first, chunks), numbered_pack(first + 2 * chunks, chunks)});
            first += 4 * chunks;
        }
    }
    std::shared_ptr<Index> refresh(RefreshOptions options = {}) {
        gets = 0;
        store.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
            gets += operation == "get" ? 1 : 0;
            return {};
        };
        auto index = refresh_index(*repository, options, {});
        EXPECT_TRUE(index) << index.error().message;
        return index ? *index : nullptr;
    }
    std::vector<fs::path> files() const {
        std::vector<fs::path> found;
        if (!fs::exists(cache)) return found;
        for (auto const& entry : fs::recursive_directory_iterator(cache)) {
            if (entry.is_regular_file()) found.push_back(entry.path());
        }
        return found;
    }
    // That the index says of every pack what its writer said.
    void expect_all(Index const& index) const {
        ASSERT_EQ(index.packs()->size(), said.size());
        auto const packs = index.packs().value();
        for (std::size_t number = 0; number < packs.size(); ++number) {
            auto summary = std::ranges::find(said, packs[number].id, &PackSummary::id);
            ASSERT_NE(summary, said.end());
            EXPECT_EQ(packs[number].record, pack_record_hash(*summary));
            EXPECT_EQ(index.directory(number).value(), summary->directory);
            std::uint64_t offset = kPackHeaderBytes;
            auto chunk = summary->directory.chunks.begin();
            for (std::uint32_t f = 0; f < 2; ++f) {
                auto const& frame = summary->directory.frames[f];
                std::uint32_t at = 0;
                for (std::uint32_t c = 0; c < frame.chunks; ++c, ++chunk) {
                    auto found = index.find(chunk->id).value();
                    ASSERT_EQ(found.size(), 1u);
                    auto const& place = found[0];
                    ASSERT_EQ(std::tuple(place.pack, place.pack_bytes, place.pack_number, place.frame_number,
                                         place.frame_offset, place.offset, place.length),
                              std::tuple(summary->id, summary->bytes, number, f, offset, at, chunk->length));
                    ASSERT_EQ(place.header, summary->header);
                    ASSERT_EQ(place.frame, frame);
                    at += chunk->length;
                }
                offset += frame.stored;
            }
        }
        EXPECT_TRUE(index.find(id_number<ChunkId>(77'777'777))->empty());
    }

    fs::path const directory = make_directory();
    fs::path const cache = directory / "cache";
    TestStore store;
    SeededRandom random{1};
    std::unique_ptr<Executor> executor = make_thread_executor(2);
    KeyBundle keys = generate_first_bundle(random, "test");
    std::shared_ptr<TestRepository::Certificates> certificates = std::make_shared<TestRepository::Certificates>();
    std::unique_ptr<TestRepository> repository;
    std::vector<PackSummary> said;
    std::atomic<std::size_t> gets = 0;
};

TEST_F(IndexCacheTest, TheNextProcessReadsOnlyWhatIsNew) {
    put_segments(0, 10, 300);
    expect_all(*refresh());
    EXPECT_EQ(gets, 10u);
    EXPECT_EQ(files().size(), 1u);

    open();
    expect_all(*refresh());
    EXPECT_EQ(gets, 0u);

    // What is not worth a file is read again each time.
    put_segments(1'000'000, 1, 5);
    for (int i = 0; i < 2; ++i) {
        open();
        expect_all(*refresh());
        EXPECT_EQ(gets, 1u);
    }
    put_segments(2'000'000, 9, 5);
    open();
    expect_all(*refresh());
    EXPECT_EQ(gets, 10u);
    open();
    expect_all(*refresh());
    EXPECT_EQ(gets, 0u);
}

TEST_F(IndexCacheTest, SmallTablesBecomeOne) {
    for (std::uint64_t round = 0; round < 12; ++round) {
        put_segments(round * 100'000, 8, 20);
        open();
        expect_all(*refresh());
        EXPECT_LE(files().size(), 4u);
    }
}

TEST_F(IndexCacheTest, WhatTheStoreDoesNotListAnyMoreDoesNotCount) {
    put_segments(0, 8, 300);
    refresh();
    store.objects.erase(store.keys("index/").front());
    open();
    auto index = refresh();
    EXPECT_EQ(index->packs()->size(), 14u);
    EXPECT_EQ(gets, 7u);
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(IndexCacheTest, ATableIsItsRepositorysAndItsKeys) {
    put_segments(0, 8, 300);
    refresh();
    auto const theirs = files().front();
    auto const bytes = fs::file_size(theirs);
    keys = generate_bundle(keys, kAllRoles, "another", random);
    open();
    refresh();
    ASSERT_EQ(files().size(), 2u);
    for (auto const& file : files()) {
        if (file != theirs) fs::copy_file(theirs, file, fs::copy_options::overwrite_existing);
    }
    EXPECT_EQ(fs::file_size(theirs), bytes);
    open();
    expect_all(*refresh());
    EXPECT_EQ(gets, 8u);
}

TEST_F(IndexCacheTest, EveryDamagedByteIsNoticed) {
    put_segments(0, 8, 40);
    refresh();
    auto const file = files().front();
    std::ifstream in(file, std::ios::binary);
    std::string const good(std::istreambuf_iterator<char>(in), {});
    auto check = [&](std::string const& bytes) {
        fs::remove_all(cache / keys.repository.hex());
        fs::create_directories(file.parent_path());
        std::ofstream(file, std::ios::binary) << bytes;
        open();
        auto index = refresh({.check_packs = true});
        // Reading goes wrong once at the most; then everything is there, and what was damaged is not.
        auto packs = index->packs();
        for (auto const& pack : said) {
            auto found = index->find(pack.directory.chunks.front().id);
            if (!found) {
                EXPECT_EQ(found.error().kind, ErrorKind::damaged);
                index = refresh();
                break;
            }
        }
        for (std::size_t number = 0; number < said.size(); ++number) {
            if (index->directory(number)) continue;
            index = refresh();
            break;
        }
        expect_all(*index);
    };
    for (std::size_t at = 0; at < good.size(); at += 509 * kFlipStride) {
        auto bad = good;
        bad[at] = static_cast<char>(bad[at] ^ 16);
        check(bad);
    }
    for (std::size_t size = 0; size < good.size(); size += 1999 * kFlipStride) check(good.substr(0, size));
    check(good + std::string(4096, '\0'));
    check(good);
    EXPECT_EQ(gets, 0u);
}

// A writer that reads it in vain stores again; a reader makes another index and goes on.
TEST_F(IndexCacheTest, WhatBreaksWhileItIsUsedIsReadFromTheStore) {
    put_segments(0, 8, 300);
    refresh();
    open();
    auto index = refresh();
    std::ofstream(files().front(), std::ios::binary | std::ios::in) << std::string(fs::file_size(files().front()), 'x');
    auto const chunk = said.front().directory.chunks.front().id;
    EXPECT_FALSE(index->may_reuse(chunk, data_keys));
    auto found = index->find(chunk);
    ASSERT_FALSE(found);
    EXPECT_THAT(found.error().message, testing::HasSubstr("this machine's copy of the index"));
    EXPECT_TRUE(files().empty());
    expect_all(*refresh());
    EXPECT_EQ(gets, 8u);
    EXPECT_EQ(files().size(), 1u);
}

TEST_F(IndexCacheTest, WritersReuseWhatIsInFiles) {
    put_segments(0, 10, 300);
    refresh();
    open();
    auto index = refresh();
    std::map<PackId, std::uint64_t> sizes;
    for (auto const& pack : said) sizes[pack.id] = pack.bytes;
    sizes.erase(said[3].id);
    sizes[said[4].id] += 1;
    ASSERT_TRUE(index->choose_reusable(sizes, nothing_is_proven));
    index->exclude({said[5].id});
    for (std::size_t i = 0; i < said.size(); ++i) {
        for (auto const& chunk : said[i].directory.chunks) {
            auto pack = index->reusable_pack(chunk.id, data_keys);
            if (i == 3 || i == 4 || i == 5) {
                ASSERT_FALSE(pack) << i;
            } else {
                ASSERT_EQ(pack, said[i].id) << i;
            }
        }
    }
    // The filter lets through few of those that are not there, and they are not found either.
    for (std::uint64_t n = 0; n < 1000; ++n) EXPECT_FALSE(index->may_reuse(id_number<ChunkId>(n + 50'000'000), data_keys));
    // In a file meanwhile, packs that come are reused at once.
    std::size_t before = files().size();
    for (std::uint64_t i = 0; i < 30; ++i) {
        SegmentGroup group{keys.id, {numbered_pack(10'000'000 + i * 10'000, 2500)}};
        auto object = repository->seal(DocumentKind::index, encode_segment(group.packs));
        index->add_segment(segment_key(object).text(), {&group, 1});
        said.push_back(group.packs.front());
    }
    EXPECT_GT(files().size(), before);
    EXPECT_TRUE(index->may_reuse(said.back().directory.chunks.back().id, data_keys));
    EXPECT_TRUE(index->may_reuse(said[21].directory.chunks.back().id, data_keys));
    EXPECT_FALSE(index->may_reuse(said[3].directory.chunks.back().id, data_keys));
    EXPECT_TRUE(index->relies_on(said[3]).value());
    auto other = said[3];
    other.bytes += 1;
    EXPECT_FALSE(index->relies_on(other).value());
    expect_all(*index);
}

TEST_F(IndexCacheTest, OthersChunksAreReusedWhenTheyAreProven) {
    put_segments(0, 8, 300);
    auto const first = said.front();
    keys = generate_bundle(keys, kAllRoles, "another", random);
    open();
    refresh();
    open();
    auto index = refresh();
    std::map<PackId, std::uint64_t> sizes;
    for (auto const& pack : said) sizes[pack.id] = pack.bytes;
    ASSERT_TRUE(index->choose_reusable(sizes, nothing_is_proven));
    EXPECT_FALSE(index->may_reuse(first.directory.chunks[7].id, data_keys));
    ASSERT_TRUE(index->choose_reusable(sizes, [&](IndexPack const& pack) { return pack.id == first.id; }));
    EXPECT_TRUE(index->may_reuse(first.directory.chunks[7].id, data_keys));
    EXPECT_FALSE(index->may_reuse(said[1].directory.chunks[7].id, data_keys));
    EXPECT_TRUE(index->relies_on(first).value());
    EXPECT_FALSE(index->relies_on(said[1]).value());
}

TEST_F(IndexCacheTest, WithoutRoomForFilesItStaysInMemory) {
    std::ofstream(cache) << "no directory";
    put_segments(0, 10, 300);
    expect_all(*refresh());
    open();
    expect_all(*refresh());
    EXPECT_EQ(gets, 10u);
}

TEST_F(IndexCacheTest, ReadAfreshNothingIsBelievedThatIsKeptHere) {
    put_segments(0, 8, 300);
    refresh();
    expect_all(*refresh({.afresh = true}));
    EXPECT_EQ(gets, 8u);
    expect_all(*refresh());
    EXPECT_EQ(gets, 0u);
}

}  // namespace
}  // namespace holdfast
