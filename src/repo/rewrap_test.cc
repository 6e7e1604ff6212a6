#include "repo/rewrap.h"

#include "repo/key_world.h"
#include "store/faulty_store.h"

namespace holdfast {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct Rewrap : KeyWorld {
    std::vector<PointInfo> points;
    std::vector<std::string> texts;
    std::vector<std::string> old_packs;
    DataKeyId newest;

    // Packs of the first epoch, and then a rotation.
    void prepare(int count) {
        auto repository = open(admin);
        for (int i = 0; i < count; ++i) {
            texts.push_back(to_text(prose(3000, static_cast<std::uint64_t>(i))));
            points.push_back(back_up(*repository, "a", texts.back()));
        }
        old_packs = store.keys("packs/");
        newest = rotate_pair(*repository, "", {}).value();
    }
    void expect_readable(KeyBundle const& keys) {
        auto repository = open(keys, "fresh");
        for (std::size_t i = 0; i < points.size(); ++i) {
            auto text = read(*repository, points[i]);
            ASSERT_TRUE(text) << text.error().message;
            EXPECT_EQ(*text, texts[i]);
        }
    }
};

TEST_F(Rewrap, WhatLiesInOldEpochsIsSealedToTheNewest) {
    auto reader = add(Role::reader);
    prepare(12);
    auto repository = open(admin);
    auto preview = rewrap_packs(*repository, {.dry_run = true}, {}, {}).value();
    EXPECT_EQ(preview.packs, 12u);
    EXPECT_EQ(store.keys("packs/"), old_packs);
    auto done = rewrap_packs(*repository, {}, {}, {});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->packs, 12u);
    EXPECT_THAT(done->damaged, IsEmpty());
    EXPECT_EQ(sealed_to().count(newest), 12u);
    // Then garbage collection may take the old ones.
    for (auto const& key : old_packs) store.objects.erase(key);
    expect_readable(admin);
    expect_readable(reader);
    EXPECT_EQ(store.keys("writers/").size(), 0u);
}

TEST_F(Rewrap, ShardsDoItTogetherAndNothingTwice) {
    prepare(12);
    std::uint64_t packs = 0;
    for (std::uint32_t shard : {2u, 0u, 1u}) {
        auto done = rewrap_packs(*open(admin), {.shard = {shard, 3}}, {}, {}).value();
        EXPECT_LT(done.packs, 12u);
        packs += done.packs;
    }
    EXPECT_EQ(packs, 12u);
    auto again = rewrap_packs(*open(admin), {}, {}, {}).value();
    EXPECT_EQ(again.packs, 0u);
    EXPECT_EQ(again.done_before, 12u);
    EXPECT_EQ(store.keys("packs/").size(), 24u);
    for (auto const& key : old_packs) store.objects.erase(key);
    expect_readable(admin);
}

TEST_F(Rewrap, ACrashAnywhereIsTakenUp) {
    prepare(3);
    auto const begin = store.objects;
    for (std::uint64_t at = 0;; ++at) {
        SCOPED_TRACE(at);
        ASSERT_LT(at, 200u);
        store.objects = begin;
        FaultyStore faulty(store);
        auto repository = try_open(faulty, admin).value();
        auto first = faulty.operations() + at;
        faulty.fail_from(first, ErrorKind::unreachable);
        auto done = rewrap_packs(*repository, {}, {}, {});
        repository.reset();
        if (done && faulty.operations() <= first) break;
        expect_readable(admin);
        auto again = rewrap_packs(*open(admin), {}, {}, {});
        ASSERT_TRUE(again) << again.error().message;
        for (auto const& key : old_packs) store.objects.erase(key);
        expect_readable(admin);
    }
}

TEST_F(Rewrap, ADamagedPackIsNamedAndStays) {
    prepare(3);
    store.objects[old_packs[1]][60] ^= 1;
    auto done = rewrap_packs(*open(admin), {}, {}, {}).value();
    EXPECT_EQ(done.packs, 2u);
    ASSERT_THAT(done.damaged, SizeIs(1));
    EXPECT_EQ(done.damaged[0].key, old_packs[1]);
    EXPECT_EQ(sealed_to().count(newest), 2u);
}

TEST_F(Rewrap, PairsThatAreNotHeldAreNamed) {
    auto reader = add(Role::reader);
    auto repository = open(admin);
    ASSERT_TRUE(add_pair(*repository, "escrow", std::vector{reader.id}, {}));
    back_up(*repository, "secret", "text", "escrow");
    ASSERT_TRUE(rotate_pair(*repository, "escrow", {}));
    auto done = rewrap_packs(*repository, {}, {}, {}).value();
    EXPECT_EQ(done.packs, 0u);
    EXPECT_THAT(done.refused, ElementsAre("key pair 'escrow'"));
    // A reader alone cannot store, a writer alone cannot open.
    EXPECT_EQ(rewrap_packs(*open(reader), {}, {}, {}).error().kind, ErrorKind::key_refused);
    EXPECT_EQ(rewrap_packs(*open(add(Role::writer)), {}, {}, {}).error().kind, ErrorKind::key_refused);
}

}  // namespace
}  // namespace holdfast
