#include "repo/scrub.h"

#include <gmock/gmock.h>

#include <atomic>

#include "repo/certificates.h"
#include "repo/config.h"
#include "repo/lease.h"
#include "repo/self_documents.h"
#include "repo/test_points.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class ScrubTest : public PointsTest {
  protected:
    ScrubReport scrubbed(ScrubOptions options = {}) {
        auto report = scrub(store, *executor, options, {}, {});
        EXPECT_TRUE(report) << report.error().message;
        return report ? std::move(*report) : ScrubReport{};
    }
    std::string a_pack() { return store.keys("packs/").front(); }
    std::string largest_pack() {
        auto packs = store.keys("packs/");
        return *std::ranges::max_element(packs, {}, [&](auto const& key) { return store.objects[key].size(); });
    }
};

TEST_F(ScrubTest, AWholeRepositoryIsWhole) {
    parity = 5;
    back_up("a", {noise(3'000'000, 1), prose(200'000, 2)});
    std::uint64_t reports = 0, bytes = 0;
    auto report = scrub(store, *executor, {}, [&](ScrubProgress const& at) { ++reports, bytes = at.bytes; }, {});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report->whole());
    EXPECT_EQ(report->objects, store.objects.size());
    EXPECT_EQ(report->packs, store.keys("packs/").size());
    EXPECT_GT(bytes, 3'000'000u);
    EXPECT_EQ(bytes, report->bytes);
    EXPECT_GT(reports, 3u);
}

TEST_F(ScrubTest, NeedsARepository) {
    TestStore empty;
    auto report = scrub(empty, *executor, {}, {}, {});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind, ErrorKind::not_found);
}

// Without a key, logs and receipts and the like are only looked at; what has a hash in its name is checked.
TEST_F(ScrubTest, EveryFlippedByteOfEveryPackSegmentAndPointIsNamed) {
    parity = 5;
    back_up("a", {noise(300, 1), prose(900, 2)});
    auto const good = store.objects;
    std::set<std::string> rooms;
    for (auto const& [key, bytes] : good) {
        auto room = key.substr(0, key.find('/'));
        if (room != "packs" && room != "index" && room != "points" && room != "keys" && room != "holdfast.json") continue;
        rooms.insert(room);
        for (std::size_t i = 0; i < bytes.size(); i += kFlipStride) {
            store.objects[key][i] ^= static_cast<std::uint8_t>(1u << i % 8);
            auto report = scrubbed();
            ASSERT_EQ(report.damaged.size(), 1u) << key << " byte " << i;
            EXPECT_EQ(report.damaged[0].key, key);
            EXPECT_FALSE(report.whole());
            store.objects[key] = bytes;
        }
    }
    EXPECT_EQ(rooms.size(), 5u);
}

// The whole of a small pack: mended to the last bit, and nothing else is touched.
TEST_F(ScrubTest, EveryFlippedByteOfAPackIsMendedExactly) {
    parity = 5;
    auto point = back_up("a", {noise(300, 1), prose(900, 2)});
    auto const good = store.objects;
    for (auto const& key : store.keys("packs/")) {
        for (std::size_t i = 0; i < good.at(key).size(); i += kFlipStride) {
            store.objects[key][i] ^= 0x80;
            auto report = scrubbed({.repair = true});
            ASSERT_EQ(report.damaged.size(), 1u) << key << " byte " << i;
            EXPECT_TRUE(report.damaged[0].mended);
            EXPECT_TRUE(report.whole());
            ASSERT_EQ(store.objects, good) << key << " byte " << i;
        }
    }
}

TEST_F(ScrubTest, ADryRunWritesNothing) {
    parity = 5;
    back_up("a", {noise(300'000, 1)});
    store.objects[a_pack()][100] ^= 1;
    store.objects.erase(std::string(kConfigKey));
    auto const before = store.objects;
    auto report = scrubbed({.repair = true, .dry_run = true});
    ASSERT_EQ(report.damaged.size(), 2u);
    for (auto const& item : report.damaged) EXPECT_TRUE(item.mendable && !item.mended) << item.key;
    EXPECT_EQ(store.objects, before);
}

TEST_F(ScrubTest, APackThatWasCutOffOrEmptiedIsMendedExactlyOrNamed) {
    parity = 10;
    back_up("a", {noise(300'000, 1)});
    auto const good = store.objects;
    auto key = largest_pack();
    auto size = good.at(key).size();
    std::size_t mended = 0;
    for (std::size_t left : {std::size_t{0}, std::size_t{1}, std::size_t{50}, size / 2, size - 40'000, size - 4'000,
                             size - 1}) {
        store.objects[key].resize(left);
        auto report = scrubbed({.repair = true});
        ASSERT_EQ(report.damaged.size(), 1u) << left;
        EXPECT_EQ(report.damaged[0].key, key);
        if (report.damaged[0].mended) {
            ++mended;
            EXPECT_EQ(store.objects, good) << left;
        }
        store.objects = good;
    }
    EXPECT_GE(mended, 2u);
}

TEST_F(ScrubTest, EmptyObjectsOfEveryKindAreNamed) {
    back_up("a", {noise(300, 1)});
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("holdfast: 1"), {}));
    auto lease = Lease::acquire(store, repository->keys(), clock, random, {});
    ASSERT_TRUE(lease);
    auto const good = store.objects;
    for (auto const& [key, bytes] : good) {
        store.objects[key].clear();
        auto report = scrubbed();
        ASSERT_EQ(report.damaged.size(), 1u) << key;
        EXPECT_EQ(report.damaged[0].key, key);
        store.objects = good;
    }
}

TEST_F(ScrubTest, SwappedPacksAreNamedAndNotMended) {
    parity = 5;
    back_up("a", {noise(300, 1)});
    auto packs = store.keys("packs/");
    ASSERT_GE(packs.size(), 2u);
    std::swap(store.objects[packs[0]], store.objects[packs[1]]);
    auto const before = store.objects;
    auto report = scrubbed({.repair = true});
    ASSERT_EQ(report.damaged.size(), 2u);
    for (auto const& item : report.damaged) {
        EXPECT_FALSE(item.mended);
        EXPECT_THAT(item.error.message, HasSubstr("under this name"));
    }
    EXPECT_EQ(store.objects, before);
}

TEST_F(ScrubTest, TheConfigurationAndKeysAreReplacedFromTheirCopies) {
    back_up("a", {noise(300, 1)});
    auto const good = store.objects;
    for (auto const& key : {std::string(kConfigKey), std::string(kConfigCopyKey), key_object_key(keys.id),
                            key_copy_key(keys.id)}) {
        for (bool gone : {true, false}) {
            if (gone) {
                store.objects.erase(key);
            } else {
                store.objects[key][20] ^= 1;
            }
            EXPECT_FALSE(scrubbed().whole()) << key;
            auto report = scrubbed({.repair = true});
            ASSERT_EQ(report.damaged.size(), 1u) << key;
            EXPECT_EQ(report.damaged[0].key, key);
            EXPECT_TRUE(report.whole());
            EXPECT_EQ(store.objects, good);
        }
        auto twin = key.starts_with("self/") ? key.substr(5) : "self/" + key;
        store.objects[key].clear();
        store.objects[twin].clear();
        auto report = scrubbed({.repair = true});
        EXPECT_FALSE(report.whole()) << key;
        store.objects = good;
    }
}

TEST_F(ScrubTest, SharesCoverEverythingOnce) {
    for (int i = 0; i < 5; ++i) back_up("a", {noise(2'000'000, static_cast<std::uint64_t>(i))});
    std::uint64_t objects = 0, largest = 0;
    for (std::uint32_t i = 0; i < 4; ++i) {
        auto report = scrubbed({.shard = {i, 4}});
        objects += report.objects;
        largest = std::max(largest, report.objects);
    }
    EXPECT_EQ(objects, store.objects.size());
    EXPECT_LT(largest, objects / 2);
}

TEST_F(ScrubTest, AStoreThatDoesNotAnswerIsNoDamage) {
    back_up("a", {noise(300, 1)});
    store.before = [&](std::string_view operation, ObjectKey const& key) -> Result<void> {
        if (operation == "get_range" && key.text() == a_pack()) return fail(ErrorKind::unreachable, "gone");
        return {};
    };
    auto report = scrub(store, *executor, {}, {}, {});
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().kind, ErrorKind::unreachable);
}

// A bad spot of a disk: the run around it can't be read at all.
TEST_F(ScrubTest, WhatCannotBeReadIsMendedToo) {
    parity = 25;
    back_up("a", {noise(3'000'000, 1)});
    auto key = largest_pack();
    auto const good = store.objects;
    std::atomic<bool> sick = true;
    // TestStore does not say which range is asked for: the first read of all fails, and then some runs.
    std::atomic<int> reads = 0;
    store.before = [&](std::string_view operation, ObjectKey const& asked) -> Result<void> {
        if (operation == "replace") sick = false;
        if (operation != "get_range" || asked.text() != key || !sick) return {};
        auto number = ++reads;
        if (number <= 2 || number == 5) return fail(ErrorKind::io, "read error");
        return {};
    };
    auto report = scrubbed({.repair = true});
    store.before = nullptr;
    ASSERT_EQ(report.damaged.size(), 1u);
    EXPECT_TRUE(report.damaged[0].mended) << report.damaged[0].error.message;
    EXPECT_EQ(store.objects, good);
}

TEST_F(ScrubTest, RestoresAndVerificationsReadThroughWhatParityMends) {
    parity = 5;
    std::vector<Bytes> const files = {noise(700'000, 1), prose(3000, 2)};
    auto point = back_up("a", files);
    auto const good = store.objects;
    for (auto const& key : store.keys("packs/")) {
        auto size = good.at(key).size();
        for (std::size_t at : {std::size_t{50}, size / 4, size / 2}) {
            store.objects[key][at] ^= 1;
            repository = open();
            EXPECT_EQ(restore(point), files) << key << " byte " << at;
            auto found = verified(true);
            ASSERT_EQ(found.damaged.size(), 1u) << key << " byte " << at;
            EXPECT_EQ(found.damaged[0].key, key);
            EXPECT_TRUE(found.damaged[0].mendable);
            EXPECT_EQ(found.affected_count, 0u);
            store.objects[key] = good.at(key);
        }
        // The end is gone.
        store.objects[key].resize(size - 10);
        repository = open();
        EXPECT_EQ(restore(point), files) << key;
        EXPECT_EQ(verified(true).affected_count, 0u);
        store.objects[key] = good.at(key);
    }
}

// The program dies at each operation of the store: before it, or right after it was done.
TEST_F(ScrubTest, ARepairThatIsKilledAnywhereGoesOn) {
    parity = 5;
    back_up("a", {noise(300, 1)});
    back_up("a", {noise(400, 2)});
    auto const good = store.objects;
    auto damage = [&] {
        store.objects = good;
        for (auto const& key : store.keys("packs/")) store.objects[key][60] ^= 1;
        store.objects.erase(std::string(kConfigKey));
        store.objects[key_copy_key(keys.id)].clear();
    };
    bool ended = false;
    for (int at = 0; !ended; ++at) {
        damage();
        std::atomic<int> operation = 0;
        store.before = [&](std::string_view, ObjectKey const&) -> Result<void> {
            if (operation++ < at) return {};
            return fail(ErrorKind::cancelled, "killed");
        };
        ended = scrub(store, *executor, {.repair = true}, {}, {}).has_value();
        store.before = nullptr;
        EXPECT_TRUE(scrubbed({.repair = true}).whole());
        ASSERT_EQ(store.objects, good) << at;
    }
}

}  // namespace
}  // namespace holdfast
