#include "repo/repair.h"

#include <gmock/gmock.h>

#include <atomic>

#include "repo/config.h"
#include "repo/index.h"
#include "repo/test_points.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class RepairTest : public PointsTest {
  protected:
    RepairReport repaired(RepairOptions options = {}) {
        repository = open();
        auto report = repair_repository(*repository, options, {}, {});
        EXPECT_TRUE(report) << report.error().message;
        return report ? std::move(*report) : RepairReport{};
    }
    // The pack in which a chunk of this kind of content lies.
    std::string pack_of_kind(ChunkKind kind) {
        auto index = refresh_index(*open(), {}, {});
        auto packs = (*index)->packs().value();
        for (std::size_t i = 0; i < packs.size(); ++i) {
            if ((*index)->directory(i)->frames[0].kind == kind) return pack_key(packs[i].id).text();
        }
        return "";
    }
    std::vector<std::string> broken_files(PointInfo const& point) {
        std::vector<std::string> names;
        auto found = verified(false);
        for (auto const& path : found.affected) {
            if (path.point == point.id) names.push_back(path.path);
        }
        return names;
    }
};

TEST_F(RepairTest, AWholeRepositoryStaysAsItIs) {
    parity = 5;
    back_up("a", {noise(300'000, 1), prose(2000, 2)});
    auto const before = store.objects;
    auto report = repaired();
    EXPECT_TRUE(report.whole());
    EXPECT_EQ(report.packs_named, 0u);
    EXPECT_EQ(store.objects, before);
}

TEST_F(RepairTest, NeedsAKeyThatReadsAndWrites) {
    auto writer = add_bundle(*repository, {.roles = static_cast<Roles>(Role::writer), .label = "w"}, {});
    ASSERT_TRUE(writer);
    auto opened = open_repository(store, writer->clone(), world, {}, {});
    ASSERT_TRUE(opened);
    auto report = repair_repository(**opened, {}, {}, {});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind, ErrorKind::key_refused);
}

TEST_F(RepairTest, ALostIndexIsMadeAgainOutOfThePacks) {
    std::vector<Bytes> const files = {noise(3'000'000, 1), prose(200'000, 2)};
    auto point = back_up("a", files);
    auto packs = store.keys("packs/").size();
    for (auto const& key : store.keys("index/")) store.objects.erase(key);
    repository = open();
    EXPECT_FALSE(verified(false).whole());
    auto report = repaired();
    EXPECT_TRUE(report.whole());
    EXPECT_EQ(report.packs_named, packs);
    repository = open();
    EXPECT_TRUE(verified(true).whole());
    EXPECT_EQ(restore(point), files);
    EXPECT_EQ(repaired().packs_named, 0u);
}

TEST_F(RepairTest, ADamagedSegmentIsReplaced) {
    std::vector<Bytes> const files = {noise(300'000, 1)};
    auto point = back_up("a", files);
    auto segment = store.keys("index/").front();
    for (std::size_t size : {std::size_t{0}, store.objects[segment].size() - 1}) {
        store.objects[segment].resize(size);
        auto report = repaired();
        EXPECT_TRUE(report.whole());
        EXPECT_EQ(report.segments_removed, std::vector<std::string>{segment});
        repository = open();
        EXPECT_TRUE(verified(true).whole());
        EXPECT_EQ(restore(point), files);
        segment = store.keys("index/").front();
    }
}

TEST_F(RepairTest, AProofThatDoesNotOpenIsRemoved) {
    back_up("a", {noise(300, 1)});
    ASSERT_TRUE(verified(true).whole());
    auto proof = store.keys("proven/").front();
    store.objects[proof][120] ^= 1;
    repository = open();
    EXPECT_FALSE(verified(false).whole());
    EXPECT_TRUE(repaired().whole());
    EXPECT_FALSE(store.objects.contains(proof));
    repository = open();
    EXPECT_TRUE(verified(false).whole());
}

// Whoever has a writer's key can store a pack that lies about its chunks. Repairing must not vouch for it.
TEST_F(RepairTest, APackThatLiesIsNotNamed) {
    back_up("a", {noise(300, 1)});
    auto builder = *PackBuilder::create(keys.repository, keys.data_public, random, std::make_shared<Memory>(1u << 20));
    auto raw = to_bytes("garbage");
    std::vector<PackChunk> chunks = {{ChunkId{}, 7}};
    ASSERT_TRUE(builder->seal(builder->reserve(Codec::raw, ChunkKind::data, 7, chunks), raw, raw));
    auto pack = std::move(*builder).finish(0);
    ASSERT_TRUE(store.put(pack_key(pack.summary.id), pack.views(), {}));
    auto report = repaired();
    EXPECT_EQ(report.packs_named, 0u);
    EXPECT_EQ(report.lost, std::set<ChunkId>{ChunkId{}});
    EXPECT_FALSE(!(*refresh_index(*repository, {}, {}))->find(ChunkId{})->empty());
}

TEST_F(RepairTest, WhatOpensOfADamagedPackIsSalvagedAndTheRestIsNamed) {
    // Pages of 128 KiB, eight to a frame, and both frames in one pack: the first file is the first frame.
    pack_bytes = 8u << 20;
    std::vector<Bytes> const files = {noise(8 << 17, 1), noise(3 << 17, 2), noise(5 << 17, 3)};
    auto point = back_up("a", files);
    auto key = pack_of_kind(ChunkKind::data);
    store.objects[key][2000] ^= 1;
    auto report = repaired();
    EXPECT_FALSE(report.whole());
    ASSERT_EQ(report.damaged.size(), 1u);
    EXPECT_EQ(report.damaged[0].key, key);
    EXPECT_EQ(report.lost.size(), 8u);
    EXPECT_EQ(report.chunks_salvaged, 8u);
    auto lost = report.lost;
    repository = open();
    EXPECT_EQ(broken_files(point), std::vector<std::string>{"0"});

    // Again: nothing more to salvage, nothing grows.
    auto packs = store.keys("packs/").size();
    report = repaired();
    EXPECT_EQ(report.chunks_salvaged, 0u);
    EXPECT_EQ(report.lost, lost);
    EXPECT_EQ(store.keys("packs/").size(), packs);

    // The source still has it: the next backup stores it again, and then the pack is of no use.
    repository = open();
    auto again = back_up("a", files);
    EXPECT_EQ(restore(again), files);
    EXPECT_EQ(restore(point), files);
    report = repaired();
    EXPECT_TRUE(report.whole()) << report.damaged[0].key;
    EXPECT_EQ(report.packs_given_up, std::vector<std::string>{key});
    EXPECT_FALSE(store.objects.contains(key));
    repository = open();
    EXPECT_TRUE(verified(true).whole());
    EXPECT_EQ(restore(point), files);
    EXPECT_TRUE(repaired().whole());
}

TEST_F(RepairTest, AMissingPackIsNamedUntilItsChunksAreBack) {
    std::vector<Bytes> const files = {noise(300'000, 1)};
    auto point = back_up("a", files);
    auto key = pack_of_kind(ChunkKind::data);
    store.objects.erase(key);
    auto report = repaired();
    ASSERT_EQ(report.damaged.size(), 1u);
    EXPECT_EQ(report.damaged[0].key, key);
    EXPECT_THAT(report.damaged[0].error.message, HasSubstr("missing"));
    repository = open();
    back_up("a", files);
    EXPECT_TRUE(repaired().whole());
    repository = open();
    EXPECT_TRUE(verified(true).whole());
    EXPECT_EQ(restore(point), files);
}

TEST_F(RepairTest, EmptyPacksAndSwappedPacksAreNamed) {
    parity = 5;
    back_up("a", {noise(300'000, 1)});
    auto const good = store.objects;
    auto packs = store.keys("packs/");
    ASSERT_GE(packs.size(), 2u);
    store.objects[packs[0]].clear();
    auto report = repaired();
    ASSERT_EQ(report.damaged.size(), 1u);
    EXPECT_EQ(report.damaged[0].key, packs[0]);
    store.objects = good;
    std::swap(store.objects[packs[0]], store.objects[packs[1]]);
    report = repaired();
    ASSERT_EQ(report.damaged.size(), 2u);
    for (auto const& item : report.damaged) EXPECT_THAT(item.error.message, HasSubstr("under this name"));
}

TEST_F(RepairTest, ADryRunWritesNothing) {
    back_up("a", {noise(300'000, 1), noise(300'000, 2)});
    store.objects[pack_of_kind(ChunkKind::data)][2000] ^= 1;
    store.objects.erase(std::string(kConfigKey));
    store.objects[store.keys("index/").front()].clear();
    auto const before = store.objects;
    auto report = repaired({.dry_run = true});
    EXPECT_EQ(store.objects, before);
    EXPECT_EQ(report.segments_removed.size(), 1u);
    EXPECT_EQ(report.suspects.size(), 1u);
    EXPECT_FALSE(report.scrubbed.empty());
}

// The program dies at each operation of the store. Whatever was left, the next repair ends where an
// undisturbed one would, and nothing that was readable is lost on the way.
TEST_F(RepairTest, ARepairThatIsKilledAnywhereGoesOn) {
    pack_bytes = 8u << 20;
    std::vector<Bytes> const files = {noise(8 << 17, 1), noise(3 << 17, 2), prose(900, 3)};
    auto point = back_up("a", files);
    parity = 5;
    std::vector<Bytes> const others = {noise(5000, 4)};
    auto other = back_up("b", others);
    auto damaged = store.objects;
    for (auto& [key, bytes] : damaged) {
        auto trailer = key.starts_with("packs/") ? check_sectors(bytes) : Result<PackTrailer>(fail(ErrorKind::usage, ""));
        if (trailer && trailer->parity > 0) bytes[60] ^= 1;  // parity mends it
    }
    auto largest = std::ranges::max_element(damaged, {}, [](auto const& item) { return item.second.size(); });
    largest->second[2000] ^= 1;  // nothing mends that
    damaged.erase(std::string(kConfigKey));
    damaged[store.keys("index/").back()].clear();
    store.objects = damaged;
    auto const expected = repaired();
    ASSERT_FALSE(expected.lost.empty());
    repository = open();
    auto const broken = broken_files(point);

    bool ended = false;
    for (int at = 0; !ended; ++at) {
        store.objects = damaged;
        repository = open();
        std::atomic<int> operation = 0;
        store.before = [&](std::string_view, ObjectKey const&) -> Result<void> {
            if (operation++ < at) return {};
            return fail(ErrorKind::cancelled, "killed");
        };
        ended = repair_repository(*repository, {}, {}, {}).has_value();
        store.before = nullptr;
        auto report = repaired();
        ASSERT_EQ(report.lost, expected.lost) << at;
        repository = open();
        ASSERT_EQ(broken_files(point), broken) << at;
        ASSERT_EQ(restore(other), others) << at;
    }
}

}  // namespace
}  // namespace holdfast
