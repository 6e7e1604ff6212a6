#include "repo/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "repo/lease.h"
#include "repo/self_documents.h"
#include "repo/test_points.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class VerifyTest : public PointsTest {};

TEST_F(VerifyTest, AWholeRepositoryIsWhole) {
    back_up("a", {noise(3'000'000, 1), prose(200'000, 2), {}});
    back_up("a", {noise(3'000'000, 1), prose(200'000, 3)});
    for (bool data : {false, true}) {
        auto objects = store.objects.size();  // before what is proven is noted
        auto found = verified(data);
        EXPECT_TRUE(found.whole());
        EXPECT_THAT(found.damaged, IsEmpty());
        EXPECT_EQ(found.points, 2u);
        EXPECT_EQ(found.packs, store.keys("packs/").size());
        EXPECT_EQ(found.objects, objects);
        EXPECT_EQ(found.bytes_read > 3'000'000, data);
    }
}

TEST_F(VerifyTest, EveryFlippedByteOfEveryObjectIsFound) {
    back_up("a", {noise(300, 1), prose(900, 2)});
    back_up("b", {prose(50, 3)});
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("holdfast: 1"), {}));
    auto writer = add_bundle(*repository, {.roles = static_cast<Roles>(Role::writer), .label = "w", .password = {}}, {});
    ASSERT_TRUE(writer) << writer.error().message;
    auto lease = Lease::acquire(store, repository->keys(), clock, random, {});
    ASSERT_TRUE(lease);
    ASSERT_TRUE(verified(true).whole());
    auto const good = store.objects;
    std::set<std::string> rooms;
    std::size_t flips = 0;
    for (auto const& [key, bytes] : good) {
        rooms.insert(key.substr(0, key.find('/')));
        for (std::size_t i = flips % kFlipStride; i < bytes.size(); i += kFlipStride, ++flips) {
            store.objects[key][i] ^= static_cast<std::uint8_t>(1u << flips % 8);
            // As a new client would: nothing is remembered.
            repository = nullptr;
            auto opened = open_repository(store, keys.clone(), world, {}, {});
            if (opened) {
                repository = std::move(*opened);
                auto found = verify(true);
                auto named = found && std::any_of(found->damaged.begin(), found->damaged.end(),
                                                  [&](auto const& object) { return object.key == key; });
                EXPECT_TRUE(named) << key << " byte " << i;
            }
            // Opening writes nothing, but verifying as an admin may have put a receipt.
            store.objects = good;
            if (HasFailure()) return;
        }
    }
    EXPECT_EQ(rooms, (std::set<std::string>{"holdfast.json", "index", "keys", "log", "packs", "points", "proven", "receipts",
                                            "self", "writers"}));
    RecordProperty("flips", static_cast<int>(flips));
    repository = open();
}

TEST_F(VerifyTest, EveryMissingObjectThatIsNeededIsFound) {
    back_up("a", {noise(300, 1), prose(900, 2)});
    back_up("b", {prose(50, 3)});
    auto const good = store.objects;
    for (auto const& [key, bytes] : good) {
        if (key == store.keys("log/").back()) continue;
        store.objects.erase(key);
        auto found = verify(false);
        // A receipt is written again by an admin; holdfast.json and keys have copies. That the last
        // entry of a log is gone only those see who remember it: its point is unconfirmed.
        auto needless = key.starts_with("receipts/") || key.starts_with("self/") || key.starts_with("keys/") ||
                        key == "holdfast.json";
        if (!needless) {
            EXPECT_TRUE(!found || !found->whole()) << key;
        }
        store.objects = good;
        repository = open();
    }
}

TEST_F(VerifyTest, AMissingPackNamesWhatIsAffected) {
    auto first = back_up("a", {noise(300'000, 1), prose(900, 2)});
    auto second = back_up("a", {noise(300'000, 1), noise(200'000, 5)});
    // The pack of the first file.
    auto fetch = *repository->begin_fetch({}, {});
    auto tree = *fetch->content(first.point.tree, 1u << 20, {});
    ByteReader reader(tree);
    auto file = *decode_content(reader);
    auto pack = pack_key(fetch->locations(*file.extents[0].chunk).at(0)).text();
    store.objects.erase(pack);
    auto found = verified(false);
    EXPECT_FALSE(found.whole());
    ASSERT_EQ(found.damaged.size(), 1u);
    EXPECT_EQ(found.damaged[0].key, pack);
    EXPECT_THAT(found.damaged[0].error.message, HasSubstr("missing"));
    EXPECT_TRUE(found.lost.contains(*file.extents[0].chunk));
    EXPECT_EQ(found.affected_points, (std::set<PointId>{first.id, second.id}));
    for (auto const& affected : found.affected) EXPECT_EQ(affected.dataset, "a");
    EXPECT_EQ(found.affected[0].path, "0");
    // The next backup stores again what was lost, and both points are whole.
    back_up("a", {noise(300'000, 1), prose(900, 2)});
    found = verified(false);
    EXPECT_THAT(found.affected, IsEmpty());
    EXPECT_THAT(found.lost, IsEmpty());
}

TEST_F(VerifyTest, ACutOffPackIsFoundByItsSizeAndDataSaysWhatIsLeft) {
    back_up("a", {noise(700'000, 1)});
    std::string pack;
    for (auto const& key : store.keys("packs/")) {
        if (store.objects[key].size() > 300'000) pack = key;
    }
    store.objects[pack].resize(500'000);
    for (bool data : {false, true}) {
        auto found = verified(data);
        ASSERT_FALSE(found.damaged.empty());
        EXPECT_EQ(found.damaged[0].key, pack);
        EXPECT_EQ(found.affected_count, 1u);
    }
}

TEST_F(VerifyTest, AFlippedFrameIsFoundByDataAloneAndCostsOneFile) {
    auto point = back_up("a", {noise(900'000, 1), noise(1'500'000, 2)});
    auto packs = store.keys("packs/");
    auto const& key = *std::max_element(packs.begin(), packs.end(), [&](auto const& a, auto const& b) {
        return store.objects[a].size() < store.objects[b].size();
    });
    store.objects[key][kPackHeaderBytes + 100] ^= 1;
    EXPECT_TRUE(verified(false).whole());
    auto found = verified(true);
    EXPECT_EQ(found.affected_points, std::set<PointId>{point.id});
    EXPECT_GE(found.lost.size(), 1u);
    EXPECT_LE(found.lost.size(), 9u);
}

TEST_F(VerifyTest, AnotherPlaceForAChunkIsEnough) {
    back_up("a", {noise(300'000, 1)});
    auto second = add_bundle(*repository, {.roles = kAllRoles, .label = "second", .password = {}}, {});
    ASSERT_TRUE(second);
    auto first_packs = store.keys("packs/");
    auto mine = std::move(repository);
    repository = std::move(*open_repository(store, second->clone(), world, {}, {}));
    back_up("b", {noise(300'000, 1)});
    repository = std::move(mine);
    for (auto const& key : first_packs) store.objects[key][kPackHeaderBytes + 5] ^= 1;
    auto found = verified(true);
    EXPECT_EQ(found.damaged.size() >= first_packs.size(), true);
    EXPECT_THAT(found.lost, IsEmpty());
    EXPECT_EQ(found.affected_count, 0u);
}

TEST_F(VerifyTest, AnIndexThatDisagreesWithItsPackIsFound) {
    back_up("a", {noise(3000, 1)});
    auto index = *refresh_index(*repository, {}, {});
    auto named = index->packs().value();
    std::vector<PackSummary> lies = {{.id = named[0].id,
                                      .bytes = named[0].bytes,
                                      .header = named[0].header,
                                      .directory = index->directory(0).value()}};
    lies[0].directory.chunks[0].id.bytes[0] ^= 1;
    auto object = repository->seal(DocumentKind::index, encode_segment(lies));
    ASSERT_TRUE(store.put(segment_key(object), object, {}));
    auto found = verified(true);
    ASSERT_EQ(found.damaged.size(), 1u);
    EXPECT_THAT(found.damaged[0].error.message, HasSubstr("disagrees"));
    EXPECT_EQ(found.affected_count, 0u);
}

TEST_F(VerifyTest, SwappedPacksAreFound) {
    back_up("a", {noise(300'000, 1)});
    auto packs = store.keys("packs/");
    ASSERT_GE(packs.size(), 2u);
    std::swap(store.objects[packs[0]], store.objects[packs[1]]);
    EXPECT_FALSE(verified(false).whole());
    auto found = verified(true);
    EXPECT_GE(found.damaged.size(), 2u);
    EXPECT_EQ(found.affected_count > 0, true);
}

TEST_F(VerifyTest, WhatIsNotUnderstoodIsReported) {
    back_up("a", {noise(300, 1)});
    for (auto key : {"stranger", "packs/00/nonsense", "doomed/x", "log/x", "points/x", "index/x", "keys/x"}) {
        ASSERT_TRUE(store.put(ObjectKey(key), as_bytes("what?"), {}));
        auto found = verified(false);
        EXPECT_FALSE(found.whole()) << key;
        store.objects.erase(key);
    }
    EXPECT_TRUE(verified(false).whole());
}

TEST_F(VerifyTest, AnInterruptedBackupIsNoDamage) {
    back_up("a", {noise(300, 1)});
    {
        auto ingest = *repository->begin_ingest({.pack_bytes = 1u << 20,
                                                 .packs_in_flight_max = 2,
                                                 .frames_in_flight_bytes = 8u << 20,
                                                 .zstd_level = 1},
                                                {});
        auto stream = ingest->open_stream(ChunkKind::data, {});
        ASSERT_TRUE(stream->append(noise(6'000'000, 9)));
    }
    auto found = verified(true);
    EXPECT_TRUE(found.whole());
}

TEST_F(VerifyTest, AStoreThatDoesNotAnswerIsAnErrorAndAStopStops) {
    back_up("a", {noise(300, 1)});
    auto const operations = [&] {
        std::size_t count = 0;
        std::mutex mutex;
        store.before = [&](std::string_view, ObjectKey const&) -> Result<void> {
            std::lock_guard lock(mutex);
            ++count;
            return {};
        };
        verified(true);
        return count;
    }();
    for (std::size_t fail_at = 0; fail_at < operations; ++fail_at) {
        std::size_t count = 0;
        std::mutex mutex;
        std::string last;
        store.before = [&](std::string_view operation, ObjectKey const& key) -> Result<void> {
            std::lock_guard lock(mutex);
            if (count++ < fail_at) return {};
            if (last.empty()) last = std::string(operation) + " " + key.text();
            return fail(ErrorKind::unreachable, "no answer");
        };
        auto found = verify(true);
        if (last.empty()) break;  // what was cached by now is not asked again
        ASSERT_FALSE(found) << fail_at << ": " << last;
        EXPECT_EQ(found.error().kind, ErrorKind::unreachable);
    }
    store.before = nullptr;
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(verify_repository(*repository, {.data = true}, walk_test_tree, {}, stop.get_token()).error().kind,
              ErrorKind::cancelled);
}

TEST_F(VerifyTest, NeedsAReader) {
    auto writer = add_bundle(*repository, {.roles = static_cast<Roles>(Role::writer), .label = "w", .password = {}}, {});
    ASSERT_TRUE(writer);
    repository = std::move(*open_repository(store, writer->clone(), world, {}, {}));
    EXPECT_EQ(verify(false).error().kind, ErrorKind::key_refused);
}

}  // namespace
}  // namespace holdfast
