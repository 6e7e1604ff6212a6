#include "repo/approval.h"

#include "repo/hold.h"
#include "repo/json_object.h"
#include "repo/lease.h"
#include "repo/prune.h"
#include "repo/test_keys.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using namespace std::chrono_literals;

struct Approvals : KeyStore {
    KeyBundle second, third;  // an admin and a reader who may agree

    void SetUp() override {
        auto repository = open(admin, store).value();
        second = add_bundle(*repository, {.roles = kAllRoles, .label = "second"}, {}).value();
        third = reader.clone();
    }
    ApprovalRules rules(std::uint64_t others = 1) { return {others, {admin.id, second.id, third.id}}; }
    void ask_for_approvals(std::uint64_t others = 1) {
        auto set = set_approvals(*open(admin, store).value(), rules(others), {});
        ASSERT_TRUE(set) << set.error().message;
    }
    Result<void> drop(KeyBundle const& keys, PointInfo const& info) {
        PointKey key{dataset_tag(admin, info.point.dataset), info.point.time, info.id};
        return (*open(keys, store))->drop({&key, 1}, {});
    }
    Result<DeletionRequest> approve(KeyBundle const& keys, std::string const& prefix) {
        return approve_deletion(*open(keys, store).value(), prefix, {});
    }
    std::vector<DeletionRequest> requests() { return list_requests(*open(reader, store).value(), {}).value(); }
    std::size_t points() { return open(reader, store).value()->points({})->points.size(); }
};

TEST_F(Approvals, WithoutThemNothingChanges) {
    auto info = back_up(writer, fresh_files());
    EXPECT_TRUE(drop(admin, info));
    EXPECT_EQ(points(), 0u);
    EXPECT_THAT(requests(), IsEmpty());
}

TEST_F(Approvals, APointGoesWhenAnotherAgreed) {
    auto info = back_up(writer, fresh_files());
    auto other = back_up(writer, fresh_files());
    ask_for_approvals();
    auto refused = drop(admin, info);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unsafe);
    ASSERT_THAT(requests(), SizeIs(1));
    auto const request = requests().front();
    EXPECT_EQ(request.subjects, std::set<std::string>{info.id.hex()});
    EXPECT_THAT(refused.error().message, HasSubstr(request.hex().substr(0, 8)));
    // Asking again asks nobody twice, and nobody agrees with himself.
    EXPECT_FALSE(drop(admin, info));
    EXPECT_THAT(requests(), SizeIs(1));
    EXPECT_EQ(approve(admin, request.hex()).error().kind, ErrorKind::unsafe);
    EXPECT_EQ(approve(writer, request.hex()).error().kind, ErrorKind::key_refused);
    EXPECT_EQ(points(), 2u);
    ASSERT_TRUE(approve(third, request.hex().substr(0, 8)));
    // Exactly this point, and no other.
    EXPECT_FALSE(drop(admin, other));
    auto done = drop(admin, info);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(points(), 1u);
    EXPECT_TRUE(requests().front().used);
    EXPECT_EQ(approve(second, request.hex()).error().kind, ErrorKind::unsafe);
    EXPECT_THAT(open(reader, store).value()->points({})->damaged, IsEmpty());
}

TEST_F(Approvals, TwoOthersAreTwoOthers) {
    auto info = back_up(writer, fresh_files());
    ask_for_approvals(2);
    EXPECT_FALSE(drop(admin, info));
    auto id = requests().front().hex();
    ASSERT_TRUE(approve(third, id));
    ASSERT_TRUE(approve(third, id));  // twice the same is once
    EXPECT_FALSE(drop(admin, info));
    ASSERT_TRUE(approve(second, id));
    EXPECT_TRUE(drop(admin, info));
}

TEST_F(Approvals, ARequestExpires) {
    auto info = back_up(writer, fresh_files());
    ask_for_approvals();
    EXPECT_FALSE(drop(admin, info));
    auto id = requests().front().hex();
    ASSERT_TRUE(approve(third, id));
    clock.advance(kRequestLife + 1s);
    EXPECT_FALSE(drop(admin, info));
    EXPECT_EQ(approve(second, id).error().kind, ErrorKind::unsafe);
    EXPECT_THAT(requests(), SizeIs(2));  // asked for anew
}

// An admin makes keys, but no approvers; and whose key is removed agrees to nothing.
TEST_F(Approvals, AnAdminDoesNotAgreeWithHimself) {
    auto info = back_up(writer, fresh_files());
    ask_for_approvals();
    EXPECT_FALSE(drop(admin, info));
    auto id = requests().front().hex();
    auto own = add_bundle(*open(admin, store).value(), {.roles = kAllRoles, .label = "a second hat"}, {}).value();
    EXPECT_EQ(approve(own, id).error().kind, ErrorKind::key_refused);
    // Nor by putting the signature there himself.
    JsonObject json;
    json.set_hex("request", requests().front().id);
    json.set("time", clock.now());
    auto repository = open(own, store).value();
    auto mark = repository->seal(kApprovalDocument, as_bytes(json.dump()));
    auto folder = objects.keys("approvals/").front();
    folder.resize(folder.rfind('/') + 1);
    ASSERT_TRUE(store.put(ObjectKey(folder + "by-" + own.id.hex()), mark, {}));
    EXPECT_FALSE(drop(admin, info));
    // And another one's signature under his name counts as little.
    ASSERT_TRUE(store.put(ObjectKey(folder + "by-" + third.id.hex()), mark, {}));
    EXPECT_FALSE(drop(admin, info));
    EXPECT_EQ(points(), 1u);
}

TEST_F(Approvals, WhoMayAgreeIsChangedByAgreement) {
    ask_for_approvals();
    auto repository = open(admin, store).value();
    EXPECT_EQ(set_approvals(*repository, {}, {}).error().kind, ErrorKind::unsafe);
    EXPECT_EQ(approval_rules(repository->ring({})->ring), rules());
    ASSERT_TRUE(approve(second, requests().front().hex()));
    ASSERT_TRUE(set_approvals(*repository, {}, {}));
    EXPECT_EQ(approval_rules(repository->ring({})->ring), ApprovalRules{});
    // Too few, machines, nobody.
    EXPECT_EQ(set_approvals(*repository, {1, {second.id}}, {}).error().kind, ErrorKind::usage);
    EXPECT_EQ(set_approvals(*repository, {1, {second.id, writer.id}}, {}).error().kind, ErrorKind::usage);
    EXPECT_EQ(set_approvals(*repository, {1, {second.id, BundleId{}}}, {}).error().kind, ErrorKind::not_found);
}

TEST_F(Approvals, HoldsAndKeysGoByAgreement) {
    ask_for_approvals();
    auto repository = open(admin, store).value();
    Hold wanted;
    wanted.reason = "case 7";
    auto hold = place_hold(*repository, wanted, {}).value();
    EXPECT_EQ(remove_hold(*repository, hold.hex(), {}).error().kind, ErrorKind::unsafe);
    EXPECT_THAT(list_holds(*repository, {}).value(), SizeIs(1));
    ASSERT_TRUE(approve(third, requests().back().hex()));
    EXPECT_TRUE(remove_hold(*repository, hold.hex(), {}));
    EXPECT_EQ(remove_key(*repository, writer.id, {}).error().kind, ErrorKind::unsafe);
    EXPECT_FALSE(repository->removed(writer.id));
    clock.advance(1s);
    for (auto const& request : requests()) {
        if (request.what == Deletion::key) {
            ASSERT_TRUE(approve(second, request.hex()));
        }
    }
    EXPECT_TRUE(remove_key(*repository, writer.id, {}));
    EXPECT_TRUE(repository->removed(writer.id));
    for (auto const& request : requests()) EXPECT_TRUE(request.used);
}

TEST_F(Approvals, PacksWaitUntilOthersAgree) {
    back_up(writer);
    auto gone = back_up(writer, fresh_files());
    ASSERT_TRUE(drop(admin, gone));
    acknowledged.erase(gone.id);
    ask_for_approvals();
    auto prune = [&] {
        clock.advance(kLeaseSilenceMax + 25h);
        return prune_repository(*open(admin, store).value(), {}, walk_test_files, {}, {}).value();
    };
    EXPECT_GT(prune().doomed, 0u);
    auto const packs = objects.keys("packs/").size();
    auto held_back = prune();
    EXPECT_EQ(held_back.deleted, 0u);
    EXPECT_GT(held_back.withheld, 0u);
    ASSERT_THAT(held_back.requests, SizeIs(1));
    EXPECT_EQ(prune().requests, held_back.requests);  // nobody is asked twice
    EXPECT_EQ(objects.keys("packs/").size(), packs);
    ASSERT_TRUE(approve(third, *held_back.requests.begin()));
    auto done = prune();
    EXPECT_EQ(done.deleted, held_back.withheld);
    EXPECT_EQ(objects.keys("packs/").size(), packs - done.deleted);
    EXPECT_TRUE(requests().back().used);
    check("after garbage collection");
}

// Every bit of what lies under approvals/: a request that was changed counts for nothing, and verify names it.
TEST_F(Approvals, AChangedRequestCountsForNothing) {
    auto info = back_up(writer, fresh_files());
    ask_for_approvals();
    EXPECT_FALSE(drop(admin, info));
    ASSERT_TRUE(approve(third, requests().front().hex()));
    auto repository = open(admin, store).value();
    for (auto const& key : objects.keys("approvals/")) {
        auto const whole = *objects.objects.find(key)->second.bytes;
        EXPECT_TRUE(check_approval_object(*repository, key, whole, {}));
        for (std::size_t i = 0; i < whole.size(); i += 7) {
            auto flipped = whole;
            flipped[i] ^= 1;
            EXPECT_FALSE(check_approval_object(*repository, key, flipped, {})) << key << " " << i;
        }
        objects.objects.find(key)->second.bytes = std::make_shared<Bytes const>(Bytes(whole.begin(), whole.end() - 1));
        auto permission = Permission::load(*repository, Deletion::points, {}).value();
        EXPECT_FALSE(permission.allows(info.id.hex())) << key;
        objects.objects.find(key)->second.bytes = std::make_shared<Bytes const>(whole);
    }
    EXPECT_TRUE(Permission::load(*repository, Deletion::points, {})->allows(info.id.hex()));
}

}  // namespace
}  // namespace holdfast
