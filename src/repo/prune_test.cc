#include "repo/test_prune.h"

#include <gmock/gmock.h>

#include "repo/doomed.h"
#include "repo/hold.h"
#include "repo/reserve.h"
#include "repo/wal_object.h"

namespace holdfast {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using namespace std::chrono_literals;

TEST_F(PruneTest, WhatNoPointNeedsIsDoomedThenDeleted) {
    back_up(writer, {file(1), file(2)});
    auto second = back_up(writer, {file(3), file(4)});
    forget(second);
    auto before = packs();
    // Too young: an interrupted backup might take up there.
    EXPECT_EQ(prune().doomed, 0u);
    wait();
    auto pruned = prune();
    EXPECT_GT(pruned.doomed, 0u);
    EXPECT_EQ(pruned.deleted, 0u);
    EXPECT_EQ(packs(), before);
    // Not before the longest silence of a writer has passed.
    clock.advance(kLeaseSilenceMax - 1min);
    EXPECT_EQ(prune().deleted, 0u);
    clock.advance(2min);
    auto done = prune();
    EXPECT_EQ(done.deleted, pruned.doomed);
    EXPECT_EQ(packs(), before - pruned.doomed);
    check();
    verify_whole();
    EXPECT_EQ(prune().deleted, 0u);
}

TEST_F(PruneTest, ADryRunShowsWhatHappensAndDoesNothing) {
    back_up(writer, {file(1), file(2), file(9)});
    forget(back_up(writer, {file(1), file(3)}));
    wait();
    (void)open(admin)->points({}).value();  // whoever lists gives receipts
    auto before = objects.keys("");
    options.dry_run = true;
    auto shown = prune();
    EXPECT_EQ(objects.keys(""), before);
    options.dry_run = false;
    auto done = prune();
    EXPECT_EQ(shown.doomed, done.doomed);
    EXPECT_EQ(shown.repacked, done.repacked);
    EXPECT_GT(done.doomed, 0u);
    wait();
    options.dry_run = true;
    auto would = prune();
    options.dry_run = false;
    EXPECT_GT(would.deleted, 0u);
    EXPECT_EQ(would.deleted, prune().deleted);
}

TEST_F(PruneTest, AtOnceWhenAsked) {
    back_up(writer, {file(1)});
    forget(back_up(writer, {file(3)}));
    options.now = true;
    auto done = prune();
    EXPECT_GT(done.deleted, 0u);
    EXPECT_EQ(done.waiting, 0u);
    check();
    verify_whole();
}

TEST_F(PruneTest, APackThatIsMostlyDeadIsCopiedAndItsWriterFindsItsChunksAgain) {
    // One pack with both files; one of them stays.
    auto both = back_up(writer, {file(1, 2000), file(2, 2000)});
    back_up(writer, {file(1, 2000)});
    forget(both);
    wait();
    auto pruned = prune();
    EXPECT_GT(pruned.repacked, 0u);
    EXPECT_GT(pruned.copied_bytes, 0u);
    wait();
    EXPECT_GT(prune().deleted, 0u);
    check();
    verify_whole();
    // The copy is proven: the writer stores nothing again.
    auto repository = open(writer);
    auto ingest = repository->begin_ingest(kLimits, {}).value();
    ASSERT_TRUE(capture(*ingest, {file(1, 2000)}));
    ASSERT_TRUE(ingest->flush());
    EXPECT_EQ(ingest->statistics().packs, 0u);
}

TEST_F(PruneTest, RepackingIsBoundedByBytesAndByWhatMayStayUnused) {
    for (std::uint64_t i = 0; i < 4; ++i) {
        auto both = back_up(writer, {file(10 + i, 3000), file(20 + i, 3000)});
        back_up(writer, {file(10 + i, 3000)});
        forget(both);
    }
    wait();
    options.limits.unused_max = 1;
    EXPECT_EQ(prune().repacked, 0u);
    options.limits = {.unused_max = 0, .repack_bytes_max = 8000};
    EXPECT_EQ(prune().repacked, 1u);
    options.limits.repack_bytes_max = UINT64_MAX;
    EXPECT_EQ(prune().repacked, 3u);
    check();
}

TEST_F(PruneTest, WhatTwoWritersStoredStaysForEach) {
    back_up(writer, {file(1)});
    back_up(admin, {file(1)});
    auto before = packs();
    wait();
    EXPECT_EQ(prune().doomed, 0u);
    EXPECT_EQ(packs(), before);
}

// A proven pack counts as everybody's.
TEST_F(PruneTest, WhatAnotherWriterReliesOnStays) {
    auto first = back_up(writer, {file(1), file(2)});
    verify_whole();
    auto before = packs();
    back_up(admin, {file(1), file(2)});
    ASSERT_EQ(packs(), before);
    forget(first);
    for (int run = 0; run < 3; ++run) {
        wait();
        prune();
        check();
        // And it is relied on as before.
        auto standing = packs();
        back_up(admin, {file(1), file(2)});
        EXPECT_EQ(packs(), standing);
    }
    verify_whole();
}

TEST_F(PruneTest, OfAPackThatIsKnownToBeDamagedNothingIsKept) {
    for (std::uint64_t i = 1; i <= 4; ++i) back_up(writer, {file(i)});
    auto rotten = data_packs();
    ASSERT_THAT(rotten, SizeIs(4));
    for (auto const& key : rotten) flip(key);
    EXPECT_FALSE(look_at_everything().damaged.empty());
    // Its writer knows, and stores everything again.
    for (std::uint64_t i = 1; i <= 4; ++i) back_up(writer, {file(i)});
    ASSERT_THAT(data_packs(), SizeIs(8));
    wait();
    EXPECT_THAT(prune().damaged, IsEmpty());
    wait();
    prune();
    for (auto const& key : rotten) EXPECT_THAT(objects.keys("packs/"), Not(Contains(key)));
    EXPECT_EQ(data_packs().size(), rotten.size());
    check();
    verify_whole();
}

TEST_F(PruneTest, ADamagedPackStaysWhileAPointNeedsWhatItAloneHolds) {
    auto both = back_up(writer, {file(1), file(2)});
    auto rotten = data_packs();
    ASSERT_THAT(rotten, SizeIs(1));
    flip(rotten[0]);
    EXPECT_FALSE(look_at_everything().damaged.empty());
    back_up(writer, {file(1)});
    for (int run = 0; run < 3; ++run) {
        wait();
        EXPECT_THAT(prune().damaged, SizeIs(1));
    }
    // Another copy of the repository has it.
    flip(rotten[0]);
    check();
    flip(rotten[0]);
    forget(both);
    for (int run = 0; run < 2; ++run) {
        wait();
        EXPECT_THAT(prune().damaged, IsEmpty());
    }
    EXPECT_THAT(objects.keys("packs/"), Not(Contains(rotten[0])));
    check();
    verify_whole();
}

TEST_F(PruneTest, LogsOfDatabasesAreNotItsBusiness) {
    auto stream = wal_stream(admin, "d", "postgres 7");
    auto repository = open(writer);
    auto sealed = seal_wal_range(*repository, stream, 1, 0, noise(5000, 3), clock.now()).value();
    ASSERT_TRUE(store.put(ObjectKey(sealed.key), sealed.parts(), {}));
    auto const logged = objects.keys("wal/");
    ASSERT_THAT(logged, SizeIs(1));
    forget(back_up(writer, {file(1), file(2)}));
    for (int run = 0; run < 3; ++run) {
        wait();
        options.now = run == 2;
        prune();
    }
    EXPECT_EQ(packs(), 0u);
    EXPECT_EQ(objects.keys("wal/"), logged);
    EXPECT_TRUE(open_wal(*open(admin), sealed.key, store.get(ObjectKey(sealed.key), {}).value(), {}));
    verify_whole();
}

// What is freed makes the room: at most a part of what is copied lies there twice.
TEST_F(PruneTest, AtOnceNeedsLittleRoom) {
    std::vector<PointInfo> going;
    for (std::uint64_t i = 0; i < 6; ++i) {
        TestFiles files;
        for (std::uint64_t j = 0; j < 10; ++j) files.push_back(file(100 + 100 * i + j, 3u << 18));
        options.shape.bytes = 8u << 20;
        auto repository = open(writer);
        auto ingest = repository->begin_ingest({.pack_bytes = 8u << 20, .parity_percent = 0}, {}).value();
        auto point = capture(*ingest, files).value();
        going.push_back(repository->publish(*ingest, point, {}).value());
        files.resize(7);
        back_up(writer, files);
    }
    for (auto const& point : going) forget(point);
    auto size = [&] {
        std::uint64_t bytes = 0;
        for (auto const& [key, object] : objects.objects) bytes += object.bytes->size();
        return bytes;
    };
    auto const before = size();
    std::uint64_t largest = 0;
    options.now = true;
    options.part_bytes_min = 16u << 20;
    options.grace = Duration(0);
    auto repository = open(admin);
    auto watch = [&](PruneProgress const&) { largest = std::max(largest, size()); };
    auto done = prune_repository(*repository, options, walk_test_files, watch, {}).value();
    EXPECT_GT(done.copied_bytes, 30u << 20);
    EXPECT_LT(largest - before, 20u << 20);
    EXPECT_EQ(done.doomed + done.waiting + done.postponed_bytes, 0u);
    check();
}

TEST_F(PruneTest, PacksOfALostSegmentStay) {
    auto first = back_up(writer, {file(1)});
    auto segment = objects.keys("index/").front();
    back_up(writer, {file(1), file(2)});
    forget(first);
    auto const names = objects.objects.at(segment);
    objects.objects.erase(segment);
    options.now = true;
    options.grace = Duration(0);
    for (int i = 0; i < 2; ++i) {
        auto done = prune();
        EXPECT_EQ(done.deleted, 0u);
        ASSERT_THAT(done.damaged, SizeIs(1));
        EXPECT_THAT(done.damaged.front().error.message, HasSubstr("does not name 1 chunks"));
    }
    ASSERT_TRUE(try_repair(store));
    check();
    EXPECT_THAT(prune().damaged, IsEmpty());
    verify_whole();
}

TEST_F(PruneTest, NothingIsDeletedWhileAPointCannotBeRead) {
    auto first = back_up(writer, {file(1)});
    forget(back_up(writer, {file(2)}));
    wait();
    // The tree of the point that stays, damaged.
    auto repository = open(admin);
    auto fetch = repository->begin_fetch({}, {}).value();
    auto tree = fetch->locations(*first.point.tree.extents[0].chunk).front();
    auto& object = objects.objects.find(pack_key(tree).text())->second;
    auto whole = object.bytes;
    auto bad = *whole;
    bad[60] ^= 1;
    object.bytes = std::make_shared<Bytes const>(bad);
    auto refused = try_prune(store);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::damaged);
    EXPECT_THAT(refused.error().message, HasSubstr(first.id.brief()));
    EXPECT_THAT(objects.keys("doomed/"), IsEmpty());
    object.bytes = whole;
    // And so with an index or a point that is damaged.
    for (auto const& key : {objects.keys("index/").front(), objects.keys("points/").front()}) {
        auto& other = objects.objects.find(key)->second;
        auto good = other.bytes;
        auto flipped = *good;
        flipped.back() ^= 1;
        other.bytes = std::make_shared<Bytes const>(flipped);
        auto again = try_prune(store);
        ASSERT_FALSE(again) << key;
        EXPECT_EQ(again.error().kind, ErrorKind::damaged);
        other.bytes = good;
    }
    EXPECT_GT(prune().doomed, 0u);
}

TEST_F(PruneTest, TheCopyIsOpenedBeforeTheOriginalGoes) {
    auto both = back_up(writer, {file(1, 2000), file(2, 2000)});
    back_up(writer, {file(1, 2000)});
    forget(both);
    auto before = objects.keys("packs/");
    wait();
    ASSERT_GT(prune().repacked, 0u);
    wait();
    // The copy rots.
    for (auto const& key : objects.keys("packs/")) {
        if (std::ranges::find(before, key) != before.end()) continue;
        auto& object = objects.objects.find(key)->second;
        auto bad = *object.bytes;
        bad[100] ^= 1;
        object.bytes = std::make_shared<Bytes const>(bad);
    }
    auto done = prune();
    EXPECT_FALSE(done.damaged.empty());
    check();
    wait();
    prune();
    check();
}

TEST_F(PruneTest, WhatAWriterStoresMeanwhileStays) {
    forget(back_up(writer, {file(7)}));
    clock.advance(2h);
    auto repository = open(writer);
    auto ingest = repository->begin_ingest(kLimits, {}).value();
    auto point = capture(*ingest, {file(1), file(2)}).value();
    ASSERT_TRUE(ingest->flush());
    auto pruned = prune();
    EXPECT_EQ(pruned.writers, 1u);
    EXPECT_EQ(pruned.doomed, 0u);
    // Also long after: the writer renews its lease.
    for (int i = 0; i < 200; ++i) {
        clock.advance(15min);
        ASSERT_TRUE(ingest->flush());
    }
    pruned = prune();
    EXPECT_EQ(pruned.writers, 1u);
    EXPECT_GT(pruned.doomed, 0u);  // what was forgotten before it began
    auto published = repository->publish(*ingest, point, {});
    ASSERT_TRUE(published) << published.error().message;
    acknowledged[published->id] = {file(1), file(2)};
    check();
}

TEST_F(PruneTest, WhatIsDoomedWaitsForTheWritersThatRan) {
    forget(back_up(writer, {file(7)}));
    wait();
    auto repository = open(writer);
    auto ingest = repository->begin_ingest(kLimits, {}).value();
    ASSERT_GT(prune().doomed, 0u);
    for (int i = 0; i < 100; ++i) {
        clock.advance(15min);
        ASSERT_TRUE(ingest->flush());
    }
    EXPECT_EQ(prune().deleted, 0u);
    ingest.reset();
    EXPECT_GT(prune().deleted, 0u);
}

TEST_F(PruneTest, AWriterThatWasKilledIsWaitedForOnlySoLong) {
    forget(back_up(writer, {file(7)}));
    wait();
    auto repository = open(writer);
    auto ingest = repository->begin_ingest(kLimits, {}).value();
    auto left = objects;
    ingest.reset();
    objects = left;  // its marker stays
    ASSERT_GT(prune().doomed, 0u);
    clock.advance(kLeaseSilenceMax + 1min);
    EXPECT_GT(prune().deleted, 0u);
    clock.advance(100h);
    forget(back_up(writer, {file(8)}));
    wait();
    prune();
    EXPECT_THAT(objects.keys("writers/"), IsEmpty());
}

TEST_F(PruneTest, AWriterThatSleptFindsOutBeforeItPromises) {
    auto old = back_up(writer, {file(7)});
    auto repository = open(writer);
    auto ingest = repository->begin_ingest(kLimits, {}).value();
    auto point = capture(*ingest, {file(7)}).value();
    forget(old);
    // It sleeps. Two collections pass.
    wait();
    prune();
    wait();
    ASSERT_GT(prune().deleted, 0u);
    auto published = repository->publish(*ingest, point, {});
    ASSERT_FALSE(published);
    EXPECT_EQ(published.error().kind, ErrorKind::unsafe);
    EXPECT_THAT(objects.keys("points/"), IsEmpty());
    // And begins again.
    ingest.reset();
    back_up(writer, {file(7)});
    check();
}

// The collector's clock jumps ahead between its two phases, while a writer that reuses what is doomed has
// published nothing yet.
TEST_F(PruneTest, AClockThatJumpsDeletesNothingThatIsPromised) {
    auto old = back_up(admin, {file(7), file(8)});
    forget(old);
    wait();
    for (auto const* keys : {&admin, &writer}) {
        auto repository = open(*keys);
        auto ingest = repository->begin_ingest(kLimits, {}).value();
        auto point = capture(*ingest, {file(7)}, keys == &admin ? "a" : "w").value();
        ManualClock wrong{clock.now()};
        RepositoryWorld there{wrong, random, *executor, {}, {}};
        for (int i = 0; i < 3; ++i) {
            auto collector = open_repository(store, admin.clone(), there, {}, {}).value();
            ASSERT_TRUE(prune_repository(*collector, options, walk_test_files, {}, {}));
            wrong.advance(std::chrono::days(365));
        }
        auto published = repository->publish(*ingest, point, {});
        if (published) acknowledged[published->id] = {file(7)};
        if (!published) {
            EXPECT_EQ(published.error().kind, ErrorKind::unsafe);
        }
        check();
    }
}

TEST_F(PruneTest, AClockThatWasAheadDoesNotStopCollectionForYears) {
    forget(back_up(writer, {file(7)}));
    wait();
    auto right = clock.now();
    ManualClock ahead{right + std::chrono::days(3650)};
    RepositoryWorld there{ahead, random, *executor, {}, {}};
    auto collector = open_repository(store, admin.clone(), there, {}, {}).value();
    ASSERT_GT(prune_repository(*collector, options, walk_test_files, {}, {}).value().doomed, 0u);
    EXPECT_EQ(prune().deleted, 0u);
    wait();
    EXPECT_GT(prune().deleted, 0u);
}

TEST_F(PruneTest, SmallSegmentsAreMergedAndTheirWritersStayTheirs) {
    for (std::uint64_t i = 0; i < 20; ++i) back_up(i % 2 == 0 ? writer : admin, {file(i)});
    ASSERT_THAT(objects.keys("index/"), SizeIs(20));
    wait();
    prune();
    EXPECT_THAT(objects.keys("index/"), SizeIs(1));
    check();
    auto repository = open(writer);
    auto ingest = repository->begin_ingest(kLimits, {}).value();
    ASSERT_TRUE(capture(*ingest, {file(0)}));
    ASSERT_TRUE(capture(*ingest, {file(1)}));  // the other's: not to be relied on
    ASSERT_TRUE(ingest->flush());
    EXPECT_EQ(ingest->statistics().packs, 2u);
    verify_whole();  // last: what a reader has proven is everybody's to rely on
}

TEST_F(PruneTest, OnlyAnAdminWhoReads) {
    EXPECT_EQ(prune_repository(*open(writer), options, walk_test_files, {}, {}).error().kind, ErrorKind::key_refused);
}

TEST_F(PruneTest, AFullStoreIsEmptiedFromItsReserve) {
    back_up(writer, {file(1, 2000), file(2, 2000)});
    auto gone = back_up(writer, {file(3), file(4), file(1, 2000)});
    objects.capacity = 64u << 20;
    ASSERT_TRUE(keep_reserve(store, random, {}));
    EXPECT_THAT(objects.keys("reserve/"), SizeIs(1));
    wait();
    objects.capacity = objects.bytes();
    EXPECT_EQ(try_back_up(*open(writer), {file(5)}).error().kind, ErrorKind::no_space);
    forget(gone);
    EXPECT_THAT(objects.keys("reserve/"), IsEmpty());
    auto full = objects.bytes();
    objects.capacity = full + 4000;  // something else took the room
    prune();
    wait();
    EXPECT_GT(prune().deleted, 0u);
    EXPECT_LT(objects.bytes(), full);
    check();
}

TEST_F(PruneTest, ADamagedListIsRemovedWhenNobodyDeletesByItAnyMore) {
    forget(back_up(writer, {file(7)}));
    wait();
    ASSERT_GT(prune().doomed, 0u);
    auto key = objects.keys("doomed/").front();
    auto& object = objects.objects.find(key)->second;
    auto bad = *object.bytes;
    bad.back() ^= 1;
    object.bytes = std::make_shared<Bytes const>(bad);
    EXPECT_EQ(try_prune(store).error().kind, ErrorKind::damaged);
    EXPECT_THAT(objects.keys("doomed/"), Contains(key));
    EXPECT_EQ(open(writer)->begin_ingest({}, {}).error().kind, ErrorKind::unsafe);
    wait();
    EXPECT_EQ(try_prune(store).error().kind, ErrorKind::damaged);
    EXPECT_TRUE(open(writer)->begin_ingest({}, {}));
    EXPECT_GT(prune().doomed, 0u);
}

// ---- what is live

TEST_F(PruneTest, ListsOnEveryLevelAreLive) {
    // Twice nested: the entries of the outer list are runs of the inner one.
    auto repository = open(admin);
    auto ingest = repository->begin_ingest(kLimits, {}).value();
    auto store_run = [&](ChunkKind kind, ByteView bytes) {
        auto stream = ingest->open_stream(kind, {});
        EXPECT_TRUE(stream->append(bytes));
        return stream->finish().value();
    };
    auto list_of = [&](Content const& content) {
        ByteWriter writer;
        for (auto const& extent : content.extents) encode(extent, writer);
        return store_run(ChunkKind::extents, writer.view());
    };
    auto data = store_run(ChunkKind::data, file(1));
    auto inner = list_of(data);
    auto outer = list_of(inner);
    ASSERT_TRUE(ingest->flush());
    Content nested{.size = data.size, .depth = 2, .extents = outer.extents};
    DigestSet live;
    auto fetch = repository->begin_fetch({}, {}).value();
    ASSERT_TRUE(mark_content(*fetch, nested, live, {}, {}));
    for (auto const* content : {&data, &inner, &outer}) EXPECT_TRUE(live.contains(*content->extents[0].chunk));
    EXPECT_EQ(live.size(), 3u);
    ASSERT_EQ(fetch->content(nested, 1u << 20, {}).value(), file(1));
}

TEST(DigestSet, KnowsWhatWasPutIn) {
    DigestSet set;
    for (std::uint32_t i = 0; i < 5000; ++i) {
        ChunkId id{sha256(as_bytes(std::to_string(i)))};
        EXPECT_TRUE(set.insert(id));
        EXPECT_FALSE(set.insert(id));
    }
    EXPECT_TRUE(set.insert(ChunkId{}));
    EXPECT_FALSE(set.insert(ChunkId{}));
    EXPECT_EQ(set.size(), 5001u);
    EXPECT_FALSE(set.contains(ChunkId{sha256(as_bytes("x"))}));
}

}  // namespace
}  // namespace holdfast
