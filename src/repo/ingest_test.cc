#include "repo/ingest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "repo/chunker.h"
#include "repo/test_world.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

IngestLimits small_packs() {
    return {.pack_bytes = 1u << 20, .packs_in_flight_max = 2, .frames_in_flight_bytes = 4u << 20, .zstd_level = 1};
}

Result<Content> store(Ingest& ingest, ByteView bytes, ChunkKind kind = ChunkKind::data, Layout layout = {}) {
    auto stream = ingest.open_stream(kind, std::move(layout));
    while (!bytes.empty()) {
        auto piece = bytes.first(std::min<std::size_t>(bytes.size(), 300'000));
        TRY(stream->append(piece));
        bytes = bytes.subspan(piece.size());
    }
    return stream->finish();
}

Result<Bytes> read(Repository& repository, Content const& content) {
    auto fetch = TRY(repository.begin_fetch({}, {}));
    return fetch->content(content, UINT64_MAX, {});
}

// Each test runs on threads and in seeded loops.
struct World {
    std::string name;
    std::function<std::unique_ptr<Executor>()> make;
};
class IngestTest : public testing::TestWithParam<int> {
  protected:
    std::unique_ptr<Executor> make_executor() {
        return GetParam() == 0 ? make_thread_executor(3)
                               : make_seeded_executor(static_cast<std::uint64_t>(GetParam()));
    }
    std::unique_ptr<Ingest> begin(IngestLimits limits = small_packs(), std::stop_token stop = {}) {
        auto ingest = repository.begin_ingest(limits, stop);
        EXPECT_TRUE(ingest) << ingest.error().message;
        return ingest ? std::move(*ingest) : nullptr;
    }
    void expect_stored(Content const& content, Bytes const& bytes) {
        auto back = read(repository, content);
        ASSERT_TRUE(back) << back.error().message;
        EXPECT_TRUE(*back == bytes);
    }

    TestStore store_;
    SeededRandom random{7};
    std::unique_ptr<Executor> executor = make_executor();
    TestRepository repository{store_, *executor, random, generate_first_bundle(random, "test")};
};
INSTANTIATE_TEST_SUITE_P(Executors, IngestTest, testing::Values(0, 1, 2), [](auto const& info) {
    return info.param == 0 ? std::string("Threads") : "Seed" + std::to_string(info.param);
});

TEST_P(IngestTest, WhatGoesInComesOut) {
    auto ingest = begin();
    std::vector<std::pair<Content, Bytes>> stored;
    for (std::size_t size : {0ul, 1ul, 1000ul, 200'000ul, kChunkMin, 3'000'000ul, 9'000'000ul}) {
        for (auto const& bytes : {noise(size, size), prose(size, size), Bytes(size, 0)}) {
            auto content = store(*ingest, bytes);
            ASSERT_TRUE(content) << content.error().message;
            EXPECT_EQ(content->size, size);
            stored.emplace_back(*content, bytes);
        }
    }
    auto tree = store(*ingest, to_bytes("a tree"), ChunkKind::tree);
    ASSERT_TRUE(tree);
    stored.emplace_back(*tree, to_bytes("a tree"));
    ASSERT_TRUE(ingest->flush());
    for (auto const& [content, bytes] : stored) expect_stored(content, bytes);
    auto statistics = ingest->statistics();
    EXPECT_EQ(statistics.packs, store_.keys("packs/").size());
    std::uint64_t total = 0;
    for (auto const& key : store_.keys("packs/")) total += store_.objects[key].size();
    EXPECT_EQ(statistics.bytes_stored, total);
    EXPECT_GE(store_.keys("index/").size(), 2u);
}

TEST_P(IngestTest, EveryPackIsWholeAndNamedByTheIndex) {
    auto ingest = begin();
    ASSERT_TRUE(store(*ingest, noise(12'000'000, 1)));
    ASSERT_TRUE(ingest->flush());
    ingest.reset();
    auto index = *refresh_index(repository, {}, {});
    auto packs = index->packs().value();
    EXPECT_EQ(packs.size(), store_.keys("packs/").size());
    BoxKey data{repository.keys().data_private->clone(), repository.keys().data_public};
    HmacKey id_key(repository.keys().id_key.view());
    for (std::size_t i = 0; i < packs.size(); ++i) {
        auto const& object = store_.objects[pack_key(packs[i].id).text()];
        auto report = check_pack(object, packs[i].id, repository.id(), data, id_key);
        EXPECT_THAT(report.errors, IsEmpty());
        EXPECT_EQ(report.summary->directory, index->directory(i).value());
        EXPECT_EQ(object.size(), packs[i].bytes);
    }
}

TEST_P(IngestTest, TheSameBytesAreStoredOnce) {
    auto bytes = noise(5'000'000, 2);
    auto ingest = begin();
    auto first = store(*ingest, bytes);
    auto again = store(*ingest, bytes);  // still pending
    ASSERT_TRUE(first && again);
    EXPECT_EQ(*first, *again);
    ASSERT_TRUE(ingest->flush());
    auto objects = store_.objects.size();
    EXPECT_EQ(*store(*ingest, bytes), *first);  // in the index
    ASSERT_TRUE(ingest->flush());
    ingest = begin();
    EXPECT_EQ(*store(*ingest, bytes), *first);  // in the store
    ASSERT_TRUE(ingest->flush());
    EXPECT_EQ(store_.objects.size(), objects);
    EXPECT_EQ(ingest->statistics().chunks_new, 0u);
    for (auto const& extent : first->extents) EXPECT_TRUE(ingest->knows(*extent.chunk));
    EXPECT_FALSE(ingest->knows(ChunkId{}));
}

TEST_P(IngestTest, HolesTakeNoRoomAndCutChunks) {
    auto ingest = begin();
    auto stream = ingest->open_stream(ChunkKind::data, {});
    ASSERT_TRUE(stream->hole(1ull << 40));
    ASSERT_TRUE(stream->hole(5));
    ASSERT_TRUE(stream->append(as_bytes("abc")));
    ASSERT_TRUE(stream->append(as_bytes("def")));
    ASSERT_TRUE(stream->hole(7));
    ASSERT_TRUE(stream->append(as_bytes("ghi")));
    ASSERT_TRUE(stream->hole(0));
    ASSERT_TRUE(stream->hole(9));
    auto content = stream->finish();
    ASSERT_TRUE(content);
    EXPECT_EQ(content->size, (1ull << 40) + 5 + 6 + 7 + 3 + 9);
    ASSERT_EQ(content->extents.size(), 5u);
    EXPECT_EQ(content->extents[0], (Extent{{}, 0, (1ull << 40) + 5}));
    EXPECT_EQ(content->extents[1].length, 6u);
    EXPECT_EQ(content->extents[2], (Extent{{}, 0, 7}));
    EXPECT_EQ(content->extents[4], (Extent{{}, 0, 9}));
    EXPECT_EQ(stream->chunks().size(), 2u);
}

// Many extents: 64 KiB of data and a hole, again and again, until a list of lists is needed.
Result<Content> store_fragmented(Ingest& ingest, std::size_t pieces, Bytes& all) {
    auto stream = ingest.open_stream(ChunkKind::data, {});
    for (std::size_t i = 0; i < pieces; ++i) {
        auto piece = to_bytes("piece " + std::to_string(i));
        TRY(stream->append(piece));
        TRY(stream->hole(3));
        all.insert(all.end(), piece.begin(), piece.end());
        all.insert(all.end(), 3, 0);
    }
    return stream->finish();
}

TEST_P(IngestTest, ManyExtentsBecomeLists) {
    for (std::size_t pieces : {16ul, 17ul, 1000ul, 40'000ul}) {
        SCOPED_TRACE(pieces);
        auto ingest = begin();
        Bytes all;
        auto content = store_fragmented(*ingest, pieces, all);
        ASSERT_TRUE(content) << content.error().message;
        ASSERT_TRUE(ingest->flush());
        EXPECT_EQ(content->depth, pieces == 16 ? 0 : 1);
        EXPECT_LE(content->extents.size(), kInlineExtentsMax);
        expect_stored(*content, all);
        // Deterministic: nothing new the second time.
        auto objects = store_.objects.size();
        Bytes again;
        EXPECT_EQ(*store_fragmented(*ingest, pieces, again), *content);
        ASSERT_TRUE(ingest->flush());
        EXPECT_EQ(store_.objects.size(), objects);
    }
}

TEST_P(IngestTest, AStreamNamesEveryChunkThatItNeeds) {
    auto ingest = begin();
    auto stream = ingest->open_stream(ChunkKind::data, {.cut = Layout::Cut::pages, .cuts = {}});
    ASSERT_TRUE(stream->append(noise(40 * kPagesChunk, 3)));
    auto content = stream->finish();
    ASSERT_TRUE(content && ingest->flush());
    EXPECT_EQ(content->depth, 1);
    std::set<ChunkId> named(stream->chunks().begin(), stream->chunks().end());
    EXPECT_EQ(named.size(), 41u);  // and one of the list
    for (auto const& extent : content->extents) EXPECT_TRUE(named.contains(*extent.chunk));
    auto fetch = *repository.begin_fetch({}, {});
    ASSERT_TRUE(fetch->extents(
        *content,
        [&](std::span<Extent const> run) -> Result<void> {
            for (auto const& extent : run) EXPECT_TRUE(named.contains(*extent.chunk));
            return {};
        },
        {}));
}

// What is stored and not named yet lies in memory, and is stored again after a crash.
TEST_P(IngestTest, ManyTinyChunksAreNamedInGoodTime) {
    auto ingest = begin({.pack_bytes = 1u << 20});
    for (std::uint64_t i = 0; i < 200'000 / kDataShare; ++i) {
        ByteWriter writer;
        for (auto factor : {0x9e3779b97f4a7c15u, 0xbf58476d1ce4e5b9u}) writer.u64((i + 1) * factor);
        ASSERT_TRUE(store(*ingest, writer.take()));
    }
    ASSERT_TRUE(ingest->flush());
    EXPECT_LT(store_.keys("packs/").size(), 8u);
    EXPECT_GE(store_.keys("index/").size(), kDataShare > 1 ? 1u : 2u);
}

TEST_P(IngestTest, SmallChunksShareFrames) {
    auto ingest = begin({});
    for (std::size_t i = 0; i < 1000; ++i) ASSERT_TRUE(store(*ingest, prose(5000, i)));
    ASSERT_TRUE(ingest->flush());
    auto index = *refresh_index(repository, {}, {});
    ASSERT_EQ(index->packs().value().size(), 1u);
    EXPECT_EQ(index->packs().value()[0].chunks, 1000u);
    EXPECT_LE(index->packs().value()[0].frames, 6u);
}

TEST_P(IngestTest, TreesLieInPacksOfTheirOwn) {
    auto ingest = begin();
    ASSERT_TRUE(store(*ingest, noise(1000, 1)));
    ASSERT_TRUE(store(*ingest, noise(1000, 2), ChunkKind::tree));
    ASSERT_TRUE(ingest->flush());
    EXPECT_EQ(store_.keys("packs/").size(), 2u);
    EXPECT_EQ(store_.keys("index/").size(), 1u);
}

TEST_P(IngestTest, ChunksOfAnotherWriterAreStoredAgain) {
    auto certificates = std::make_shared<TestRepository::Certificates>();
    auto first = generate_first_bundle(random, "first");
    auto second = generate_bundle(first, kAllRoles, "second", random);
    TestRepository ours(store_, *executor, random, std::move(first), certificates);
    TestRepository theirs(store_, *executor, random, std::move(second), certificates);
    auto bytes = noise(1'000'000, 4);
    auto ingest = *theirs.begin_ingest(small_packs(), {});
    ASSERT_TRUE(store(*ingest, bytes) && ingest->flush());
    ingest = *ours.begin_ingest(small_packs(), {});
    auto content = store(*ingest, bytes);
    ASSERT_TRUE(content && ingest->flush());
    EXPECT_GT(ingest->statistics().chunks_new, 0u);
    auto fetch = *ours.begin_fetch({}, {});
    EXPECT_EQ(fetch->locations(*content->extents[0].chunk).size(), 2u);
}

TEST_P(IngestTest, ChunksOfAPackThatIsGoneAreStoredAgain) {
    auto bytes = noise(1'000'000, 5);
    auto ingest = begin();
    auto content = store(*ingest, bytes);
    ASSERT_TRUE(content && ingest->flush());
    ingest.reset();
    store_.objects.erase(store_.keys("packs/").front());
    EXPECT_FALSE(read(repository, *content));
    ingest = begin();
    EXPECT_FALSE(ingest->knows(*content->extents[0].chunk));
    EXPECT_EQ(*store(*ingest, bytes), *content);
    ASSERT_TRUE(ingest->flush());
    ingest.reset();
    expect_stored(*content, bytes);
}

TEST_P(IngestTest, AnInterruptedBackupIsTakenUpWhereItsIndexEnded) {
    auto bytes = noise(30'000'000, 6);
    auto ingest = begin();
    ASSERT_TRUE(store(*ingest, bytes));
    ingest.reset();  // no flush
    EXPECT_GE(store_.keys("index/").size(), 1u);
    ingest = begin();
    auto content = store(*ingest, bytes);
    ASSERT_TRUE(content && ingest->flush());
    EXPECT_GT(ingest->statistics().chunks_known, 5u);
    expect_stored(*content, bytes);
}

TEST_P(IngestTest, MemoryInFlightIsBounded) {
    // The store refuses to take more than one pack until the producer waits.
    std::size_t puts = 0, most = 0, running = 0;
    std::mutex mutex;
    store_.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation != "put") return {};
        {
            std::lock_guard lock(mutex);
            ++puts;
            most = std::max(most, ++running);
        }
        if (GetParam() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
        std::lock_guard lock(mutex);
        --running;
        return {};
    };
    auto ingest = begin();
    constexpr std::size_t kPacks = 40 / kDataShare;
    ASSERT_TRUE(store(*ingest, noise(kPacks * 1'000'000, 7)));
    {
        // All but those in flight are stored already.
        std::lock_guard lock(mutex);
        EXPECT_GE(puts + 15, kPacks);
    }
    ASSERT_TRUE(ingest->flush());
    EXPECT_LE(most, 3u);
}

TEST_P(IngestTest, TheFirstErrorSticks) {
    store_.before = [&](std::string_view operation, ObjectKey const& key) -> Result<void> {
        if (operation == "put" && key.text().starts_with("packs/")) return fail(ErrorKind::no_space, "the disk is full");
        return {};
    };
    auto ingest = begin();
    Result<void> done;
    for (std::uint64_t i = 0; i < 200 && done; ++i) {
        auto content = store(*ingest, noise(500'000, i));
        if (!content) done = fail(content.error());
    }
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::no_space);
    EXPECT_THAT(done.error().message, HasSubstr("store pack"));
    EXPECT_EQ(ingest->flush().error().kind, ErrorKind::no_space);
    EXPECT_EQ(store(*ingest, noise(1, 1)).error().kind, ErrorKind::no_space);
    EXPECT_THAT(store_.keys("index/"), IsEmpty());
}

TEST_P(IngestTest, StopsAtOnce) {
    std::stop_source stop;
    auto ingest = begin(small_packs(), stop.get_token());
    ASSERT_TRUE(store(*ingest, noise(3'000'000, 8)));
    stop.request_stop();
    EXPECT_EQ(store(*ingest, noise(10, 9)).error().kind, ErrorKind::cancelled);
    EXPECT_EQ(ingest->flush().error().kind, ErrorKind::cancelled);
}

// Dropped at each store operation: what was promised before stays whole, and the next backup works.
TEST_P(IngestTest, DroppedOrFailedAtEachOperation) {
    auto const earlier = noise(3'000'000 / kDataShare, 10);
    auto ingest = begin();
    auto point = store(*ingest, earlier);
    ASSERT_TRUE(point && ingest->flush());
    ingest.reset();
    auto const before = store_.objects;

    auto bytes = earlier;
    auto more = noise(6'000'000 / kDataShare, 11);
    bytes.insert(bytes.end(), more.begin(), more.end());
    for (std::size_t fail_at = 0;; ++fail_at) {
        SCOPED_TRACE(fail_at);
        store_.objects = before;
        std::mutex mutex;
        std::size_t operations = 0;
        bool failed = false;
        store_.before = [&](std::string_view, ObjectKey const&) -> Result<void> {
            std::lock_guard lock(mutex);
            if (operations++ < fail_at) return {};
            failed = true;
            return fail(ErrorKind::unreachable, "gone");
        };
        auto run = [&]() -> Result<void> {
            auto next = TRY(repository.begin_ingest(small_packs(), {}));
            TRY(store(*next, bytes));
            return next->flush();
        };
        auto done = run();
        store_.before = nullptr;
        EXPECT_EQ(!done, failed);
        expect_stored(*point, earlier);
        // No index names a pack that is not there.
        auto index = *refresh_index(repository, {}, {});
        auto const packs = index->packs().value();
        for (auto const& pack : packs) EXPECT_TRUE(store_.objects.contains(pack_key(pack.id).text()));
        auto again = begin();
        auto content = store(*again, bytes);
        ASSERT_TRUE(content && again->flush());
        expect_stored(*content, bytes);
        if (!failed) break;
        ASSERT_LT(fail_at, 100u);
    }
}

TEST(Ingest, TheSeededLoopIsDeterministic) {
    auto run = [] {
        TestStore store_;
        SeededRandom random(3);
        auto executor = make_seeded_executor(5);
        TestRepository repository(store_, *executor, random, generate_first_bundle(random, "test"));
        auto ingest = *repository.begin_ingest(small_packs(), {});
        EXPECT_TRUE(store(*ingest, noise(5'000'000, 1)));
        EXPECT_TRUE(ingest->flush());
        return store_.objects;
    };
    EXPECT_TRUE(run() == run());
}

TEST(Ingest, AStopEndsAStoreThatHangs) {
    TestStore store_;
    SeededRandom random(3);
    auto executor = make_thread_executor(2);
    TestRepository repository(store_, *executor, random, generate_first_bundle(random, "test"));
    std::stop_source stop;
    store_.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation != "put") return {};
        while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return fail(ErrorKind::cancelled, "stopped");
    };
    auto ingest = *repository.begin_ingest(small_packs(), stop.get_token());
    std::jthread user([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        stop.request_stop();
    });
    auto content = store(*ingest, noise(40'000'000, 1));
    auto stopped = std::chrono::steady_clock::now();
    ASSERT_FALSE(content);
    EXPECT_EQ(content.error().kind, ErrorKind::cancelled);
    ingest.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - stopped, std::chrono::seconds(1));
}

}  // namespace
}  // namespace holdfast
