// Datasets with a key pair of their own, beside those who hold it and those who do not: garbage, repair.
#include "repo/lease.h"
#include "repo/prune.h"
#include "repo/repair.h"
#include "repo/test_keys.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

struct Pairs : KeyStore {
    KeyBundle vault;  // all roles, and the pair
    DataKeyId pair;

    void SetUp() override {
        auto repository = open(admin, store).value();
        vault = add_bundle(*repository, {.roles = kAllRoles, .label = "vault"}, {}).value();
        pair = add_pair(*repository, "escrow", std::vector{vault.id, reader.id}, {}).value();
    }
    void forget(PointInfo const& info) {
        PointKey key{dataset_tag(admin, info.point.dataset), info.point.time, info.id};
        ASSERT_TRUE(open(admin, store).value()->drop({&key, 1}, {}));
        acknowledged.erase(info.id);
    }
    Pruned prune(KeyBundle const& keys) {
        clock.advance(kLeaseSilenceMax + 25h);
        auto done = prune_repository(*open(keys, store).value(), {.limits = {.unused_max = 0}}, walk_test_files, {}, {});
        EXPECT_TRUE(done) << done.error().message;
        return done ? *done : Pruned{};
    }
    std::set<std::string> packs_of(DataKeyId const& key) {
        std::set<std::string> found;
        for (auto const& name : objects.keys("packs/")) {
            auto object = store.get(ObjectKey(name), {}).value();
            if (decode_pack_header(ByteView(object).first(kPackHeaderBytes))->data_key == key) found.insert(name);
        }
        return found;
    }
    void flip(std::string const& name) {
        auto& object = objects.objects.find(name)->second;
        auto bytes = *object.bytes;
        bytes[100] ^= 1;
        object.bytes = std::make_shared<Bytes const>(std::move(bytes));
    }
};

TEST_F(Pairs, GarbageOfAPairIsCollectedByWhoHoldsIt) {
    auto gone = back_up(writer, fresh_files(), "escrow");
    back_up(writer, fresh_files(), "escrow");
    back_up(writer);
    forget(gone);
    auto const before = packs_of(pair);
    for (int i = 0; i < 2; ++i) {
        auto done = prune(admin);
        EXPECT_EQ(done.sealed, before.size());
        EXPECT_EQ(done.sealed_points, 1u);
        EXPECT_EQ(packs_of(pair), before);
    }
    EXPECT_GT(prune(vault).doomed, 0u);
    // What somebody doomed who could tell, nobody deletes who can't.
    (void)prune(admin);
    EXPECT_EQ(packs_of(pair), before);
    EXPECT_GT(prune(vault).deleted, 0u);
    EXPECT_LT(packs_of(pair).size(), before.size());
    check("after garbage collection");
}

// The same bytes in a common dataset and in a sealed one: neither place makes the other one garbage, and each goes
// with its own points.
TEST_F(Pairs, AChunkOfTwoPairsStaysInBoth) {
    auto files = fresh_files();
    auto common = back_up(writer, files);
    auto sealed = back_up(writer, files, "escrow");
    // Sealed anew by collection: then everybody relies on it, but only within the pair.
    back_up(vault, files, "escrow");
    for (int i = 0; i < 3; ++i) (void)prune(vault);
    check("both stay");
    auto without = open(admin, store).value();
    EXPECT_EQ(restore_test_files(*without->begin_fetch({}, {}).value(), common.point).value(), files);
    EXPECT_EQ(restore_test_files(*without->begin_fetch({}, {}).value(), sealed.point).value(), files);  // by the common place
    forget(common);
    for (int i = 0; i < 3; ++i) (void)prune(vault);
    EXPECT_THAT(packs_of(data_key_id(admin.data_public)), IsEmpty());
    check("the sealed ones stay");
    auto refused = restore_test_files(*open(admin, store).value()->begin_fetch({}, {}).value(), sealed.point);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::key_refused);
}

TEST_F(Pairs, ADamagedPackOfAPairIsRepairedByWhoHoldsIt) {
    auto files = fresh_files();
    auto point = back_up(writer, files, "escrow");
    auto const before = packs_of(pair);
    flip(*before.begin());
    auto blind = repair_repository(*open(admin, store).value(), {}, {}, {});
    ASSERT_TRUE(blind) << blind.error().message;
    ASSERT_THAT(blind->damaged, SizeIs(1));
    EXPECT_THAT(blind->damaged[0].error.message, HasSubstr("key pair 'escrow'"));
    EXPECT_THAT(blind->packs_given_up, IsEmpty());
    EXPECT_EQ(packs_of(pair), before);
    // The next backup stores again what is known to be damaged, sealed to the pair.
    back_up(writer, files, "escrow");
    auto held = repair_repository(*open(vault, store).value(), {}, {}, {});
    ASSERT_TRUE(held) << held.error().message;
    EXPECT_THAT(held->damaged, IsEmpty());
    EXPECT_THAT(held->packs_given_up, SizeIs(1));
    EXPECT_THAT(packs_of(data_key_id(admin.data_public)), IsEmpty());
    check("after the repair");
}

TEST_F(Pairs, APackThatNoSegmentNamesIsNamedByWhoHoldsItsPair) {
    back_up(writer, fresh_files(), "escrow");
    auto packs = packs_of(pair).size();
    for (auto const& key : objects.keys("index/")) objects.objects.erase(key);
    auto blind = repair_repository(*open(admin, store).value(), {}, {}, {}).value();
    EXPECT_EQ(blind.packs_named, 0u);
    EXPECT_THAT(blind.damaged, SizeIs(packs));
    auto held = repair_repository(*open(vault, store).value(), {}, {}, {}).value();
    EXPECT_EQ(held.packs_named, packs);
    check("after the repair");
}

}  // namespace
}  // namespace holdfast
