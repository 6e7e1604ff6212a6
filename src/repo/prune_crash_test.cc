// Collections that are killed, and others at the same time.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "repo/test_prune.h"
#include "store/test_interruption.h"

namespace holdfast {
namespace {

using testing::SizeIs;

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
        std::map<PointId, TestFiles> acknowledged;
        Time time;
    };
    Start keep() { return {objects, acknowledged, clock.now()}; }
    void go_back(Start const& start) {
        objects = start.objects;
        acknowledged = start.acknowledged;
    }

    // From `start` each time: `act` on a store of its own, and `other` as a whole before its first operation, then
    // before its second one, to its last; `judge` after each. Returns how many there were.
    std::uint64_t beside_every_operation(Start const& start, std::function<void(Store&)> const& act,
                                         std::function<void()> const& other,
                                         std::function<void(std::string const& scene)> const& judge) {
        for (std::uint64_t at = 0;; ++at) {
            go_back(start);
            SimulatedStore watched(objects, clock);
            auto ran = interrupt_at(watched, at, other);
            act(watched);
            if (!*ran) return at;
            auto scene = fmt::format("before operation {}", at);
            judge(scene);
            if (HasFailure()) {
                ADD_FAILURE() << scene;
                return at;
            }
        }
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
            auto died = die_at(dying, at, effect);
            (void)try_prune(dying);
            if (!*died) break;
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
        auto collect = [&](Store& on) {
            auto pruned = try_prune(on);
            EXPECT_TRUE(pruned) << pruned.error().message;
        };
        auto back_up_meanwhile = [&] { back_up(*keys, {file(2, 2000), file(5), file(200)}); };
        auto done = beside_every_operation(start, collect, back_up_meanwhile, [&](std::string const& scene) {
            check("backup " + scene);
            wait();
            prune();
            check("backup " + scene + ", later");
        });
        EXPECT_GT(done, 30u);
    }
}

// And the other way round: a whole collection, without waiting, before each operation of a backup.
TEST_F(PruneCrash, ACollectionBesideEveryOperationOfABackup) {
    auto start = keep();
    options.now = true;
    for (auto const* keys : {&writer, &admin}) {
        std::uint64_t published = 0;
        auto try_it = [&](Store& on) {
            auto repository = open(*keys, on);
            auto info = try_back_up(*repository, {file(2, 2000), file(5), file(200)});
            if (info) ++published;
            if (!info) {
                EXPECT_EQ(info.error().kind, ErrorKind::unsafe) << info.error().message;
            }
        };
        beside_every_operation(start, try_it, [&] { prune(); }, [&](std::string const& scene) {
            check("collection " + scene);
            // Once more, without anybody in its way.
            back_up(*keys, {file(2, 2000), file(5), file(200)});
            check();
        });
        EXPECT_GT(published, 5u);
    }
}

TEST_F(PruneCrash, TwoCollectionsAtOnceAtEveryOperation) {
    auto start = keep();
    for (bool at_once : {false, true}) {
        options.now = at_once;
        auto collect = [&](Store& on) {
            auto outer = try_prune(on);
            EXPECT_TRUE(outer) << outer.error().message;
        };
        beside_every_operation(start, collect, [&] { prune(); }, [&](std::string const& scene) {
            check("another one " + scene);
            wait();
            prune();
            check("later");
        });
    }
}

// What others store, move and forget while everything is read is no damage, and nothing is read that is not there.
TEST_F(PruneCrash, AVerificationSeesNoDamageInWhatOthersDoMeanwhile) {
    auto start = keep();
    options.now = true;
    auto look = [&](Store& on) {
        auto repository = open(admin, on);
        auto found = verify_repository(*repository, {.data = true}, walk_test_files, {}, {}).value();
        for (auto const& damaged : found.damaged) ADD_FAILURE() << damaged.key << ": " << damaged.error.message;
        for (auto const& path : found.affected) ADD_FAILURE() << path.error.message;
        EXPECT_TRUE(found.lost.empty());
    };
    auto done = beside_every_operation(start, look, [&] { back_up(writer, {file(2, 2000), file(5), file(200)}); }, [](auto&) {});
    EXPECT_GT(done, 30u);
    beside_every_operation(start, look, [&] { prune(); }, [](auto&) {});
    auto all = [&] {
        prune();
        auto gone = back_up(admin, {file(2, 2000), file(5), file(200)});
        back_up(writer, {file(5), file(1, 2000)});
        forget(gone);
        prune();
    };
    beside_every_operation(start, look, all, [](auto&) {});
    // A point that was there when it began.
    auto stays = acknowledged.begin()->first;
    auto forget_one = [&] {
        auto list = open(admin)->points({}).value();
        for (auto const& info : list.points) {
            if (info.id == stays) forget(info);
        }
    };
    beside_every_operation(start, look, forget_one, [](auto&) {});
}

// A repair gives up what lies elsewhere; a collection deletes what lies elsewhere. Never both of one chunk.
TEST_F(PruneCrash, ACollectionBesideEveryOperationOfARepair) {
    for (int run = 0; run < 2; ++run) {
        prune();
        wait();
    }
    auto const before = data_packs();
    TestFiles const files = {file(10), file(11)};
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
            auto mend = [&](Store& on) {
                auto repaired = try_repair(on);
                if (!repaired) {
                    EXPECT_EQ(repaired.error().kind, ErrorKind::unsafe) << repaired.error().message;
                }
            };
            auto done = beside_every_operation(start, mend, [&] { prune(); }, [&](std::string const& scene) {
                auto context = rotten + ", collection " + scene;
                check(context);
                auto again = try_repair(store);
                EXPECT_TRUE(again && again->whole()) << context;
                wait();
                prune();
                check(context + ", later");
            });
            if (HasFailure()) return;
            EXPECT_GT(done, 20u);
        }
    }
}

}  // namespace
}  // namespace holdfast
