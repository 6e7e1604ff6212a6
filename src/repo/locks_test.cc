#include "repo/locks.h"

#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/certificates.h"
#include "repo/config.h"
#include "repo/self_documents.h"
#include "repo/test_world.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

// Locks, and dates what is put in the order in which it came.
struct LockingStore : TestStore {
    std::map<std::string, Time> locked;
    std::map<std::string, Time> put_at;

    using TestStore::put;
    Result<void> put(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token stop) override {
        TRY(TestStore::put(key, parts, stop));
        std::lock_guard lock(mutex);
        put_at.try_emplace(key.text(), Time{} + std::chrono::seconds(static_cast<int>(put_at.size())));
        return {};
    }
    Result<void> list(std::string_view prefix, std::function<Result<void>(ObjectInfo const&)> const& visit,
                      std::stop_token stop) override {
        auto dated = [&](ObjectInfo const& info) -> Result<void> {
            std::unique_lock lock(mutex);
            auto modified = put_at[info.key.text()];
            lock.unlock();
            return visit({info.key, info.size, modified});
        };
        return TestStore::list(prefix, dated, stop);
    }
    Result<void> lock_until(ObjectKey const& key, Time until, std::stop_token) override {
        std::lock_guard lock(mutex);
        if (!objects.contains(key.text())) return fail(ErrorKind::not_found, key.text() + " is not there");
        locked[key.text()] = std::max(locked[key.text()], until);
        return {};
    }
    std::vector<std::string> locked_keys(std::string_view prefix) {
        std::vector<std::string> keys;
        for (auto const& [key, until] : locked)
            if (key.starts_with(prefix)) keys.push_back(key);
        return keys;
    }
};

struct LocksTest : testing::Test {
    SeededRandom random{29};
    ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    LockingStore store;
    KeyBundle admin = create_repository(store, world(), as_bytes("secret"), {}).value();
    std::unique_ptr<Repository> repository = open(admin);

    RepositoryWorld world() { return {clock, random, *executor, {}, {}}; }
    std::unique_ptr<Repository> open(KeyBundle const& keys) {
        return open_repository(store, keys.clone(), world(), {}, {}).value();
    }

    struct Made {
        PointInfo point;
        std::set<PackId> packs;
    };
    Made back_up(std::string const& dataset, std::string_view text) {
        auto ingest = repository->begin_ingest({}, {}).value();
        auto stream = ingest->open_stream(ChunkKind::tree, {});
        EXPECT_TRUE(stream->append(as_bytes(text)));
        RecoveryPoint point;
        point.dataset = dataset;
        point.kind = "files";
        clock.advance(10s);
        point.time = clock.now();
        point.tree = stream->finish().value();
        stream.reset();
        auto published = repository->publish(*ingest, std::move(point), {}).value();
        return {published, ingest->relied_on()};
    }
    std::vector<PackSummary> summaries() {
        std::vector<PackSummary> all;
        for (auto const& key : store.keys("index/")) {
            auto groups = load_segment(*repository, ObjectKey(key), {}).value();
            for (auto const& group : groups) all.insert(all.end(), group.packs.begin(), group.packs.end());
        }
        return all;
    }
    std::string put_segment(Bytes const& object) {
        auto key = segment_key(object);
        EXPECT_TRUE(store.put(key, object, {}));
        return key.text();
    }
};

TEST_F(LocksTest, WhatThePointNeedsIsLockedAndNothingElse) {
    auto other = back_up("other", "of another dataset");
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("old"), {}));
    clock.advance(10s);
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("new"), {}));
    auto first = back_up("a", "what must survive");
    auto second = back_up("a", "what must survive");
    ASSERT_EQ(first.packs.size(), 1u);
    EXPECT_EQ(second.packs, first.packs);

    auto pass = lock_again(*repository, second.packs, 1h, {});
    ASSERT_TRUE(pass) << pass.error().message;
    EXPECT_EQ(pass->until, clock.now() + 1h);
    EXPECT_EQ(pass->objects, store.locked.size());
    for (auto const& [key, until] : store.locked) EXPECT_EQ(until, pass->until) << key;
    EXPECT_THAT(store.locked_keys("packs/"), ElementsAre(pack_key(*first.packs.begin()).text()));
    EXPECT_EQ(store.locked_keys("index/").size(), 1u);
    EXPECT_EQ(store.locked_keys(kKeysPrefix), store.keys(kKeysPrefix));
    EXPECT_EQ(store.locked_keys("log/"), store.keys("log/"));
    EXPECT_EQ(store.locked_keys(kKeyCopiesPrefix), store.keys(kKeyCopiesPrefix));
    EXPECT_THAT(store.locked_keys(kConfigKey), ElementsAre(std::string(kConfigKey)));
    EXPECT_THAT(store.locked_keys(kConfigCopyKey), ElementsAre(std::string(kConfigCopyKey)));
    // The newest plan, and not the one before.
    std::vector<std::string> plans;
    for (auto const& key : store.keys("self/"))
        if (key.ends_with("-plan")) plans.push_back(key);
    ASSERT_EQ(plans.size(), 2u);
    EXPECT_FALSE(store.locked.contains(plans[0]));
    EXPECT_TRUE(store.locked.contains(plans[1]));
    EXPECT_THAT(store.locked_keys("points/"), IsEmpty());
}

// What garbage collection replaced is on its way out: a lock would keep it for ever.
TEST_F(LocksTest, OfTheIndexTheNewestThatIsBelievedIsLocked) {
    auto made = back_up("a", "what must survive");
    auto own = store.keys("index/").front();
    // What another writer says otherwise counts for nothing.
    auto writer = add_bundle(*repository, {.roles = static_cast<Roles>(Role::writer), .label = "w"}, {}).value();
    auto packs = summaries();
    auto lies = packs;
    ++lies.front().bytes;
    put_segment(open(writer)->seal(DocumentKind::index, encode_segment(lies)));
    ASSERT_TRUE(lock_again(*repository, made.packs, 1h, {}));
    EXPECT_THAT(store.locked_keys("index/"), ElementsAre(own));

    for (auto const& by : {admin.id, kProven}) {
        SegmentGroup const group{by, packs};
        auto merged = put_segment(repository->seal(DocumentKind::merged, encode_merged({&group, 1})));
        store.locked.clear();
        ASSERT_TRUE(lock_again(*repository, made.packs, 1h, {}));
        EXPECT_THAT(store.locked_keys("index/"), ElementsAre(merged));
    }
}

TEST_F(LocksTest, AFailureIsNoPass) {
    auto made = back_up("a", "what must survive");
    auto pack = pack_key(*made.packs.begin()).text();
    store.objects.erase(pack);
    auto gone = lock_again(*repository, made.packs, 1h, {});
    ASSERT_FALSE(gone);
    EXPECT_EQ(gone.error().kind, ErrorKind::not_found);
    EXPECT_THAT(gone.error().message, testing::HasSubstr(pack));
    // The configuration tells how far the last whole pass reached.
    EXPECT_FALSE(store.locked.contains(std::string(kConfigKey)));
    TestStore plain;
    EXPECT_EQ(plain.lock_until(ObjectKey("a"), clock.now(), {}).error().kind, ErrorKind::usage);
    EXPECT_EQ(plain.locked_until(ObjectKey("a"), {}).value(), std::nullopt);
}

TEST(Locks, WhatComesAndGoesIsNotLocked) {
    auto hash = std::string(64, 'a');
    for (auto const& key : std::vector<std::string>{"holdfast.json", "keys/" + hash, "packs/aa/" + hash, "index/" + hash,
                                                    "points/x", "log/x", "receipts/x", "self/holdfast.json",
                                                    "self/keys/" + hash})
        EXPECT_TRUE(is_for_good(ObjectKey(key))) << key;
    for (auto const* key : {"writers/x", "holds/x", "proven/x", "doomed/x", "packs/x", "else"})
        EXPECT_FALSE(is_for_good(ObjectKey(key))) << key;
}

TEST(LockFile, RemembersOrBeginsAnew) {
    auto pattern = (std::filesystem::temp_directory_path() / "locks-XXXXXX").string();
    std::filesystem::path const directory = mkdtemp(pattern.data());
    RepositoryId repository{};
    LockFile file(directory, repository);
    EXPECT_THAT(file.load(), IsEmpty());
    DatasetTag tag{};
    tag.bytes[0] = 7;
    std::map<DatasetTag, Time> const known{{DatasetTag{}, *parse_rfc3339("2026-01-01T00:00:00Z")},
                                           {tag, *parse_rfc3339("2026-02-01T00:00:00.5Z")}};
    ASSERT_TRUE(file.save(known));
    EXPECT_EQ(LockFile(directory, repository).load(), known);
    std::ofstream(directory / repository.hex() / "locks.json") << "{\"xx\":";
    EXPECT_THAT(file.load(), IsEmpty());
    ASSERT_TRUE(LockFile({}, repository).save(known));
    EXPECT_THAT(LockFile({}, repository).load(), IsEmpty());
    std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace holdfast
