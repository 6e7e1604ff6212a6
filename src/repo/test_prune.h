#pragma once

// For tests alone: a repository with garbage.

#include <gtest/gtest.h>

#include "repo/index.h"
#include "repo/lease.h"
#include "repo/prune.h"
#include "repo/repair.h"
#include "repo/test_files.h"
#include "repo/test_origin.h"
#include "repo/test_world.h"

namespace holdfast {

// A repository in a simulated store, points in it, and what collections make of them.
struct PruneTest : testing::Test {
    static TestOrigin const& origin() {
        static TestOrigin const made = make_test_origin(1);
        return made;
    }

    SeededRandom random{5};
    ManualClock clock{*parse_rfc3339("2026-01-02T00:00:00Z")};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    SimulatedObjects objects = origin().objects;
    SimulatedStore store{objects, clock};
    KeyBundle const& admin = origin().admin;
    KeyBundle const& writer = origin().writers[0];
    std::map<PointId, TestFiles> acknowledged;

    RepositoryWorld world() { return {clock, random, *executor, {}, {}}; }
    std::unique_ptr<Repository> open(KeyBundle const& keys, Store& on) {
        return open_repository(on, keys.clone(), world(), {}, {}).value();
    }
    std::unique_ptr<Repository> open(KeyBundle const& keys) { return open(keys, store); }

    // Packs hold a few chunks each.
    static constexpr IngestLimits kLimits{.pack_bytes = 8u << 10, .parity_percent = 0};
    Result<RecoveryPoint> capture(Ingest& ingest, TestFiles const& files, std::string const& dataset = "d") {
        auto point = TRY(capture_test_files(ingest, files, dataset));
        clock.advance(std::chrono::seconds(1));
        point.time = clock.now();
        return point;
    }
    Result<PointInfo> try_back_up(Repository& repository, TestFiles const& files) {
        auto ingest = TRY(repository.begin_ingest(kLimits, {}));
        auto point = TRY(capture(*ingest, files));
        auto info = TRY(repository.publish(*ingest, point, {}));
        acknowledged[info.id] = files;
        return info;
    }
    PointInfo back_up(KeyBundle const& keys, TestFiles const& files) {
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
    void wait() { clock.advance(kLeaseSilenceMax + std::chrono::hours(25)); }

    // Everything that was acknowledged restores, from a store that shows the truth.
    void check(std::string const& context = "") {
        SimulatedStore truth(objects, clock);
        auto repository = open(admin, truth);
        auto list = repository->points({});
        ASSERT_TRUE(list) << context << ": " << list.error().message;
        std::map<PointId, RecoveryPoint> points;
        for (auto const& info : list->points) points[info.id] = info.point;
        EXPECT_TRUE(list->damaged.empty()) << context << ": " << list->damaged.front().error.message;
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
        EXPECT_TRUE(found.damaged.empty()) << found.damaged.front().key << found.damaged.front().error.message;
        EXPECT_TRUE(found.unknown.empty());
        EXPECT_TRUE(found.lost.empty());
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
    static Bytes file(std::uint64_t seed, std::size_t size = 3000) { return noise(size, seed); }
    std::size_t packs() const { return objects.keys("packs/").size(); }
};

}  // namespace holdfast
