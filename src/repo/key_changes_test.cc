#include "repo/key_changes.h"

#include "repo/certificates.h"
#include "repo/key_world.h"
#include "repo/proven.h"
#include "repo/replicate.h"
#include "repo/self_documents.h"
#include "repo/verify.h"
#include "repo/wal_log.h"
#include "repo/writer_log.h"

namespace holdfast {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

using KeyChanges = KeyWorld;

TEST_F(KeyChanges, ARotationSealsWhatIsNewToTheNewEpoch) {
    auto before_reader = add(Role::reader);
    auto writer = add(Role::writer);
    auto repository = open(admin);
    auto old = back_up(*repository, "a", "old text");
    auto id = rotate_pair(*repository, "", {});
    ASSERT_TRUE(id) << id.error().message;
    auto young = back_up(*repository, "a", "young text");
    auto by_writer = back_up(*open(writer, "other"), "b", "a writer's text");
    EXPECT_THAT(sealed_to(), testing::UnorderedElementsAre(data_key_id(admin.data_public), *id, *id));

    auto after_reader = add(Role::reader);
    for (auto const* keys : {&admin, &before_reader, &after_reader}) {
        auto reading = open(*keys, "reading");
        EXPECT_EQ(read(*reading, old).value(), "old text");
        EXPECT_EQ(read(*reading, young).value(), "young text");
        EXPECT_EQ(read(*reading, by_writer).value(), "a writer's text");
    }
    // What was stored before the rotation is relied upon after it.
    auto again = back_up(*repository, "a", "old text");
    EXPECT_EQ(sealed_to().size(), 3u);
    EXPECT_EQ(again.point.tree, old.point.tree);
}

// What was signed before stays, byte for byte: a date that its writer gives proves nothing.
TEST_F(KeyChanges, OfARemovedWritersSelfDocumentsTheSameBytesCount) {
    auto writer = add(Role::writer);
    auto theirs = open(writer, "theirs");
    ASSERT_TRUE(self_put(*theirs, "plan", as_bytes("honest"), {}));
    TestStore hidden;
    hidden.objects = store.objects;
    clock.advance(std::chrono::hours(1));
    auto repository = open(admin);
    auto const removed_at = clock.now();
    ASSERT_TRUE(remove_key(*repository, writer.id, {}));
    EXPECT_EQ(to_text(self_latest(*repository, "plan", {})->bytes), "honest");
    ManualClock back{removed_at - std::chrono::minutes(1)};
    RepositoryWorld there{back, random, *executor, {}, {}};
    auto thief = open_repository(hidden, writer.clone(), there, {}, {}).value();
    ASSERT_TRUE(self_put(*thief, "plan", as_bytes("evil, and dated back"), {}));
    for (auto const& [key, bytes] : hidden.objects) store.objects.emplace(key, bytes);
    EXPECT_EQ(to_text(self_latest(*repository, "plan", {})->bytes), "honest");
}

// A mount, or a receiver, that was there before.
TEST_F(KeyChanges, AFetchThatBeganBeforeARotationReadsWhatFollows) {
    auto repository = open(admin, "mounted");
    back_up(*repository, "a", "old text");
    auto fetch = repository->begin_fetch({}, {}).value();
    auto others = open(admin);
    ASSERT_TRUE(rotate_pair(*others, "", {}));
    auto young = back_up(*others, "a", "young text");
    auto bytes = fetch->content(young.point.tree, 1 << 20, {});
    ASSERT_FALSE(bytes && to_text(*bytes) != "young text");
    auto again = repository->begin_fetch({}, {}).value()->content(young.point.tree, 1 << 20, {});
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(to_text(*again), "young text");
}

TEST_F(KeyChanges, SelfDocumentsFollowTheEpoch) {
    auto repository = open(admin);
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("one"), {}));
    ASSERT_TRUE(rotate_pair(*repository, "", {}));
    clock.advance(std::chrono::seconds(1));
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("two"), {}));
    EXPECT_EQ(to_text(self_latest(*repository, "plan", {})->bytes), "two");
    auto names = self_list(*repository, {}).value();
    EXPECT_EQ(to_text(self_get(*repository, "plan", names.front().time, {})->bytes), "one");
    // An old pair alone does not open the new one.
    auto loaded = repository->ring({}).value();
    auto stale = DataKeys::create(admin, {}).value();
    EXPECT_EQ(stale.epochs("").size(), 1u);
    EXPECT_EQ(loaded.ring.pairs.size(), 1u);
}

TEST_F(KeyChanges, ARemovedReaderIsNotGivenTheNextEpoch) {
    auto reader = add(Role::reader);
    auto repository = open(admin);
    ASSERT_TRUE(remove_key(*repository, reader.id, {}));
    auto id = rotate_pair(*repository, "", {}).value();
    auto refused = try_open(store, reader);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::key_refused);
    EXPECT_THAT(refused.error().message, HasSubstr("was removed by an admin"));
    // Nor does it help to pass that by.
    auto keys = DataKeys::create(reader, repository->ring({})->ring).value();
    EXPECT_EQ(keys.find(id).error().kind, ErrorKind::key_refused);
    EXPECT_THAT(keys.find(id).error().message, HasSubstr("epoch 1"));
}

TEST_F(KeyChanges, OfARemovedWriterWhatItSignedBeforeStays) {
    auto writer = add(Role::writer);
    auto theirs = open(writer, "theirs");
    auto named = back_up(*theirs, "a", "named in the log");
    // Stored, and killed before the log entry.
    store.before = [](std::string_view operation, ObjectKey const& key) -> Result<void> {
        if (operation == "put" && key.text().starts_with("log/")) return fail(ErrorKind::unreachable, "killed");
        return {};
    };
    EXPECT_FALSE(try_back_up(*theirs, "a", "not named"));
    store.before = nullptr;

    auto repository = open(admin);
    // The thief goes on with what the store was, and nobody tells him.
    TestStore hidden;
    hidden.objects = store.objects;
    clock.advance(std::chrono::hours(1));
    auto removal = remove_key(*repository, writer.id, {});
    ASSERT_TRUE(removal) << removal.error().message;
    EXPECT_EQ(removal->last_entry, 1u);
    EXPECT_EQ(ids(*repository).size(), 2u);

    // An honest machine notices, also one that is in the middle of it.
    EXPECT_EQ(try_back_up(*theirs, "a", "later").error().kind, ErrorKind::key_refused);
    EXPECT_EQ(try_open(store, writer, "anew").error().kind, ErrorKind::key_refused);

    auto thief = try_open(hidden, writer, "thief").value();
    auto forged = try_back_up(*thief, "a", "forged").value();
    ASSERT_TRUE(self_put(*thief, "plan", as_bytes("evil"), {}));
    for (auto const& [key, bytes] : hidden.objects) store.objects.emplace(key, bytes);
    for (auto const* machine : {"here", "never seen before"}) {
        auto list = open(admin, machine)->points({});
        ASSERT_TRUE(list) << list.error().message;
        EXPECT_THAT(list->points, SizeIs(2));
        ASSERT_THAT(list->damaged, SizeIs(2));
        EXPECT_EQ(list->damaged[0].key, point_key(dataset_tag(admin, "a"), forged.point.time, forged.id));
        EXPECT_THAT(list->damaged[0].error.message, HasSubstr("after it was removed"));
        EXPECT_TRUE(list->damaged[0].refused && list->damaged[1].refused);
        EXPECT_EQ(list->damaged[1].key, log_key(writer.id, 2));
    }
    EXPECT_THAT(self_latest(*repository, "plan", {}).error().message, HasSubstr("which was removed before"));
    EXPECT_EQ(read(*repository, named).value(), "named in the log");
    // Prune sweeps it away: the point and the log entry. Then nothing is amiss.
    EXPECT_EQ(repository->sweep_dropped({}).value(), 2u);
    auto swept = open(admin, "here")->points({});
    ASSERT_TRUE(swept) << swept.error().message;
    EXPECT_THAT(swept->points, SizeIs(2));
    EXPECT_THAT(swept->damaged, IsEmpty());
}

TEST_F(KeyChanges, ARemovedWriterCannotWriteItsHistoryAnew) {
    auto writer = add(Role::writer);
    TestStore fork;
    fork.objects = store.objects;
    back_up(*open(writer, "theirs"), "a", "what happened");
    ASSERT_TRUE(remove_key(*open(admin), writer.id, {}));
    auto thief = try_open(fork, writer, "thief").value();
    auto forged = try_back_up(*thief, "a", "what did not").value();
    for (auto const& [key, bytes] : fork.objects) store.objects[key] = bytes;
    auto list = open(admin, "never seen before")->points({});
    ASSERT_FALSE(list);
    EXPECT_THAT(list.error().message, HasSubstr("went back in time"));
    EXPECT_THAT(list.error().message, HasSubstr("the admin who removed its key"));
}

TEST_F(KeyChanges, NotEveryKeyCanBeRemoved) {
    auto repository = open(admin);
    EXPECT_EQ(remove_key(*repository, admin.id, {}).error().kind, ErrorKind::unsafe);
    EXPECT_EQ(remove_key(*repository, BundleId{}, {}).error().kind, ErrorKind::not_found);
    auto writer = add(Role::writer);
    EXPECT_EQ(remove_key(*open(writer), admin.id, {}).error().kind, ErrorKind::key_refused);
    auto first = remove_key(*repository, writer.id, {}).value();
    clock.advance(std::chrono::hours(1));
    EXPECT_EQ(remove_key(*repository, writer.id, {}).value(), first);
}

TEST_F(KeyChanges, AStoreThatHidesARingIsCaught) {
    auto writer = add(Role::writer);
    auto repository = open(admin);
    ASSERT_TRUE(rotate_pair(*repository, "", {}));
    auto then = store.objects;
    ASSERT_TRUE(remove_key(*repository, writer.id, {}));
    store.objects = then;
    auto opened = try_open(store, admin);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().kind, ErrorKind::damaged);
    EXPECT_THAT(opened.error().message, HasSubstr("went back in time"));
    for (auto prefix : {kRingsPrefix, kRingCopiesPrefix})
        for (auto const& key : store.keys(prefix)) store.objects.erase(key);
    EXPECT_THAT(try_open(store, admin).error().message, HasSubstr("the key rings end at 0"));
    auto accepted = try_open(store, admin, "here", {.accept_rollback = true});
    ASSERT_TRUE(accepted);
    EXPECT_THAT((*accepted)->notices(), Contains(HasSubstr("accepted although it went back in time")));
    EXPECT_TRUE(try_open(store, admin));  // once
}

TEST_F(KeyChanges, WithTheNewestRingDamagedOneReadsAndDoesNotWrite) {
    auto repository = open(admin);
    auto point = back_up(*repository, "a", "text");
    ASSERT_TRUE(rotate_pair(*repository, "", {}));
    ASSERT_TRUE(rotate_pair(*repository, "", {}));
    store.objects[ring_key(2)].back() ^= 1;
    auto half = open(admin, "half");
    EXPECT_TRUE(try_back_up(*half, "a", "more"));  // the copy serves
    EXPECT_THAT(half->notices(), Contains(HasSubstr("rings/000002 is damaged: its copy")));
    store.objects[ring_copy_key(2)].back() ^= 1;
    auto none = open(admin, "none");
    EXPECT_EQ(read(*none, point).value(), "text");
    EXPECT_EQ(try_back_up(*none, "a", "still more").error().kind, ErrorKind::damaged);
    EXPECT_EQ(rotate_pair(*none, "", {}).error().kind, ErrorKind::damaged);
}

TEST_F(KeyChanges, OfTwoAdminsBothChangesStand) {
    auto writer = add(Role::writer);
    auto one = open(admin, "one"), two = open(admin, "two");
    bool raced = false;
    store.before = [&](std::string_view operation, ObjectKey const& key) -> Result<void> {
        if (operation != "put" || key.text() != ring_key(1) || raced) return {};
        raced = true;
        EXPECT_TRUE(remove_key(*two, writer.id, {}));
        return {};
    };
    auto id = rotate_pair(*one, "", {});
    ASSERT_TRUE(id) << id.error().message;
    auto ring = one->ring({})->ring;
    EXPECT_TRUE(raced);
    EXPECT_EQ(ring.n, 3u);
    EXPECT_TRUE(ring.find(*id));
    EXPECT_TRUE(ring.removed.contains(writer.id));
}

TEST_F(KeyChanges, ADatasetsOwnPairIsReadByItsReadersAlone) {
    auto offline = add(Role::reader);
    auto everyday = add(Role::reader);
    auto writer = add(Role::writer);
    auto repository = open(admin);
    std::vector readers{offline.id};
    auto pair = add_pair(*repository, "escrow", readers, {});
    ASSERT_TRUE(pair) << pair.error().message;
    auto point = back_up(*open(writer, "w"), "credentials", "root:hunter2", "escrow");
    EXPECT_THAT(sealed_to(), ElementsAre(*pair));
    for (auto const* keys : {&admin, &everyday}) {
        auto refused = read(*open(*keys, "r"), point);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::key_refused);
        EXPECT_THAT(refused.error().message, HasSubstr("key pair 'escrow'"));
    }
    EXPECT_EQ(read(*open(offline, "o"), point).value(), "root:hunter2");
    // Nobody gives away what he has not got; who has it, can.
    EXPECT_EQ(grant_pair(*repository, "escrow", everyday.id, {}).error().kind, ErrorKind::key_refused);
    EXPECT_EQ(add_bundle(*repository, {.roles = static_cast<Roles>(Role::reader), .label = "", .pairs = {"escrow"}}, {})
                  .error()
                  .kind,
              ErrorKind::key_refused);
    // A new epoch goes to those who read the one before.
    auto next = rotate_pair(*repository, "escrow", {});
    ASSERT_TRUE(next) << next.error().message;
    auto later = back_up(*open(writer, "w"), "credentials", "root:hunter3", "escrow");
    EXPECT_EQ(read(*open(offline, "o"), later).value(), "root:hunter3");
    EXPECT_EQ(read(*open(everyday, "r"), later).error().kind, ErrorKind::key_refused);
}

TEST_F(KeyChanges, ChunksAreNotSharedAcrossPairs) {
    auto reader = add(Role::reader);
    auto repository = open(admin);
    ASSERT_TRUE(add_pair(*repository, "escrow", std::vector{reader.id}, {}));
    auto common = back_up(*repository, "common", "the same text");
    auto secret = back_up(*repository, "secret", "the same text", "escrow");
    EXPECT_EQ(sealed_to().size(), 2u);
    EXPECT_EQ(common.point.tree, secret.point.tree);
    auto other = back_up(*repository, "secret", "told to few first", "escrow");
    auto open_one = back_up(*repository, "common", "told to few first");
    EXPECT_EQ(sealed_to().size(), 4u);
    EXPECT_EQ(read(*repository, open_one).value(), "told to few first");
}

TEST_F(KeyChanges, VerifyTellsWhatItMayNotOpenFromDamage) {
    auto reader = add(Role::reader);
    auto repository = open(admin);
    ASSERT_TRUE(add_pair(*repository, "escrow", std::vector{reader.id}, {}));
    auto point = back_up(*repository, "secret", "text", "escrow");
    back_up(*repository, "common", "other text");
    WalkTree walk = [](Fetch& fetch, RecoveryPoint const& one, TreeVisitor const& visitor,
                       std::stop_token stop) -> Result<void> {
        auto bytes = fetch.content(one.tree, 1 << 20, stop);
        if (!bytes) return visitor.damaged("", bytes.error());
        return {};
    };
    auto found = verify_repository(*repository, {.data = true}, walk, {}, {});
    ASSERT_TRUE(found) << found.error().message;
    EXPECT_TRUE(found->whole());
    EXPECT_EQ(found->sealed_packs, 1u);
    ASSERT_EQ(found->sealed_points.size(), 1u);
    EXPECT_EQ(found->sealed_points.begin()->first, point.id);
    EXPECT_THAT(found->sealed_points.begin()->second, HasSubstr("escrow"));
    // The sector sums still tell damage.
    for (auto const& key : store.keys("packs/")) store.objects[key][60] ^= 1;
    found = verify_repository(*repository, {.data = true}, walk, {}, {});
    std::set<std::string> damaged;
    for (auto const& one : found->damaged) damaged.insert(one.key);
    EXPECT_EQ(damaged.size(), 2u);
}

TEST_F(KeyChanges, WhatCannotBeIsNamed) {
    auto reader = add(Role::reader);
    auto writer = add(Role::writer);
    auto repository = open(admin);
    EXPECT_EQ(try_back_up(*repository, "a", "x", "escrow").error().kind, ErrorKind::usage);
    EXPECT_EQ(rotate_pair(*repository, "escrow", {}).error().kind, ErrorKind::usage);
    EXPECT_EQ(add_pair(*repository, "", std::vector{reader.id}, {}).error().kind, ErrorKind::usage);
    EXPECT_EQ(add_pair(*repository, "../x", std::vector{reader.id}, {}).error().kind, ErrorKind::usage);
    EXPECT_EQ(add_pair(*repository, "escrow", {}, {}).error().kind, ErrorKind::usage);
    EXPECT_EQ(add_pair(*repository, "escrow", std::vector{writer.id}, {}).error().kind, ErrorKind::usage);
    EXPECT_EQ(add_pair(*repository, "escrow", std::vector{BundleId{}}, {}).error().kind, ErrorKind::not_found);
    ASSERT_TRUE(add_pair(*repository, "escrow", std::vector{reader.id}, {}));
    EXPECT_EQ(add_pair(*repository, "escrow", std::vector{reader.id}, {}).error().kind, ErrorKind::exists);
    EXPECT_EQ(rotate_pair(*open(reader), "", {}).error().kind, ErrorKind::key_refused);
}

TEST_F(KeyChanges, ListsWhoMayDoWhat) {
    auto reader = add(Role::reader);
    auto writer = add(Role::writer);
    auto repository = open(admin);
    ASSERT_TRUE(add_pair(*repository, "escrow", std::vector{reader.id}, {}));
    ASSERT_TRUE(remove_key(*repository, writer.id, {}));
    store.objects[key_object_key(BundleId{})] = {1, 2, 3};
    auto list = list_keys(*open(reader, "r"), {});
    ASSERT_TRUE(list) << list.error().message;
    ASSERT_EQ(list->keys.size(), 3u);
    for (auto const& one : list->keys) {
        auto const& id = one.certificate.id;
        EXPECT_EQ(one.own, id == reader.id);
        EXPECT_EQ(one.certificate.removed.has_value(), id == writer.id);
        EXPECT_EQ(one.certificate.has_password, id == admin.id);
        EXPECT_EQ(one.pairs, id == reader.id ? std::vector<std::string>{"escrow"} : std::vector<std::string>{});
    }
    EXPECT_THAT(list->damaged, SizeIs(1));
    EXPECT_THAT(list->pairs, SizeIs(1));
}

// Of a write-ahead log, and of proofs, what was there counts, and nothing that comes later.
TEST_F(KeyChanges, ARemovedWritersLogEndsWhereAnAdminSawIt) {
    auto writer = add(static_cast<Roles>(Role::writer) | static_cast<Roles>(Role::reader));
    auto theirs = open(writer, "theirs");
    auto const stream = wal_stream(admin, "db", "postgres 1");
    auto store_log = [&](Repository& by, std::uint64_t first, std::uint64_t end) {
        auto sealed = seal_wal_range(by, stream, 1, first, Bytes(end - first, 7), clock.now()).value();
        auto parts = sealed.parts();
        EXPECT_TRUE(by.store().put(ObjectKey(sealed.key), parts, {}));
        return sealed.key;
    };
    store_log(*theirs, 0, 100);
    store_log(*theirs, 100, 300);
    auto history = seal_wal_history(*theirs, stream, 2, as_bytes("1\t0/64\tno reason\n")).value();
    auto parts = history.parts();
    ASSERT_TRUE(store.put(ObjectKey(history.key), parts, {}));
    TestStore hidden;
    hidden.objects = store.objects;
    auto repository = open(admin);
    ASSERT_TRUE(remove_key(*repository, writer.id, {}));
    EXPECT_EQ(list_wal(*repository, stream, {})->timelines.at(1).contiguous_from(0), 300u);
    EXPECT_EQ(read_wal(*repository, *list_wal(*repository, stream, {}), 1, 0, 300, {})->bytes, Bytes(300, 7));
    EXPECT_TRUE(read_wal_history(*repository, *list_wal(*repository, stream, {}), 2, {}));

    auto thief = try_open(hidden, writer, "thief").value();
    auto beyond = store_log(*thief, 300, 400);
    // Within what was there, but over its end.
    auto across = store_log(*thief, 200, 301);
    for (auto const& [key, bytes] : hidden.objects) store.objects.emplace(key, bytes);
    auto fresh = open(admin, "fresh");
    EXPECT_EQ(list_wal(*fresh, stream, {})->timelines.at(1).contiguous_from(0), 300u);
    EXPECT_EQ(read_wal(*fresh, *list_wal(*fresh, stream, {}), 1, 0, 300, {})->bytes, Bytes(300, 7));
    EXPECT_THAT(check_wal(*fresh, beyond, store.objects[beyond], {}).error().message, HasSubstr("after it was removed"));
    // Which prune sweeps away, and nothing else.
    EXPECT_EQ(fresh->sweep_dropped({}).value(), 2u);
    EXPECT_FALSE(store.objects.contains(beyond) || store.objects.contains(across));
    EXPECT_EQ(list_wal(*fresh, stream, {})->timelines.at(1).contiguous_from(0), 300u);
}

// A receiver of a log runs for months: it hears of a rotation, and of its own removal.
TEST_F(KeyChanges, AReceiverHearsOfNewRings) {
    auto writer = add(Role::writer);
    auto theirs = open(writer, "theirs");
    auto const stream = wal_stream(admin, "db", "postgres 1");
    auto try_seal = [&] { return seal_wal_range(*theirs, stream, 1, 0, Bytes(10, 1), clock.now()); };
    auto sealed_to = [&] { return decode_pack_header(ByteView(try_seal()->content).first(kPackHeaderBytes))->data_key; };
    EXPECT_EQ(sealed_to(), data_key_id(admin.data_public));
    auto repository = open(admin);
    auto newest = rotate_pair(*repository, "", {}).value();
    clock.advance(std::chrono::seconds(20));
    EXPECT_EQ(sealed_to(), newest);
    // A store that is away is no reason to stop.
    clock.advance(std::chrono::seconds(20));
    store.before = [](std::string_view, ObjectKey const&) -> Result<void> { return fail(ErrorKind::unreachable, "away"); };
    EXPECT_TRUE(try_seal());
    store.before = nullptr;
    ASSERT_TRUE(remove_key(*repository, writer.id, {}));
    clock.advance(std::chrono::seconds(20));
    EXPECT_EQ(try_seal().error().kind, ErrorKind::key_refused);
}

TEST_F(KeyChanges, ARemovedReadersProofsCountNoMore) {
    auto reader = add(Role::reader);
    auto repository = open(admin);
    back_up(*repository, "a", "text");
    auto theirs = open(reader, "theirs");
    PackMarks marks;
    std::vector<PackMark> mark{{.pack = PackId{}, .record = {}, .verdict = PackVerdict::damaged, .time = {}}};
    ASSERT_TRUE(store_marks(*theirs, mark, marks, {}));
    PackMarks before, after;
    ASSERT_TRUE(refresh_marks(*repository, before, {}));
    EXPECT_NE(before.find(PackId{}), nullptr);
    ASSERT_TRUE(remove_key(*repository, reader.id, {}));
    ASSERT_TRUE(refresh_marks(*repository, after, {}));
    EXPECT_EQ(after.find(PackId{}), nullptr);
    EXPECT_THAT(after.damaged, IsEmpty());
    EXPECT_THAT(after.superseded(), SizeIs(1));
}

// A listing that does not show the newest ring yet hides nothing from who knows of the one before.
TEST_F(KeyChanges, ALaggingListingHidesNoRing) {
    auto repository = open(admin);
    ASSERT_TRUE(rotate_pair(*repository, "", {}));
    ASSERT_TRUE(rotate_pair(*repository, "", {}));
    store.hide_from_lists = [](std::string_view key) { return key.ends_with("000002"); };
    EXPECT_EQ(open(admin, "new machine")->ring({})->ring.n, 2u);
    store.hide_from_lists = [](std::string_view key) { return key.starts_with(kRingsPrefix) || key.starts_with(kRingCopiesPrefix); };
    EXPECT_EQ(open(admin)->ring({})->ring.n, 2u);
}

}  // namespace
}  // namespace holdfast
