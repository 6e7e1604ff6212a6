#include "repo/fetch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>

#include "repo/chunker.h"
#include "repo/test_world.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

class FetchTest : public testing::TestWithParam<int> {
  protected:
    void SetUp() override {
        bytes = noise(4'300'000, 1);
        auto text = prose(1'000'000, 2);
        bytes.insert(bytes.end(), text.begin(), text.end());
        content = put(repository, bytes, {.cut = Layout::Cut::pages, .cuts = {}});
        auto fetch = begin();
        ASSERT_TRUE(fetch->extents(
            content,
            [&](std::span<Extent const> run) -> Result<void> {
                for (auto const& extent : run) wants.push_back(*extent.chunk);
                return {};
            },
            {}));
        ASSERT_EQ(wants.size(), (bytes.size() + kPagesChunk - 1) / kPagesChunk);
    }

    static Content put(TestRepository& repository, Bytes const& data, Layout layout) {
        auto ingest = *repository.begin_ingest({.pack_bytes = 3u << 19,
                                                .packs_in_flight_max = 2,
                                                .frames_in_flight_bytes = 8u << 20,
                                                .zstd_level = 1,
                                                .parity_percent = 0},  // what is lost stays lost
                                               {});
        auto stream = ingest->open_stream(ChunkKind::data, std::move(layout));
        EXPECT_TRUE(stream->append(data));
        auto stored = stream->finish();
        EXPECT_TRUE(stored);
        EXPECT_TRUE(ingest->flush());
        return *stored;
    }

    std::unique_ptr<Executor> make_executor() {
        return GetParam() == 0 ? make_thread_executor(3)
                               : make_seeded_executor(static_cast<std::uint64_t>(GetParam()));
    }
    std::unique_ptr<Fetch> begin(FetchLimits limits = {}) { return *repository.begin_fetch(limits, {}); }

    struct Outcome {
        Result<void> result;
        std::vector<int> calls;
        std::vector<std::optional<Error>> errors;
        std::size_t failed() const {
            return static_cast<std::size_t>(std::ranges::count_if(errors, [](auto const& e) { return e.has_value(); }));
        }
    };
    // Fetches everything and compares what comes.
    Outcome fetch_all(Fetch& fetch, std::stop_token stop = {}) {
        Outcome outcome;
        outcome.calls.resize(wants.size());
        outcome.errors.resize(wants.size());
        std::mutex mutex;
        outcome.result = fetch.chunks(
            wants,
            [&](std::size_t index, Result<ByteView> const& chunk) -> Result<void> {
                std::lock_guard lock(mutex);
                ++outcome.calls[index];
                if (!chunk) {
                    outcome.errors[index] = chunk.error();
                } else {
                    auto at = index * kPagesChunk;
                    auto expected = ByteView(bytes).subspan(at, std::min(kPagesChunk, bytes.size() - at));
                    EXPECT_TRUE(std::ranges::equal(expected, *chunk)) << index;
                }
                return {};
            },
            stop);
        return outcome;
    }
    Bytes& object(PackId const& id) { return store.objects[pack_key(id).text()]; }

    TestStore store;
    SeededRandom random{7};
    std::unique_ptr<Executor> executor = make_executor();
    std::shared_ptr<TestRepository::Certificates> certificates = std::make_shared<TestRepository::Certificates>();
    TestRepository repository{store, *executor, random, generate_first_bundle(random, "test"), certificates};
    Bytes bytes;
    Content content;
    std::vector<ChunkId> wants;
};
INSTANTIATE_TEST_SUITE_P(Executors, FetchTest, testing::Values(0, 1, 2), [](auto const& info) {
    return info.param == 0 ? std::string("Threads") : "Seed" + std::to_string(info.param);
});

TEST_P(FetchTest, EveryChunkComesOnceAndReadsAreJoined) {
    std::atomic<std::size_t> reads = 0;
    store.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        reads += operation == "get_range" ? 1 : 0;
        return {};
    };
    auto fetch = begin();
    auto outcome = fetch_all(*fetch);
    ASSERT_TRUE(outcome.result);
    EXPECT_EQ(outcome.calls, std::vector<int>(wants.size(), 1));
    EXPECT_EQ(outcome.failed(), 0u);
    EXPECT_LE(reads, store.keys("packs/").size());
}

TEST_P(FetchTest, AWantThatIsAskedForTwiceComesTwice) {
    auto half = wants.size() / 2;
    wants.resize(half);
    bytes.resize(half * kPagesChunk);
    std::vector<ChunkId> twice = wants;
    twice.insert(twice.end(), wants.begin(), wants.end());
    std::mutex mutex;
    std::vector<int> calls(twice.size());
    ASSERT_TRUE(begin()->chunks(
        twice,
        [&](std::size_t index, Result<ByteView> const& chunk) -> Result<void> {
            std::lock_guard lock(mutex);
            EXPECT_TRUE(chunk);
            ++calls[index];
            return {};
        },
        {}));
    EXPECT_EQ(calls, std::vector<int>(twice.size(), 1));
}

TEST_P(FetchTest, ASinkMayFetchItself) {
    auto fetch = begin();
    std::mutex mutex;
    std::size_t good = 0;
    ASSERT_TRUE(fetch->chunks(
        wants,
        [&](std::size_t index, Result<ByteView> const& chunk) -> Result<void> {
            auto other = fetch->chunk(wants[(index + 9) % wants.size()], {});
            EXPECT_TRUE(other);
            std::lock_guard lock(mutex);
            good += chunk && fetch->id_of(*chunk) == wants[index] ? 1 : 0;
            return {};
        },
        {}));
    EXPECT_EQ(good, wants.size());
}

TEST_P(FetchTest, MemoryInFlightIsBoundedAndNothingStarves) {
    auto fetch = begin({.in_flight_bytes = 1});
    auto outcome = fetch_all(*fetch);
    ASSERT_TRUE(outcome.result);
    EXPECT_EQ(outcome.calls, std::vector<int>(wants.size(), 1));
}

TEST_P(FetchTest, AMissingPackCostsItsOwnChunksAlone) {
    auto fetch = begin();
    auto gone = fetch->locations(wants[0]).at(0);
    store.objects.erase(pack_key(gone).text());
    auto outcome = fetch_all(*fetch);
    ASSERT_TRUE(outcome.result);
    EXPECT_EQ(outcome.calls, std::vector<int>(wants.size(), 1));
    for (std::size_t i = 0; i < wants.size(); ++i) {
        auto lies_there = fetch->locations(wants[i]).at(0) == gone;
        ASSERT_EQ(outcome.errors[i].has_value(), lies_there) << i;
        if (!lies_there) continue;
        EXPECT_EQ(outcome.errors[i]->kind, ErrorKind::not_found);
        EXPECT_THAT(outcome.errors[i]->message, HasSubstr("pack " + gone.brief()));
        EXPECT_THAT(outcome.errors[i]->message, HasSubstr("chunk " + wants[i].brief()));
        EXPECT_FALSE(fetch->chunk(wants[i], {}));
    }
}

TEST_P(FetchTest, ACutOffPackGivesWhatIsWhole) {
    auto fetch = begin();
    auto pack = fetch->locations(wants[0]).at(0);
    object(pack).resize(object(pack).size() / 2);
    auto outcome = fetch_all(*fetch);
    ASSERT_TRUE(outcome.result);
    EXPECT_GT(outcome.failed(), 0u);
    std::size_t whole = 0;
    for (std::size_t i = 0; i < wants.size(); ++i) {
        if (fetch->locations(wants[i]).at(0) == pack && !outcome.errors[i]) ++whole;
    }
    EXPECT_GT(whole, 0u);
}

TEST_P(FetchTest, AFlippedByteCostsItsFrameAlone) {
    auto fetch = begin();
    auto pack = fetch->locations(wants[0]).at(0);
    for (std::size_t at : {kPackHeaderBytes, kPackHeaderBytes + 500'000}) {
        object(pack)[at] ^= 1;
        auto outcome = fetch_all(*begin());
        object(pack)[at] ^= 1;
        ASSERT_TRUE(outcome.result);
        EXPECT_GE(outcome.failed(), 1u);
        EXPECT_LE(outcome.failed(), 8u);
        for (auto const& error : outcome.errors) {
            if (error) {
                EXPECT_EQ(error->kind, ErrorKind::damaged);
            }
        }
    }
}

TEST_P(FetchTest, AnotherLocationHelps) {
    // A second writer stores the same chunks; then the first one's packs are damaged.
    auto second = generate_bundle(repository.keys(), kAllRoles, "second", random);
    TestRepository theirs(store, *executor, random, std::move(second), certificates);
    auto mine = begin();
    put(theirs, bytes, {.cut = Layout::Cut::pages, .cuts = {}});
    auto fetch = begin();
    ASSERT_EQ(fetch->locations(wants[0]).size(), 2u);
    for (auto const& id : wants) {
        auto& pack = object(mine->locations(id).at(0));
        std::fill(pack.begin() + kPackHeaderBytes, pack.end(), 0);
    }
    auto outcome = fetch_all(*fetch);
    ASSERT_TRUE(outcome.result);
    EXPECT_EQ(outcome.failed(), 0u);
    EXPECT_EQ(outcome.calls, std::vector<int>(wants.size(), 1));
    EXPECT_TRUE(fetch->chunk(wants[0], {}));
}

// A writer names garbage by another's chunk id, and an index that leads astray.
TEST_P(FetchTest, APoisonedLocationIsPassedOver) {
    auto second = generate_bundle(repository.keys(), static_cast<Roles>(Role::writer), "rogue", random);
    TestRepository rogue(store, *executor, random, std::move(second), certificates);
    auto builder = std::move(PackBuilder::create(repository.id(), rogue.keys().data_public, random,
                                                 std::make_shared<Memory>(1u << 20))
                                 .value());
    auto garbage = to_bytes("garbage");
    std::vector<PackChunk> chunks = {{wants[0], 7}};
    ASSERT_TRUE(builder->seal(builder->reserve(Codec::raw, ChunkKind::data, 7, chunks), garbage, garbage));
    auto pack = std::move(*builder).finish(0);
    ASSERT_TRUE(store.put(pack_key(pack.summary.id), pack.views(), {}));
    std::vector<PackSummary> packs = {pack.summary};
    auto segment = rogue.seal(DocumentKind::index, encode_segment(packs));
    ASSERT_TRUE(store.put(segment_key(segment), segment, {}));

    auto fetch = begin();
    EXPECT_EQ(fetch->locations(wants[0]).size(), 2u);
    auto outcome = fetch_all(*fetch);
    ASSERT_TRUE(outcome.result);
    EXPECT_EQ(outcome.failed(), 0u);
    // With the good one gone, the garbage is not taken for it.
    store.objects.erase(pack_key(fetch->locations(wants[0]).at(0)).text());
    auto chunk = fetch->chunk(wants[0], {});
    ASSERT_FALSE(chunk);
    EXPECT_THAT(chunk.error().message, HasSubstr("other bytes than its id says"));
    EXPECT_THAT(chunk.error().message, HasSubstr("pack " + pack.summary.id.brief()));
}

TEST_P(FetchTest, SwappedPacksAreFound) {
    auto fetch = begin();
    auto first = fetch->locations(wants.front()).at(0);
    auto keys = store.keys("packs/");
    std::erase(keys, pack_key(first).text());
    std::swap(object(first), store.objects[keys.at(0)]);
    EXPECT_FALSE(fetch->chunk(wants.front(), {}));
    auto outcome = fetch_all(*begin());
    EXPECT_TRUE(outcome.result);
    EXPECT_GT(outcome.failed(), 0u);
}

TEST_P(FetchTest, ChunksInNoIndexAreNotFound) {
    wants.push_back(ChunkId{});
    auto outcome = fetch_all(*begin());
    ASSERT_TRUE(outcome.result);
    EXPECT_EQ(outcome.failed(), 1u);
    EXPECT_EQ(outcome.errors.back()->kind, ErrorKind::not_found);
    EXPECT_EQ(begin()->chunk(ChunkId{}, {}).error().kind, ErrorKind::not_found);
    // The hint names the damaged segment that may know it.
    auto key = store.keys("index/").front();
    store.objects[key].back() ^= 1;
    repository.index_slot().index = nullptr;
    auto error = begin()->chunk(wants[0], {}).error();
    EXPECT_EQ(error.kind, ErrorKind::damaged);
    EXPECT_THAT(error.hint, HasSubstr(key));
}

TEST_P(FetchTest, AStoreThatDoesNotAnswerEndsIt) {
    auto fetch = begin();
    store.before = [](std::string_view, ObjectKey const&) -> Result<void> {
        return fail(ErrorKind::unreachable, "no answer");
    };
    auto outcome = fetch_all(*fetch);
    ASSERT_FALSE(outcome.result);
    EXPECT_EQ(outcome.result.error().kind, ErrorKind::unreachable);
    EXPECT_EQ(outcome.failed(), 0u);
    EXPECT_EQ(fetch->chunk(wants[0], {}).error().kind, ErrorKind::unreachable);
}

TEST_P(FetchTest, TheSinksErrorEndsIt) {
    std::atomic<int> calls = 0;
    auto result = begin()->chunks(
        wants,
        [&](std::size_t, Result<ByteView> const&) -> Result<void> {
            ++calls;
            return fail(ErrorKind::no_space, "the target is full");
        },
        {});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::no_space);
    EXPECT_LE(calls, 3);
}

TEST_P(FetchTest, StopsWhenAsked) {
    std::stop_source stop;
    stop.request_stop();
    auto outcome = fetch_all(*begin(), stop.get_token());
    ASSERT_FALSE(outcome.result);
    EXPECT_EQ(outcome.result.error().kind, ErrorKind::cancelled);
}

TEST_P(FetchTest, ChunkKeepsFramesAtHand) {
    std::atomic<std::size_t> reads = 0;
    store.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        reads += operation == "get_range" ? 1 : 0;
        return {};
    };
    auto fetch = begin();
    for (std::size_t i = 0; i < wants.size(); ++i) {
        auto chunk = fetch->chunk(wants[i], {});
        ASSERT_TRUE(chunk);
        EXPECT_EQ(fetch->id_of(*chunk), wants[i]);
    }
    EXPECT_LE(reads, wants.size() / 6);
}

TEST_P(FetchTest, ContentIsBoundedAndChecked) {
    auto fetch = begin();
    EXPECT_TRUE(*fetch->content(content, bytes.size(), {}) == bytes);
    EXPECT_EQ(fetch->content(content, bytes.size() - 1, {}).error().kind, ErrorKind::damaged);
    auto lied = content;
    lied.size += 1;
    EXPECT_EQ(fetch->content(lied, UINT64_MAX, {}).error().kind, ErrorKind::damaged);
    lied.size -= 2;
    EXPECT_EQ(fetch->content(lied, UINT64_MAX, {}).error().kind, ErrorKind::damaged);
    // A list that is cut off within an entry, one that is no list, and one that is too deep.
    lied = content;
    lied.extents.back().length -= 1;
    EXPECT_FALSE(fetch->content(lied, UINT64_MAX, {}));
    lied = content;
    lied.extents = {{wants[0], 0, kPagesChunk}};
    EXPECT_FALSE(fetch->content(lied, UINT64_MAX, {}));
    lied.depth = kContentDepthMax + 1;
    EXPECT_FALSE(fetch->content(lied, UINT64_MAX, {}));
    // An extent beyond its chunk's end.
    Content run{.size = 10, .depth = 0, .extents = {{wants[0], kPagesChunk - 9, 10}}};
    EXPECT_FALSE(fetch->content(run, UINT64_MAX, {}));
    run.extents[0].offset -= 1;
    EXPECT_TRUE(std::ranges::equal(*fetch->content(run, 10, {}),
                                   ByteView(bytes).subspan(kPagesChunk - 10, 10)));
}

TEST_P(FetchTest, ListsOfListsAreRead) {
    // Built by hand: a list that is itself behind a list, entries cut off at chunk borders.
    auto ingest = *repository.begin_ingest({}, {});
    ByteWriter lower;
    std::uint64_t size = 0;
    for (std::size_t round = 0; round < 50; ++round) {
        for (auto const& id : {wants[0], wants[1]}) {
            Extent extent{id, static_cast<std::uint32_t>(round), 1000 + round};
            encode(extent, lower);
            size += extent.length;
        }
    }
    auto put_list = [&](ByteView list) {
        std::vector<Extent> extents;
        for (std::size_t at = 0; at < list.size(); at += 1001) {
            auto stream = ingest->open_stream(ChunkKind::extents, {});
            EXPECT_TRUE(stream->append(list.subspan(at, std::min<std::size_t>(1001, list.size() - at))));
            extents.push_back(stream->finish()->extents[0]);
        }
        return extents;
    };
    auto middle = put_list(lower.view());
    ByteWriter upper;
    for (auto const& extent : middle) encode(extent, upper);
    Content deep{.size = size, .depth = 2, .extents = put_list(upper.view())};
    ASSERT_TRUE(ingest->flush());
    ingest.reset();
    Bytes expected;
    for (std::size_t round = 0; round < 50; ++round) {
        for (std::size_t page : {0, 1}) {
            auto from = ByteView(bytes).subspan(page * kPagesChunk + round, 1000 + round);
            expected.insert(expected.end(), from.begin(), from.end());
        }
    }
    auto back = begin()->content(deep, size, {});
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(*back == expected);
}

}  // namespace
}  // namespace holdfast
