#include "repo/writer_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/test_world.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct WriterLogTest : testing::Test {
    SeededRandom random{5};
    KeyBundle admin = generate_first_bundle(random, "first");
    KeyBundle one = generate_bundle(admin, static_cast<Roles>(Role::writer), "one", random);
    KeyBundle two = generate_bundle(admin, static_cast<Roles>(Role::writer), "two", random);
    TestStore store;
    std::uint8_t next_point = 0;

    Result<KeyCertificate> find(BundleId const& id) const {
        for (auto const* keys : {&admin, &one, &two})
            if (keys->id == id)
                return KeyCertificate{keys->id,    keys->repository,
                                      keys->roles, keys->sign.public_key,
                                      keys->label, false};
        return fail(ErrorKind::damaged, "is signed by somebody whom no admin certified");
    }
    CertificateLookup lookup = [this](BundleId const& id) { return find(id); };

    Logs read(LogHeads const& since = {}, Logs const* previous = nullptr) {
        return read_logs(store, admin, lookup, since, previous, {}).value();
    }
    LogNote note() {
        LogNote note;
        note.point.bytes[0] = ++next_point;
        note.time = *parse_rfc3339("2026-01-01T00:00:00Z");
        return note;
    }
    void append(KeyBundle const& keys) {
        ASSERT_TRUE(append_to_log(store, keys, random, read(), note(), {}));
    }
    Bytes& object(KeyBundle const& keys, std::uint64_t n) {
        return store.objects.at(log_key(keys.id, n));
    }
};

TEST_F(WriterLogTest, EntriesFollowEachOtherAndSeeTheOthers) {
    EXPECT_THAT(read().writers, IsEmpty());
    append(one);
    append(one);
    append(two);
    append(one);
    auto logs = read();
    EXPECT_THAT(logs.damaged, IsEmpty());
    EXPECT_THAT(logs.contradictions({}), IsEmpty());
    ASSERT_THAT(logs.writers, SizeIs(2));
    auto const& mine = logs.writers[one.id];
    EXPECT_EQ(mine.last, 3u);
    EXPECT_EQ(mine.items.at(1).entry->previous, Hash32{});
    EXPECT_EQ(mine.items.at(2).entry->previous, sha256(object(one, 1)));
    EXPECT_EQ(mine.items.at(3).entry->seen, (LogHeads{{two.id, {1, sha256(object(two, 1))}}}));
    EXPECT_EQ(logs.heads()[one.id], (LogHead{3, sha256(object(one, 3))}));
    EXPECT_EQ(log_key(one.id, 3), "log/" + one.id.hex() + "/000000000003");
}

TEST_F(WriterLogTest, ReadsOnlyWhatIsNewWhenAsked) {
    for (int i = 0; i < 5; ++i)
        append(one);
    auto all = read();
    std::vector<std::string> fetched;
    store.before = [&](std::string_view operation, ObjectKey const& key) -> Result<void> {
        if (operation == "get")
            fetched.push_back(key.text());
        return {};
    };
    auto ends = read({{one.id, {4, {}}}});
    EXPECT_THAT(fetched, ElementsAre(log_key(one.id, 4), log_key(one.id, 5)));
    EXPECT_THAT(ends.damaged, IsEmpty());
    EXPECT_EQ(ends.heads(), all.heads());
    fetched.clear();
    auto again = read({}, &all);
    EXPECT_THAT(fetched, IsEmpty());
    EXPECT_EQ(again.heads(), all.heads());
    EXPECT_THAT(again.damaged, IsEmpty());
}

TEST_F(WriterLogTest, AGapIsReported) {
    for (int i = 0; i < 6; ++i)
        append(one);
    store.objects.erase(log_key(one.id, 3));
    auto logs = read();
    ASSERT_THAT(logs.damaged, SizeIs(1));
    EXPECT_EQ(logs.damaged[0].key, log_key(one.id, 3));
    EXPECT_EQ(logs.damaged[0].error.message, "log entry is missing");
    store.objects.erase(log_key(one.id, 4));
    logs = read();
    ASSERT_THAT(logs.damaged, SizeIs(1));
    EXPECT_THAT(logs.damaged[0].error.message, HasSubstr("3 to 4 are missing"));
    store.objects.erase(log_key(one.id, 1));
    EXPECT_THAT(read().damaged, SizeIs(2));
    // A number of the store's making is not counted up to.
    store.objects["log/" + one.id.hex() + "/999999999999"] = {1, 2, 3};
    EXPECT_THAT(read().damaged, SizeIs(4));
}

TEST_F(WriterLogTest, SwappedEntriesAreReported) {
    for (int i = 0; i < 4; ++i)
        append(one);
    std::swap(object(one, 2), object(one, 3));
    auto logs = read();
    ASSERT_THAT(logs.damaged, SizeIs(2));
    EXPECT_EQ(logs.damaged[0].error.message, "log entry is number 3");
    EXPECT_EQ(logs.damaged[1].error.message, "log entry is number 2");
}

TEST_F(WriterLogTest, AForeignEntryIsReported) {
    append(one);
    append(two);
    object(one, 1) = object(two, 1);
    auto logs = read();
    ASSERT_THAT(logs.damaged, SizeIs(1));
    EXPECT_THAT(logs.damaged[0].error.message, HasSubstr("signed by another writer"));
    // An entry of a stranger's, in a log of its own.
    auto stranger = generate_bundle(admin, static_cast<Roles>(Role::writer), "s", random);
    LogEntry entry;
    entry.n = 1;
    store.objects[log_key(stranger.id, 1)] = seal_log_entry(entry, stranger, random);
    EXPECT_THAT(read().damaged, SizeIs(2));
    store.objects["log/elsewhere"] = {};
    EXPECT_THAT(read().damaged, SizeIs(3));
}

TEST_F(WriterLogTest, AnotherHistoryDoesNotFollow) {
    append(one);
    append(one);
    // The same bundle, on a machine to which the store showed an empty log.
    LogEntry entry;
    entry.n = 1;
    object(one, 1) = seal_log_entry(entry, one, random);
    auto logs = read();
    ASSERT_THAT(logs.damaged, SizeIs(1));
    EXPECT_EQ(logs.damaged[0].key, log_key(one.id, 2));
    EXPECT_EQ(logs.damaged[0].error.message, "log entry does not follow the one before it");
}

TEST_F(WriterLogTest, SeesEveryFlipAndTruncation) {
    append(two);
    append(one);
    append(one);
    auto const whole = object(one, 1);
    for (std::size_t i = 0; i < whole.size(); ++i) {
        object(one, 1) = whole;
        object(one, 1)[i] ^= 4;
        auto logs = read();
        ASSERT_THAT(logs.damaged, SizeIs(1)) << i;
        EXPECT_EQ(logs.damaged[0].key, log_key(one.id, 1));
        // Damage is not a rollback.
        EXPECT_THAT(logs.contradictions({{one.id, {1, sha256(whole)}}}), IsEmpty());
        object(one, 1) = Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(i));
        EXPECT_THAT(read().damaged, SizeIs(1)) << i;
    }
}

TEST_F(WriterLogTest, ARollbackContradictsWhatWasSeen) {
    append(one);
    append(one);
    auto remembered = read().heads();
    auto older = store.objects;
    append(one);
    // Longer is right.
    EXPECT_THAT(read(remembered).contradictions(remembered), IsEmpty());
    auto newest = read().heads();
    store.objects = older;
    auto found = read().contradictions(newest);
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found.begin()->second, HasSubstr("ends at 2, but this machine saw entry 3"));
    // The same number, another entry.
    append(one);
    found = read().contradictions(newest);
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found.begin()->second, HasSubstr("is not the one that this machine saw"));
    store.objects.clear();
    EXPECT_THAT(read().contradictions(newest), SizeIs(1));
}

TEST_F(WriterLogTest, AnotherWritersLogIsAWitness) {
    append(one);
    append(one);
    append(two);
    store.objects.erase(log_key(one.id, 2));
    auto found = read().contradictions({});
    ASSERT_THAT(found, SizeIs(1));
    EXPECT_THAT(found.begin()->second, HasSubstr("the log of " + two.id.brief() + " saw entry 2"));
}

TEST_F(WriterLogTest, TwoProcessesWithOneBundleDoNotOverwrite) {
    auto logs = read();
    ASSERT_TRUE(append_to_log(store, one, random, logs, note(), {}));
    auto second = append_to_log(store, one, random, logs, note(), {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::exists);
    ASSERT_TRUE(append_to_log(store, one, random, read(), note(), {}));
    EXPECT_THAT(read().damaged, IsEmpty());
    EXPECT_EQ(read().writers[one.id].last, 2u);
}

TEST_F(WriterLogTest, ADamagedEndIsNotRememberedAndNotOverwritten) {
    append(one);
    append(one);
    object(one, 2)[120] ^= 1;
    EXPECT_EQ(read().heads()[one.id].n, 1u);
    append(one);
    auto logs = read();
    EXPECT_EQ(logs.writers[one.id].last, 3u);
    EXPECT_THAT(logs.damaged, SizeIs(1));
}

TEST_F(WriterLogTest, AStoreThatDoesNotAnswerIsAnError) {
    append(one);
    store.before = [](std::string_view operation, auto const&) -> Result<void> {
        if (operation == "get")
            return fail(ErrorKind::unreachable, "down");
        return {};
    };
    EXPECT_EQ(read_logs(store, admin, lookup, {}, nullptr, {}).error().kind,
              ErrorKind::unreachable);
}

}  // namespace
}  // namespace holdfast
