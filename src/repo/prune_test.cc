#include "repo/prune.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/config.h"
#include "repo/doomed.h"
#include "repo/hold.h"
#include "repo/index.h"
#include "repo/repair.h"
#include "repo/reserve.h"
#include "repo/test_files.h"
#include "repo/test_world.h"
#include "repo/wal_object.h"
#include "store/simulated_store.h"

namespace holdfast {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using namespace std::chrono_literals;

// The keys are made once: the password's cost is that of a hundred histories.
struct Origin {
    SimulatedObjects objects;
    KeyBundle admin;
    KeyBundle writer;
};
Origin const& origin() {
    static Origin const made = [] {
        SeededRandom random{7};
        ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
        auto executor = make_seeded_executor(1);
        SimulatedObjects objects;
        SimulatedStore store(objects, clock);
        RepositoryWorld world{clock, random, *executor, {}, {}};
        auto admin = create_repository(store, world, as_bytes("correct horse"), {}).value();
        auto repository = open_repository(store, admin.clone(), world, {}, {}).value();
        auto writer = add_bundle(*repository, {.roles = static_cast<Roles>(Role::writer), .label = "writer"}, {}).value();
        return Origin{std::move(objects), std::move(admin), std::move(writer)};
    }();
    return made;
}

using Files = TestFiles;

struct PruneTest : testing::Test {
    SeededRandom random{5};
    ManualClock clock{*parse_rfc3339("2026-01-02T00:00:00Z")};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    SimulatedObjects objects = origin().objects;
    SimulatedStore store{objects, clock};
    KeyBundle const& admin = origin().admin;
    KeyBundle const& writer = origin().writer;
    std::map<PointId, Files> acknowledged;

    RepositoryWorld world() { return {clock, random, *executor, {}, {}}; }
    std::unique_ptr<Repository> open(KeyBundle const& keys, Store& on) {
        return open_repository(on, keys.clone(), world(), {}, {}).value();
    }
    std::unique_ptr<Repository> open(KeyBundle const& keys) { return open(keys, store); }

    // Packs hold a few chunks each.
    static constexpr IngestLimits kLimits{.pack_bytes = 8u << 10, .parity_percent = 0};
    Result<RecoveryPoint> capture(Ingest& ingest, Files const& files, std::string const& dataset = "d") {
        auto point = TRY(capture_test_files(ingest, files, dataset));
        clock.advance(1s);
        point.time = clock.now();
        return point;
    }
    Result<PointInfo> try_back_up(Repository& repository, Files const& files) {
        auto ingest = TRY(repository.begin_ingest(kLimits, {}));
        auto point = TRY(capture(*ingest, files));
        auto info = TRY(repository.publish(*ingest, point, {}));
        acknowledged[info.id] = files;
        return info;
    }
    PointInfo back_up(KeyBundle const& keys, Files const& files) {
        auto info = try_back_up(*open(keys), files);
        EXPECT_TRUE(info) << info.error().message;
        return *info;
    }
    void forget(PointInfo const& info) {
        PointKey key{dataset_tag(admin, info.point.dataset), info.point.time, info.id};
        auto dropped = open(admin)->drop({&key, 1}, {});
        ASSERT_TRUE(dropped) << dropped.error().message;
        acknowledged.erase(info.id);
    }

    PruneOptions options{.limits = {.unused_max = 0}, .shape = {.bytes = 8u << 10, .parity_percent = 0}};
    Result<Pruned> try_prune(Store& on) {
        auto repository = TRY(open_repository(on, admin.clone(), world(), {}, {}));
        return prune_repository(*repository, options, walk_test_files, {}, {});
    }
    Pruned prune() {
        auto pruned = try_prune(store);
        EXPECT_TRUE(pruned) << pruned.error().message;
        return pruned ? *pruned : Pruned{};
    }
    void wait() { clock.advance(kLeaseSilenceMax + 25h); }

    // Everything that was acknowledged restores, from a store that shows the truth.
    void check(std::string const& context = "") {
        SimulatedStore truth(objects, clock);
        auto repository = open(admin, truth);
        auto list = repository->points({});
        ASSERT_TRUE(list) << context << ": " << list.error().message;
        std::map<PointId, RecoveryPoint> points;
        for (auto const& info : list->points) points[info.id] = info.point;
        EXPECT_THAT(list->damaged, IsEmpty()) << context << ": " << list->damaged.front().error.message;
        auto fetch = repository->begin_fetch({}, {}).value();
        for (auto const& [id, files] : acknowledged) {
            ASSERT_TRUE(points.contains(id)) << context << ": a point is gone";
            auto restored = restore_test_files(*fetch, points[id]);
            ASSERT_TRUE(restored) << context << ": " << restored.error().message;
            ASSERT_EQ(*restored, files) << context;
        }
    }
    void verify_whole() {
        auto repository = open(admin);
        auto found = verify_repository(*repository, {.data = true}, walk_test_files, {}, {}).value();
        EXPECT_THAT(found.damaged, IsEmpty()) << found.damaged.front().key << found.damaged.front().error.message;
        EXPECT_THAT(found.unknown, IsEmpty());
        EXPECT_THAT(found.lost, IsEmpty());
    }
    Result<RepairReport> try_repair(Store& on) {
        auto repository = open(admin, on);
        return repair_repository(*repository, {}, {}, {});
    }
    // Reads everything, so that what is found is known from now on.
    Verification look_at_everything() {
        auto repository = open(admin);
        return verify_repository(*repository, {.data = true}, walk_test_files, {}, {}).value();
    }
    // Packs with the contents of files.
    std::vector<std::string> data_packs() {
        auto repository = open(admin);
        auto index = refresh_index(*repository, {}, {}).value();
        auto named = index->packs().value();
        std::vector<std::string> keys;
        for (std::size_t number = 0; number < named.size(); ++number) {
            if (index->directory(number).value().frames[0].kind == ChunkKind::data) keys.push_back(pack_key(named[number].id).text());
        }
        return keys;
    }
    void flip(std::string const& key) {
        auto& object = objects.objects.find(key)->second;
        auto bytes = *object.bytes;
        bytes[100] ^= 1;
        object.bytes = std::make_shared<Bytes const>(std::move(bytes));
    }
    std::size_t packs() const { return objects.keys("packs/").size(); }
};

Bytes file(std::uint64_t seed, std::size_t size = 3000) { return noise(size, seed); }

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

// ---- crashes, and others at the same time

struct PruneCrash : PruneTest {
    PointInfo forgotten;
    // A repository in which all phases have something to do.
    void SetUp() override {
        forgotten = back_up(writer, {file(1, 2000), file(2, 2000), file(3)});
        back_up(writer, {file(1, 2000)});
        auto gone = back_up(admin, {file(5), file(6)});
        forget(gone);
        wait();
        prune();
        forget(forgotten);
        wait();
    }
    struct Start {
        SimulatedObjects objects;
        std::map<PointId, Files> acknowledged;
        Time time;
    };
    Start keep() { return {objects, acknowledged, clock.now()}; }
    void go_back(Start const& start) {
        objects = start.objects;
        acknowledged = start.acknowledged;
    }
};

// The collector is killed at every operation, with or without the operation's effect, and another one goes
// on; a backup is made in between.
TEST_F(PruneCrash, AtEveryOperationNothingIsLostAndTheNextRunGoesOn) {
    auto start = keep();
    for (auto effect : {SimulatedStore::Effect::none, SimulatedStore::Effect::done}) {
        std::uint64_t crashes = 0;
        for (std::uint64_t at = 0;; ++at) {
            go_back(start);
            SimulatedStore dying(objects, clock);
            bool died = false;
            dying.before = [&](std::uint64_t number, SimulatedStore::Operation, std::string_view) {
                using Fault = SimulatedStore::Fault;
                if (number < at) return std::optional<Fault>();
                died = true;
                return std::optional(Fault{ErrorKind::unreachable, number == at ? effect : SimulatedStore::Effect::none});
            };
            (void)try_prune(dying);
            if (!died) break;
            ++crashes;
            auto context = "crash at " + std::to_string(at);
            check(context);
            back_up(writer, {file(1, 2000), file(100)});
            prune();
            wait();
            prune();
            check(context + ", after the next runs");
            if (at % 8 == 0) verify_whole();
            if (HasFatalFailure()) return;
        }
        EXPECT_GT(crashes, 30u);
    }
}

// A backup runs as a whole before each operation of a collection: also one that reuses what is being doomed.
TEST_F(PruneCrash, ABackupBesideEveryOperation) {
    auto start = keep();
    for (auto const* keys : {&writer, &admin}) {
        for (std::uint64_t at = 0;; ++at) {
            go_back(start);
            SimulatedStore watched(objects, clock);
            bool ran = false;
            watched.before = [&](std::uint64_t number, SimulatedStore::Operation,
                                 std::string_view) -> std::optional<SimulatedStore::Fault> {
                if (number != at) return {};
                ran = true;
                back_up(*keys, {file(2, 2000), file(5), file(200)});
                return {};
            };
            auto pruned = try_prune(watched);
            EXPECT_TRUE(pruned) << pruned.error().message;
            if (!ran) break;
            check("backup before " + std::to_string(at));
            wait();
            prune();
            check("backup before " + std::to_string(at) + ", later");
            if (HasFatalFailure()) return;
        }
    }
}

// And the other way round: a whole collection, without waiting, before each operation of a backup.
TEST_F(PruneCrash, ACollectionBesideEveryOperationOfABackup) {
    auto start = keep();
    options.now = true;
    for (auto const* keys : {&writer, &admin}) {
        std::uint64_t published = 0;
        for (std::uint64_t at = 0;; ++at) {
            go_back(start);
            SimulatedStore watched(objects, clock);
            bool ran = false;
            watched.before = [&](std::uint64_t number, SimulatedStore::Operation,
                                 std::string_view) -> std::optional<SimulatedStore::Fault> {
                if (number != at) return {};
                ran = true;
                prune();
                return {};
            };
            auto repository = open(*keys, watched);
            auto info = try_back_up(*repository, {file(2, 2000), file(5), file(200)});
            if (info) ++published;
            if (!info) {
                EXPECT_EQ(info.error().kind, ErrorKind::unsafe) << at << info.error().message;
            }
            if (!ran) break;
            check("collection before " + std::to_string(at));
            // Once more, without anybody in its way.
            back_up(*keys, {file(2, 2000), file(5), file(200)});
            check();
            if (HasFatalFailure()) return;
        }
        EXPECT_GT(published, 5u);
    }
}

TEST_F(PruneCrash, TwoCollectionsAtOnceAtEveryOperation) {
    auto start = keep();
    for (bool at_once : {false, true}) {
        options.now = at_once;
        for (std::uint64_t at = 0;; ++at) {
            go_back(start);
            SimulatedStore watched(objects, clock);
            bool ran = false;
            watched.before = [&](std::uint64_t number, SimulatedStore::Operation,
                                 std::string_view) -> std::optional<SimulatedStore::Fault> {
                if (number != at) return {};
                ran = true;
                prune();
                return {};
            };
            auto outer = try_prune(watched);
            EXPECT_TRUE(outer) << at << outer.error().message;
            if (!ran) break;
            check("another one before " + std::to_string(at));
            wait();
            prune();
            check("later");
            if (HasFatalFailure()) return;
        }
    }
}

// A repair gives up what lies elsewhere; a collection deletes what lies elsewhere. Never both of one chunk.
TEST_F(PruneCrash, ACollectionBesideEveryOperationOfARepair) {
    for (int run = 0; run < 2; ++run) {
        prune();
        wait();
    }
    auto const before = data_packs();
    Files const files = {file(10), file(11)};
    // Twice, both proven: the first pack was damaged when they were stored again, and was put right.
    back_up(writer, files);
    auto first = data_packs();
    std::erase_if(first, [&](auto const& key) { return std::ranges::count(before, key) > 0; });
    ASSERT_THAT(first, SizeIs(1));
    flip(first[0]);
    EXPECT_FALSE(look_at_everything().damaged.empty());
    back_up(writer, files);
    flip(first[0]);
    EXPECT_TRUE(look_at_everything().damaged.empty());
    wait();
    auto both = data_packs();
    std::erase_if(both, [&](auto const& key) { return std::ranges::count(before, key) > 0; });
    ASSERT_THAT(both, SizeIs(2));
    auto const whole = keep();
    for (auto const& rotten : both) {
        go_back(whole);
        flip(rotten);
        auto const start = keep();
        for (bool at_once : {false, true}) {
            options.now = at_once;
            std::uint64_t done = 0;
            for (std::uint64_t at = 0;; ++at) {
                go_back(start);
                SimulatedStore watched(objects, clock);
                bool ran = false;
                watched.before = [&](std::uint64_t number, SimulatedStore::Operation,
                                     std::string_view) -> std::optional<SimulatedStore::Fault> {
                    if (number != at) return {};
                    ran = true;
                    prune();
                    return {};
                };
                auto repaired = try_repair(watched);
                if (!repaired) {
                    EXPECT_EQ(repaired.error().kind, ErrorKind::unsafe) << at << repaired.error().message;
                }
                if (!ran) break;
                ++done;
                auto context = rotten + ", collection before " + std::to_string(at);
                check(context);
                auto again = try_repair(store);
                EXPECT_TRUE(again && again->whole()) << context;
                wait();
                prune();
                check(context + ", later");
                if (HasFailure()) return;
            }
            EXPECT_GT(done, 20u);
        }
    }
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
    ASSERT_TRUE(mark_content(*fetch, nested, live, {}));
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
