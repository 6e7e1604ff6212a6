#include "repo/repository.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "repo/certificates.h"
#include "repo/config.h"
#include "repo/doomed.h"
#include "repo/hold.h"
#include "repo/lease.h"
#include "repo/receipt.h"
#include "repo/test_machines.h"
#include "repo/writer_log.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct RepositoryTest : TestMachines {
    std::unique_ptr<Repository> open(KeyBundle const& keys, std::string const& machine = "here",
                                     OpenRepositoryOptions options = {}) {
        auto opened = open_repository(store, keys.clone(), world(machine), options, {});
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }
    KeyBundle add(Roles roles, std::optional<ByteView> word = std::nullopt) {
        auto repository = open(admin);
        return add_bundle(*repository, {.roles = roles, .label = "added", .password = word}, {})
            .value();
    }
    KeyBundle add(Role role) { return add(static_cast<Roles>(role)); }

    Result<PointInfo> try_back_up(Repository& repository, std::string const& dataset,
                                  std::string_view text = "content") {
        auto ingest = TRY(repository.begin_ingest({}, {}));
        auto stream = ingest->open_stream(ChunkKind::tree, {});
        TRY(stream->append(as_bytes(text)));
        RecoveryPoint point;
        point.dataset = dataset;
        point.kind = "files";
        clock.advance(std::chrono::seconds(10));
        point.time = clock.now();
        point.tree = TRY(stream->finish());
        stream.reset();
        return repository.publish(*ingest, std::move(point), {});
    }
    PointInfo back_up(Repository& repository, std::string const& dataset,
                      std::string_view text = "content") {
        auto info = try_back_up(repository, dataset, text);
        EXPECT_TRUE(info) << info.error().message;
        return *info;
    }
    static std::vector<PointId> ids(PointList const& list) {
        std::vector<PointId> ids;
        for (auto const& info : list.points)
            ids.push_back(info.id);
        return ids;
    }
    static std::vector<std::string> damaged_keys(PointList const& list) {
        std::vector<std::string> keys;
        for (auto const& one : list.damaged)
            keys.push_back(one.key);
        return keys;
    }
    void drop(KeyBundle const& keys, PointInfo const& info) {
        Certificates certificates(store, keys.repository, keys.admin_public);
        CertificateLookup lookup = [&](BundleId const& id) { return certificates.find(id, {}); };
        auto logs = read_logs(store, keys, lookup, {}, nullptr, {}).value();
        LogNote note{LogAction::dropped, info.id, dataset_tag(keys, info.point.dataset),
                     info.point.time, clock.now()};
        ASSERT_TRUE(append_to_log(store, keys, random, logs, note, {}));
    }
    std::string key_of(PointInfo const& info) {
        return point_key(dataset_tag(admin, info.point.dataset), info.point.time, info.id);
    }
};

TEST_F(RepositoryTest, BeginsWithAConfigurationAKeyAndTheirCopies) {
    EXPECT_THAT(store.keys(""), ElementsAre("holdfast.json", key_object_key(admin.id),
                                            "self/holdfast.json", key_copy_key(admin.id)));
    EXPECT_EQ(admin.roles, kAllRoles);
    EXPECT_EQ(create_repository(store, world("x"), password, {}).error().kind, ErrorKind::exists);
    TestStore other;
    other.objects["lost"] = {};
    auto refused = create_repository(other, world("x"), password, {});
    EXPECT_EQ(refused.error().kind, ErrorKind::exists);
    EXPECT_THAT(refused.error().message, HasSubstr("'lost'"));
    EXPECT_THAT(other.objects, SizeIs(1));
}

TEST_F(RepositoryTest, ACreationThatFailsLeavesNothing) {
    for (int fail_at = 0; fail_at < 4; ++fail_at) {
        for (bool stored : {false, true}) {
            TestStore other;
            int puts = 0;
            other.before = [&](std::string_view operation, ObjectKey const& key) -> Result<void> {
                if (operation != "put" || puts++ != fail_at)
                    return {};
                if (stored)
                    other.objects[key.text()] = {1};
                return fail(ErrorKind::unreachable, "down");
            };
            EXPECT_EQ(create_repository(other, world("x"), password, {}).error().kind,
                      ErrorKind::unreachable);
            EXPECT_THAT(other.objects, IsEmpty());
        }
    }
}

TEST_F(RepositoryTest, UnlocksByPassword) {
    auto bundle = unlock_repository(store, password, {});
    ASSERT_TRUE(bundle);
    EXPECT_TRUE(encode(*bundle).equals(encode(admin).view()));
    EXPECT_EQ(unlock_repository(store, as_bytes("wrong"), {}).error().kind, ErrorKind::key_refused);
    auto second = add(Role::writer | Role::reader, as_bytes("another"));
    add(Role::writer);
    EXPECT_EQ(unlock_repository(store, as_bytes("another"), {})->id, second.id);
    EXPECT_EQ(unlock_repository(store, password, {})->id, admin.id);
}

TEST_F(RepositoryTest, UnlocksByTheCopyOfADamagedKey) {
    auto& object = store.objects[key_object_key(admin.id)];
    object[object.size() / 2] ^= 1;
    EXPECT_TRUE(unlock_repository(store, password, {}));
    store.objects.erase(key_object_key(admin.id));
    EXPECT_TRUE(unlock_repository(store, password, {}));
    auto& copy = store.objects[key_copy_key(admin.id)];
    copy[copy.size() / 2] ^= 1;
    EXPECT_EQ(unlock_repository(store, password, {}).error().kind, ErrorKind::damaged);
    // Also with a wrong password: nobody can know that it is wrong.
    EXPECT_EQ(unlock_repository(store, as_bytes("x"), {}).error().kind, ErrorKind::damaged);
    store.objects.erase(key_copy_key(admin.id));
    EXPECT_EQ(unlock_repository(store, password, {}).error().kind, ErrorKind::key_refused);
    TestStore nothing;
    EXPECT_EQ(unlock_repository(nothing, password, {}).error().kind, ErrorKind::not_found);
}

TEST_F(RepositoryTest, AKeyObjectOfAnotherRepositoryIsNamedUnlessItsCopyHelps) {
    TestStore elsewhere;
    auto stranger = create_repository(elsewhere, world("x"), password, {}).value();
    auto foreign = elsewhere.objects[key_object_key(stranger.id)];
    store.objects[key_object_key(admin.id)] = foreign;
    auto unlocked = unlock_repository(store, password, {});
    ASSERT_TRUE(unlocked) << unlocked.error().message;
    EXPECT_EQ(unlocked->id, admin.id);
    store.objects[key_copy_key(admin.id)] = foreign;
    auto refused = unlock_repository(store, password, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::damaged);
    EXPECT_THAT(refused.error().message, HasSubstr(key_object_key(admin.id)));
    EXPECT_THAT(refused.error().message, HasSubstr("repository " + stranger.repository.brief()));
}

TEST_F(RepositoryTest, OpensOnlyForItsOwnBundles) {
    TestStore elsewhere;
    auto stranger = create_repository(elsewhere, world("x"), password, {}).value();
    auto refused = open_repository(store, stranger.clone(), world("x"), {}, {});
    EXPECT_EQ(refused.error().kind, ErrorKind::key_refused);
    EXPECT_THAT(refused.error().message, HasSubstr("this key is of repository"));

    // A store that puts its own configuration in the place of ours.
    auto forged = admin.clone();
    forged.admin_sign = SignKey::generate(random);
    RepositoryConfig config;
    config.repository = admin.repository;
    config.admin = forged.admin_sign->public_key;
    config.data_key = data_key_id(admin.data_public);
    for (auto key : {kConfigKey, kConfigCopyKey})
        store.objects[std::string(key)] = to_bytes(encode(config, *forged.admin_sign));
    refused = open_repository(store, admin.clone(), world("x"), {}, {});
    EXPECT_EQ(refused.error().kind, ErrorKind::damaged);
    EXPECT_THAT(refused.error().message, HasSubstr("an admin that this key does not know"));
}

TEST_F(RepositoryTest, SaysWhichCopiesHelped) {
    EXPECT_THAT(open(admin)->notices(), IsEmpty());
    store.objects.erase("holdfast.json");
    auto repository = open(admin);
    EXPECT_THAT(repository->notices(), ElementsAre(HasSubstr("holdfast.json is missing")));
    store.objects.erase(key_object_key(admin.id));
    back_up(*repository, "d");
    EXPECT_THAT(repository->notices(), testing::Contains(HasSubstr("its copy self/keys/")));
}

TEST_F(RepositoryTest, APublishedPointIsListedConfirmedAndReceived) {
    auto repository = open(admin);
    EXPECT_THAT(repository->points({})->points, IsEmpty());
    auto first = back_up(*repository, "db", "one");
    EXPECT_TRUE(first.confirmed);
    EXPECT_EQ(first.received, clock.now());
    auto second = back_up(*repository, "models", "two");
    for (auto machine : {"here", "there"}) {
        auto other = open(admin, machine);
        auto list = other->points({}).value();
        EXPECT_THAT(list.damaged, IsEmpty());
        ASSERT_THAT(ids(list), ElementsAre(first.id, second.id));
        EXPECT_EQ(list.points[0].point, first.point);
        EXPECT_TRUE(list.points[0].confirmed);
        EXPECT_EQ(list.points[0].received, first.received);
        EXPECT_EQ(list.points[1].writer, admin.id);
        EXPECT_THAT(ids(*other->points_of("models", {})), ElementsAre(second.id));
        EXPECT_THAT(other->points_of("none", {})->points, IsEmpty());
    }
    auto fetch = repository->begin_fetch({}, {}).value();
    EXPECT_EQ(to_text(*fetch->content(second.point.tree, 100, {})), "two");
    EXPECT_THAT(store.keys(kLeasesPrefix), IsEmpty());
}

TEST_F(RepositoryTest, AWriterBacksUpAndCannotRead) {
    auto writer = add(Role::writer);
    EXPECT_FALSE(writer.data_private);
    EXPECT_FALSE(writer.admin_sign);
    auto repository = open(writer);
    auto info = back_up(*repository, "db");
    EXPECT_FALSE(info.received);
    EXPECT_EQ(repository->begin_fetch({}, {}).error().kind, ErrorKind::key_refused);
    EXPECT_EQ(add_bundle(*repository, {.roles = kAllRoles, .label = ""}, {}).error().kind,
              ErrorKind::key_refused);
    EXPECT_FALSE(repository->points({})->points[0].received);
    // The next admin that looks gives the receipt, and it stays.
    clock.advance(std::chrono::hours(1));
    auto seen = open(admin)->points({}).value();
    EXPECT_EQ(seen.points[0].received, clock.now());
    clock.advance(std::chrono::hours(1));
    EXPECT_EQ(open(admin)->points({})->points[0].received, seen.points[0].received);
    EXPECT_EQ(open(writer)->points({})->points[0].received, seen.points[0].received);
}

TEST_F(RepositoryTest, AReaderReadsAndCannotBackUp) {
    auto reader = add(Role::reader);
    auto repository = open(reader);
    EXPECT_EQ(repository->begin_ingest({}, {}).error().kind, ErrorKind::key_refused);
    auto info = back_up(*open(admin), "db", "hello");
    auto list = repository->points({}).value();
    ASSERT_THAT(list.points, SizeIs(1));
    auto fetch = repository->begin_fetch({}, {}).value();
    EXPECT_EQ(to_text(*fetch->content(list.points[0].point.tree, 100, {})), "hello");
    // An admin without reading makes no readers.
    auto keeper = add(Role::admin | Role::writer);
    EXPECT_EQ(
        add_bundle(*open(keeper), {.roles = static_cast<Roles>(Role::reader), .label = ""}, {})
            .error()
            .kind,
        ErrorKind::key_refused);
}

TEST_F(RepositoryTest, AWriterWhoseCertificateIsGoneIsRefused) {
    auto writer = add(Role::writer);
    store.objects.erase(key_object_key(writer.id));
    store.objects.erase(key_copy_key(writer.id));
    auto refused = open(writer)->begin_ingest({}, {});
    EXPECT_EQ(refused.error().kind, ErrorKind::damaged);
    EXPECT_THAT(refused.error().message, HasSubstr("certificate of this key"));
}

TEST_F(RepositoryTest, TheOrderOfWritingHolds) {
    auto repository = open(admin);
    std::vector<std::string> order;
    store.before = [&](std::string_view operation, ObjectKey const& key) -> Result<void> {
        if (operation == "put")
            order.push_back(key.text().substr(0, key.text().find('/')));
        return {};
    };
    back_up(*repository, "db");
    EXPECT_THAT(order, ElementsAre("writers", "packs", "index", "points", "log", "receipts"));
}

// Stops at each operation on the store: what was acknowledged stays, what was not is whole or
// nothing.
TEST_F(RepositoryTest, ACrashAtAnyOperationLeavesNothingHalfPromised) {
    auto const acknowledged = back_up(*open(admin), "db", "before");
    auto const objects = store.objects;
    for (int crash_at = 0;; ++crash_at) {
        store.objects = objects;
        int operations = 0;
        bool crashed = false;
        store.before = [&](std::string_view, ObjectKey const&) -> Result<void> {
            if (operations++ < crash_at)
                return {};
            crashed = true;
            return fail(ErrorKind::unreachable, "crashed");
        };
        auto machine = "crash" + std::to_string(crash_at);
        bool told = false;
        {
            auto repository = open_repository(store, admin.clone(), world(machine), {}, {});
            if (repository) {
                auto info = try_back_up(**repository, "db", "after");
                told = info.has_value();
            }
        }
        store.before = nullptr;
        auto list = open(admin, machine)->points({});
        ASSERT_TRUE(list) << crash_at << ": " << list.error().message;
        EXPECT_THAT(list->damaged, IsEmpty()) << crash_at;
        auto found = ids(*list);
        EXPECT_EQ(found.at(0), acknowledged.id) << crash_at;
        if (told) {
            EXPECT_THAT(found, SizeIs(2)) << crash_at;
        }
        if (found.size() == 2) {
            auto reader = open(admin);
            auto fetch = reader->begin_fetch({}, {}).value();
            EXPECT_EQ(to_text(*fetch->content(list->points[1].point.tree, 100, {})), "after");
        }
        if (!crashed)
            break;
    }
}

TEST_F(RepositoryTest, AnUnconfirmedPointIsShownAsSuch) {
    auto info = back_up(*open(admin), "db");
    store.objects.erase(log_key(admin.id, 1));
    auto list = open(admin, "there")->points({}).value();
    ASSERT_THAT(list.points, SizeIs(1));
    EXPECT_FALSE(list.points[0].confirmed);
    EXPECT_EQ(list.points[0].id, info.id);
}

TEST_F(RepositoryTest, DamagedObjectsAreListedBesideTheGoodOnes) {
    auto repository = open(admin);
    std::vector<PointInfo> infos;
    for (auto name : {"a", "b", "c", "d"})
        infos.push_back(back_up(*repository, name));
    auto flip = [&](std::string const& key) { store.objects.at(key)[150] ^= 1; };
    flip(key_of(infos[0]));
    flip(receipt_key(infos[1].id));
    flip(log_key(admin.id, 3));
    store.objects["points/rubbish"] = {1};
    auto list = open(admin, "there")->points({}).value();
    EXPECT_THAT(ids(list), ElementsAre(infos[1].id, infos[2].id, infos[3].id));
    EXPECT_THAT(damaged_keys(list),
                testing::UnorderedElementsAre(key_of(infos[0]), receipt_key(infos[1].id),
                                              log_key(admin.id, 3), "points/rubbish"));
    EXPECT_FALSE(list.points[0].received);
    EXPECT_FALSE(list.points[1].confirmed);
    EXPECT_TRUE(list.points[2].confirmed);
}

TEST_F(RepositoryTest, EveryFlipOfEveryObjectOfAPointIsSeen) {
    auto writer = add(Role::writer);
    auto first = back_up(*open(writer), "db");
    auto second = back_up(*open(writer), "db");
    ASSERT_THAT(open(admin)->points({})->points, SizeIs(2));
    auto const objects = store.objects;
    for (auto const& [key, bytes] : objects) {
        if (key.starts_with("packs/") || key.starts_with("index/"))
            continue;
        for (std::size_t i = 0; i < bytes.size(); i += 7) {
            store.objects = objects;
            store.objects[key][i] ^= static_cast<std::uint8_t>(1u << (i % 8));
            if (key == "self/holdfast.json" || key.starts_with("self/keys/"))
                continue;  // copies
            auto repository = open(admin, "fresh");
            auto list = repository->points({});
            ASSERT_TRUE(list) << key << " " << i << ": " << list.error().message;
            EXPECT_TRUE(!list->damaged.empty() || !repository->notices().empty())
                << key << " " << i;
            EXPECT_GE(list->points.size(), 1u) << key << " " << i;
        }
    }
}

TEST_F(RepositoryTest, APointThatTheStoreRemovedIsReported) {
    auto repository = open(admin);
    auto first = back_up(*repository, "db");
    auto second = back_up(*repository, "db");
    store.objects.erase(key_of(first));
    for (auto machine : {"here", "there"}) {
        auto list = open(admin, machine)->points({}).value();
        EXPECT_THAT(ids(list), ElementsAre(second.id));
        ASSERT_THAT(damaged_keys(list), ElementsAre(key_of(first)));
        EXPECT_THAT(list.damaged[0].error.message, HasSubstr("removed by the store"));
    }
    // Of another dataset: not asked for.
    EXPECT_THAT(open(admin)->points_of("other", {})->damaged, IsEmpty());
    EXPECT_THAT(open(admin)->points_of("db", {})->damaged, SizeIs(1));
}

TEST_F(RepositoryTest, OnlyAnAdminDropsPoints) {
    auto writer = add(Role::writer);
    auto info = back_up(*open(writer), "db");
    drop(writer, info);
    EXPECT_THAT(ids(*open(admin)->points({})), ElementsAre(info.id));
    store.objects.erase(key_of(info));
    EXPECT_THAT(open(admin)->points({})->damaged, SizeIs(1));
    drop(admin, info);
    auto list = open(admin)->points({}).value();
    EXPECT_THAT(list.points, IsEmpty());
    EXPECT_THAT(list.damaged, IsEmpty());
}

TEST_F(RepositoryTest, APointThatIsDroppedWhileItIsListedIsNotReported) {
    auto info = back_up(*open(admin), "db");
    auto repository = open(admin, "fresh");
    int lists = 0;
    store.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        // Between the logs and the points.
        if (operation == "list" && ++lists == 2) {
            drop(admin, info);
            store.objects.erase(key_of(info));
        }
        return {};
    };
    auto list = repository->points({});
    ASSERT_TRUE(list);
    EXPECT_THAT(list->points, IsEmpty());
    EXPECT_THAT(list->damaged, IsEmpty());
}

TEST_F(RepositoryTest, ACertificateIsOfTheKeyThatItsNameSays) {
    auto writer = add(Role::writer), other = add(Role::writer);
    auto info = back_up(*open(writer), "db");
    for (auto key : {key_object_key, key_copy_key})
        store.objects[key(writer.id)] = store.objects[key(other.id)];
    auto list = open(admin, "fresh")->points({}).value();
    EXPECT_THAT(list.points, IsEmpty());
    ASSERT_THAT(list.damaged, SizeIs(2));
    EXPECT_THAT(list.damaged[0].error.message, HasSubstr("certificate of another key"));
}

TEST_F(RepositoryTest, ARepositoryThatWentBackIsRefusedUntilAccepted) {
    back_up(*open(admin), "db");
    auto const older = store.objects;
    back_up(*open(admin), "db");
    store.objects = older;

    auto refused = open(admin)->points({});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::damaged);
    EXPECT_THAT(refused.error().message, HasSubstr("went back in time"));
    EXPECT_THAT(refused.error().hint, HasSubstr("--accept-rollback"));
    EXPECT_EQ(open(admin)->begin_ingest({}, {}).error().kind, ErrorKind::damaged);
    // Who saw nothing newer cannot know.
    EXPECT_TRUE(open(admin, "there")->points({}));

    auto accepting = open(admin, "here", {.accept_rollback = true});
    EXPECT_THAT(accepting->points({})->points, SizeIs(1));
    EXPECT_THAT(accepting->notices(), ElementsAre(HasSubstr("went back in time")));
    // Once accepted, it is as it is, and goes on.
    EXPECT_THAT(open(admin)->points({})->points, SizeIs(1));
    back_up(*open(admin), "db");
    EXPECT_THAT(open(admin)->points({})->points, SizeIs(2));
    EXPECT_THAT(open(admin)->points({})->damaged, IsEmpty());
}

TEST_F(RepositoryTest, AnotherWritersLogShowsARollbackToANewMachine) {
    auto one = add(Role::writer);
    auto two = add(Role::writer);
    back_up(*open(one, "one"), "db");
    back_up(*open(one, "one"), "db");
    back_up(*open(two, "two"), "models");
    store.objects.erase(log_key(one.id, 2));
    auto refused = open(admin, "fresh")->points({});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message,
                HasSubstr("the log of " + two.id.brief() + " saw entry 2"));
    // The witness stays; that it was accepted is remembered.
    EXPECT_TRUE(open(admin, "fresh", {.accept_rollback = true})->points({}));
    EXPECT_TRUE(open(admin, "fresh")->points({}));
    EXPECT_FALSE(open(admin, "fresh too")->points({}));
}

TEST_F(RepositoryTest, AnEntryThatIsPutWhileTheLogsAreListedIsNoRollback) {
    // `late` sorts before `seer`, so its log is listed first.
    auto late = add(Role::writer), seer = add(Role::writer);
    if (seer.id < late.id)
        std::swap(late, seer);
    back_up(*open(late, "late"), "db");
    auto reader = open(admin, "fresh");
    back_up(*open(late, "late"), "db");
    back_up(*open(seer, "seer"), "db");
    // The first listing shows what the seer put, and not yet what it saw.
    auto newest = store.objects;
    store.objects.erase(log_key(late.id, 2));
    int lists = 0;
    store.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation == "list" && ++lists == 2)
            store.objects = newest;
        return {};
    };
    auto list = reader->points({});
    ASSERT_TRUE(list) << list.error().message;
    EXPECT_THAT(list->points, SizeIs(3));
}

TEST_F(RepositoryTest, WritersWithOneBundleAtOnceAllGetTheirEntries) {
    auto threads = make_thread_executor(2);
    constexpr int kEach = 5;
    auto work = [&](int who) {
        RepositoryWorld mine{
            system_clock(), system_random(), *threads, directory / "shared" / "state", {}};
        auto repository = open_repository(store, admin.clone(), mine, {}, {});
        ASSERT_TRUE(repository);
        for (int i = 0; i < kEach; ++i) {
            auto ingest = (*repository)->begin_ingest({}, {}).value();
            RecoveryPoint point;
            point.dataset = "d" + std::to_string(who);
            point.time = system_clock().now();
            auto info = (*repository)->publish(*ingest, point, {});
            ASSERT_TRUE(info) << info.error().message;
        }
    };
    { std::jthread a(work, 1), b(work, 2), c(work, 3); }
    auto list = open(admin)->points({}).value();
    EXPECT_THAT(list.damaged, IsEmpty());
    ASSERT_THAT(list.points, SizeIs(3 * kEach));
    for (auto const& info : list.points)
        EXPECT_TRUE(info.confirmed);
    EXPECT_THAT(store.keys(log_prefix(admin.id)), SizeIs(3 * kEach));
}

// What a collector says: these packs are about to go.
std::string doom(RepositoryTest& test, Repository& repository, std::vector<PackId> const& packs) {
    DoomedList list{test.clock.now(), {}, {}};
    for (auto const& pack : packs) list.packs.push_back({pack, test.clock.now(), false});
    auto object = repository.seal(DocumentKind::doomed, encode(list));
    auto key = doomed_key(object);
    EXPECT_TRUE(repository.store().put(ObjectKey(key), object, {}));
    return key;
}
std::vector<PackId> packs_of(TestStore& store) {
    std::vector<PackId> packs;
    for (auto const& key : store.keys("packs/")) packs.push_back(*pack_of(ObjectKey(key)));
    return packs;
}

TEST_F(RepositoryTest, AWriterThatCannotTellWhatIsDoomedDoesNotWrite) {
    back_up(*open(admin), "db");
    store.objects["doomed/x"] = {};
    EXPECT_EQ(open(admin)->begin_ingest({}, {}).error().kind, ErrorKind::unsafe);
    EXPECT_TRUE(open(admin)->points({}));
    store.objects.erase("doomed/x");
    auto key = doom(*this, *open(admin), {});
    EXPECT_TRUE(open(admin)->begin_ingest({}, {}));
    store.objects[key].back() ^= 1;
    EXPECT_EQ(open(admin)->begin_ingest({}, {}).error().kind, ErrorKind::unsafe);
}

TEST_F(RepositoryTest, OnlyAnAdminDooms) {
    auto writer = add(Role::writer);
    auto object = seal_document(DocumentKind::doomed, admin, encode(DoomedList{}), random);
    // The same under a writer's name: whoever signs is in the envelope.
    auto forged = admin.clone();
    forged.id = writer.id;
    forged.sign = std::move(writer.sign);
    object = seal_document(DocumentKind::doomed, forged, encode(DoomedList{}), random);
    store.objects[doomed_key(object)] = object;
    auto begun = open(admin)->begin_ingest({}, {});
    EXPECT_EQ(begun.error().kind, ErrorKind::unsafe);
    EXPECT_THAT(begun.error().message, HasSubstr("may not sign"));
}

TEST_F(RepositoryTest, NothingIsReusedOfADoomedPack) {
    auto repository = open(admin);
    back_up(*repository, "db", "the same");
    auto packs = packs_of(store);
    doom(*this, *repository, packs);
    back_up(*open(admin), "db", "the same");
    EXPECT_GT(packs_of(store).size(), packs.size());
    // And once there is a copy, nothing is stored a third time.
    auto before = packs_of(store).size();
    back_up(*open(admin), "db", "the same");
    EXPECT_EQ(packs_of(store).size(), before);
}

// Of what was doomed while a backup ran, a reader stores again what it reused; a writer publishes nothing.
TEST_F(RepositoryTest, WhatWasDoomedMeanwhileIsStoredAgainBeforeItIsPromised) {
    for (bool gone : {false, true}) {
        for (bool reads : {true, false}) {
            auto keys = add(reads ? Role::writer | Role::reader : static_cast<Roles>(Role::writer));
            auto name = std::string("db") + (gone ? "1" : "0") + (reads ? "1" : "0");
            back_up(*open(keys), name, name);
            auto repository = open(keys);
            auto ingest = repository->begin_ingest({}, {}).value();
            auto stream = ingest->open_stream(ChunkKind::tree, {});
            ASSERT_TRUE(stream->append(as_bytes(name)));
            RecoveryPoint point;
            point.dataset = name;
            point.time = clock.now() + std::chrono::seconds(1);
            point.tree = stream->finish().value();
            auto packs = packs_of(store);
            doom(*this, *open(admin), packs);
            if (gone) {
                for (auto const& pack : packs) store.objects.erase(pack_key(pack).text());
            }
            auto published = repository->publish(*ingest, point, {});
            if (!reads || gone) {
                ASSERT_FALSE(published);
                EXPECT_EQ(published.error().kind, ErrorKind::unsafe);
                EXPECT_THAT(store.keys("points/" + dataset_tag(keys, name).hex()), SizeIs(1));
                continue;
            }
            ASSERT_TRUE(published) << published.error().message;
            // What the collector doomed may go now.
            for (auto const& pack : packs) store.objects.erase(pack_key(pack).text());
            auto reader = open(admin);
            auto fetch = reader->begin_fetch({}, {}).value();
            EXPECT_EQ(as_text(fetch->content(point.tree, 1000, {}).value()), name);
        }
    }
}

// A pack that was deleted and whose entry is gone: only a clock that jumped makes that.
TEST_F(RepositoryTest, WhatIsGoneWithoutATraceIsNoticedByTheNamesOfTheLists) {
    back_up(*open(admin), "db");
    auto repository = open(admin);
    auto ingest = repository->begin_ingest({}, {}).value();
    auto stream = ingest->open_stream(ChunkKind::tree, {});
    ASSERT_TRUE(stream->append(as_bytes("content")));
    RecoveryPoint point;
    point.dataset = "db";
    point.time = clock.now() + std::chrono::seconds(1);
    point.tree = stream->finish().value();
    for (auto const& pack : packs_of(store)) store.objects.erase(pack_key(pack).text());
    doom(*this, *open(admin), {});  // the last list says nothing any more
    EXPECT_EQ(repository->publish(*ingest, point, {}).error().kind, ErrorKind::unsafe);
}

TEST_F(RepositoryTest, AReaderFindsWhatWasMovedWhileItReads) {
    auto info = back_up(*open(admin), "db", "moved");
    auto reader = open(admin);
    auto fetch = reader->begin_fetch({}, {}).value();
    auto old = packs_of(store);
    auto segments = store.keys("index/");
    doom(*this, *open(admin), old);
    back_up(*open(admin), "other", "moved");  // stores it in another pack
    for (auto const& pack : old) store.objects.erase(pack_key(pack).text());
    for (auto const& key : segments) store.objects.erase(key);
    EXPECT_EQ(as_text(fetch->content(info.point.tree, 1000, {}).value()), "moved");
    auto again = reader->begin_fetch({}, {}).value();
    auto heard = std::make_shared<std::string>();
    ASSERT_TRUE(again->chunks(std::vector{*info.point.tree.extents[0].chunk},
                              [&](std::size_t, Result<ByteView> const& bytes) -> Result<void> {
                                  if (bytes) *heard = as_text(*bytes);
                                  return {};
                              },
                              {}));
    EXPECT_EQ(*heard, "moved");
}

TEST_F(RepositoryTest, ALapsedLeaseIsNotPublished) {
    auto repository = open(admin);
    auto ingest = repository->begin_ingest({}, {}).value();
    clock.advance(kLeaseSilenceMax + std::chrono::hours(1));
    RecoveryPoint point;
    point.dataset = "db";
    point.time = clock.now();
    EXPECT_EQ(repository->publish(*ingest, point, {}).error().kind, ErrorKind::unsafe);
    EXPECT_THAT(open(admin)->points({})->points, IsEmpty());
}

TEST_F(RepositoryTest, AReadOnlyStoreIsStillListed) {
    auto writer = add(Role::writer);
    back_up(*open(writer), "db");
    store.before = [](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation == "put")
            return fail(ErrorKind::io, "read-only");
        return {};
    };
    auto list = open(admin)->points({});
    ASSERT_TRUE(list);
    EXPECT_THAT(list->points, SizeIs(1));
}

TEST_F(RepositoryTest, ADroppedPointIsNotedBeforeItGoes) {
    auto repository = open(admin);
    auto first = back_up(*repository, "a", "one");
    auto second = back_up(*repository, "a", "two");
    auto name = parse_point_key(key_of(first)).value();
    // A crash at each operation, then the same again.
    for (std::size_t fail_at = 0;; ++fail_at) {
        std::size_t operations = 0;
        store.before = [&](std::string_view, ObjectKey const&) -> Result<void> {
            if (operations++ < fail_at) return {};
            return fail(ErrorKind::unreachable, "crashed");
        };
        auto again = open_repository(store, admin.clone(), world("there"), {}, {});
        auto dropped = again ? (*again)->drop({&name, 1}, {}) : fail(again.error());
        store.before = nullptr;
        auto list = open(admin, "elsewhere")->points({}).value();
        EXPECT_THAT(list.damaged, IsEmpty()) << fail_at;
        if (dropped) {
            EXPECT_THAT(ids(list), ElementsAre(second.id));
            break;
        }
        ASSERT_LT(fail_at, 100u);
    }
    EXPECT_FALSE(store.objects.contains(key_of(first)));
    EXPECT_FALSE(store.objects.contains(receipt_key(first.id)));
}

TEST_F(RepositoryTest, WhatACrashOfADropLeftIsSwept) {
    auto repository = open(admin);
    auto first = back_up(*repository, "a", "one");
    auto second = back_up(*repository, "a", "two");
    drop(admin, first);  // the entry alone
    store.objects[receipt_key(PointId{})] = store.objects[receipt_key(second.id)];
    EXPECT_EQ(open(admin)->sweep_dropped({}).value(), 3u);
    EXPECT_FALSE(store.objects.contains(key_of(first)));
    EXPECT_TRUE(store.objects.contains(key_of(second)));
    EXPECT_TRUE(store.objects.contains(receipt_key(second.id)));
    EXPECT_EQ(open(admin)->sweep_dropped({}).value(), 0u);
}

TEST_F(RepositoryTest, OnlyAnAdminDropsAndNoHeldPoint) {
    auto repository = open(admin);
    auto first = back_up(*repository, "a", "one");
    auto name = parse_point_key(key_of(first)).value();
    EXPECT_EQ(open(add(Role::writer))->drop({&name, 1}, {}).error().kind, ErrorKind::key_refused);
    Hold hold;
    hold.dataset = "a";
    hold.reason = "case 7";
    auto placed = place_hold(*repository, hold, {}).value();
    auto refused = repository->drop({&name, 1}, {});
    EXPECT_EQ(refused.error().kind, ErrorKind::unsafe);
    EXPECT_THAT(refused.error().message, HasSubstr("case 7"));
    EXPECT_THAT(open(admin)->points({})->points, SizeIs(1));
    ASSERT_TRUE(remove_hold(*repository, placed.hex(), {}));
    EXPECT_TRUE(repository->drop({&name, 1}, {}));
}

TEST_F(RepositoryTest, AClockAYearBehindGivesNoReceipts) {
    back_up(*open(admin), "a", "one");
    ManualClock behind{clock.now() - std::chrono::days(365)};
    RepositoryWorld slow{behind, random, *executor, directory / "slow", directory / "slow"};
    auto there = open_repository(store, admin.clone(), slow, {}, {}).value();
    EXPECT_FALSE(back_up(*there, "a", "two").received);
    auto const listed = there->points({}).value();
    for (auto const& info : listed.points)
        EXPECT_EQ(info.received.has_value(), info.id != listed.points.back().id);
    EXPECT_THAT(there->notices(), ElementsAre(HasSubstr("clock is behind")));
    EXPECT_TRUE(open(admin)->points({}).value().points.back().received);
}

}  // namespace
}  // namespace holdfast
