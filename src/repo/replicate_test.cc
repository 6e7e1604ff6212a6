#include "repo/replicate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "os/random.h"
#include "repo/config.h"
#include "repo/hold.h"
#include "repo/locks.h"
#include "repo/point.h"
#include "repo/test_world.h"
#include "repo/writer_log.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ReplicateTest : public testing::Test {
  protected:
    void SetUp() override {
        admin = create_repository(from, world(), as_bytes("password"), {}).value();
        repository = open(from);
    }
    RepositoryWorld world() { return {clock, random, *executor, {}, {}}; }
    std::unique_ptr<Repository> open(Store& store) {
        auto opened = open_repository(store, admin.clone(), world(), {}, {});
        EXPECT_TRUE(opened) << opened.error().message;
        return std::move(*opened);
    }
    PointInfo back_up(std::string const& text) {
        auto ingest = repository->begin_ingest({}, {}).value();
        auto stream = ingest->open_stream(ChunkKind::tree, {});
        EXPECT_TRUE(stream->append(as_bytes(text)));
        RecoveryPoint point;
        point.dataset = "data";
        point.kind = "files";
        clock.advance(std::chrono::seconds(10));
        point.time = clock.now();
        point.tree = stream->finish().value();
        stream.reset();
        return repository->publish(*ingest, std::move(point), {}).value();
    }
    Result<Replication> run(ReplicateOptions const& options = {}) {
        return replicate(from, to, *executor, clock, options, {}, {});
    }
    // Every point that the copy lists reads as it was.
    std::size_t whole_points_of_copy() {
        auto copy = open(to);
        auto list = copy->points({}).value();
        for (auto const& damaged : list.damaged) ADD_FAILURE() << damaged.key << ": " << damaged.error.message;
        for (auto const& info : list.points) {
            auto fetch = copy->begin_fetch({}, {}).value();
            EXPECT_TRUE(fetch->content(info.point.tree, 1000, {}));
        }
        return list.points.size();
    }
    std::string first(std::string_view prefix, TestStore& store) {
        auto found = store.objects.lower_bound(std::string(prefix));
        EXPECT_TRUE(found != store.objects.end() && found->first.starts_with(prefix));
        return found->first;
    }

    TestStore from, to;
    ManualClock clock{Time(std::chrono::hours(24 * 365 * 56))};
    SeededRandom random{1};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    KeyBundle admin;
    std::unique_ptr<Repository> repository;
};

TEST_F(ReplicateTest, MakesACopyThatRestoresAndBringsItUpToDate) {
    back_up("one");
    auto done = run();
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(done->points, 1u);
    EXPECT_EQ(done->copied, to.objects.size());
    EXPECT_EQ(whole_points_of_copy(), 1u);

    back_up("two");
    back_up("three");
    clock.advance(std::chrono::minutes(5));
    auto planned = run({.dry_run = true});
    ASSERT_TRUE(planned);
    EXPECT_EQ(whole_points_of_copy(), 1u);
    done = run();
    ASSERT_TRUE(done);
    EXPECT_EQ(done->copied, planned->copied);
    EXPECT_EQ(done->bytes_copied, planned->bytes_copied);
    EXPECT_EQ(done->points, 2u);
    EXPECT_EQ(done->lag, std::chrono::minutes(5) + std::chrono::seconds(10));
    EXPECT_EQ(whole_points_of_copy(), 3u);

    done = run();
    ASSERT_TRUE(done);
    EXPECT_EQ(done->copied, 0u);
    EXPECT_FALSE(done->lag);
}

TEST_F(ReplicateTest, WhatIsHeldIsHeldInTheCopy) {
    auto point = back_up("one");
    Hold hold;
    hold.reason = "case 7";
    hold.points = {point.id};
    auto placed = place_hold(*repository, hold, {});
    ASSERT_TRUE(placed);
    ASSERT_TRUE(run());
    auto copy = open(to);
    PointKey const key{dataset_tag(admin, "data"), point.point.time, point.id};
    EXPECT_EQ(copy->drop(std::span(&key, 1), {}).error().kind, ErrorKind::unsafe);
    // It is for the copy's admin to say that it is over there, too.
    ASSERT_TRUE(remove_hold(*repository, placed->hex(), {}));
    ASSERT_TRUE(run());
    EXPECT_EQ(list_holds(*copy, {})->size(), 1u);
}

TEST_F(ReplicateTest, ReceiptsThatTheCopyGaveItselfStay) {
    auto point = back_up("one");
    auto receipt = "receipts/" + point.id.hex();
    // The copy was made before the point had its receipt, and an admin looked at it.
    auto kept = from.objects.extract(receipt);
    ASSERT_FALSE(kept.empty());
    ASSERT_TRUE(run());
    clock.advance(std::chrono::minutes(1));
    EXPECT_EQ(whole_points_of_copy(), 1u);
    auto own = to.objects.at(receipt);
    from.objects.insert(std::move(kept));
    for (bool compare : {false, true}) {
        auto done = run({.compare = compare});
        ASSERT_TRUE(done);
        EXPECT_THAT(done->damaged, IsEmpty()) << done->damaged[0].error.message;
        EXPECT_EQ(to.objects.at(receipt), own);
    }
}

TEST_F(ReplicateTest, CutShortAtEveryOperationItIsARepositoryAndGoesOn) {
    back_up("one");
    back_up("two");
    for (int limit = 0;; ++limit) {
        SCOPED_TRACE(limit);
        to.objects.clear();
        int left = limit;
        to.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
            if (operation == "put" && left-- <= 0) return fail(ErrorKind::unreachable, "the line is dead");
            return {};
        };
        auto cut = run();
        to.before = nullptr;
        if (cut) break;
        EXPECT_EQ(cut.error().kind, ErrorKind::unreachable);
        // Whatever points it shows, it can restore.
        if (to.objects.contains("holdfast.json")) whole_points_of_copy();
        auto again = run();
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(whole_points_of_copy(), 2u);
    }
}

TEST_F(ReplicateTest, ADamagedPackOfTheCopyIsReplaced) {
    back_up("one");
    ASSERT_TRUE(run());
    auto key = first("packs/", to);
    auto good = to.objects[key];
    to.objects[key].pop_back();  // seen by its size
    auto done = run();
    ASSERT_TRUE(done);
    EXPECT_THAT(done->healed, ElementsAre(key));
    EXPECT_EQ(to.objects[key], good);

    to.objects[key][100] ^= 1;  // seen only by who reads it
    EXPECT_THAT(run()->healed, IsEmpty());
    EXPECT_THAT(run({.compare = true, .dry_run = true})->healed, ElementsAre(key));
    EXPECT_NE(to.objects[key], good);
    EXPECT_THAT(run({.compare = true})->healed, ElementsAre(key));
    EXPECT_EQ(to.objects[key], good);
}

TEST_F(ReplicateTest, DamageOfTheSourceIsNamedAndNotSpread) {
    back_up("one");
    ASSERT_TRUE(run());
    auto key = first("packs/", from);
    auto good = to.objects[key];
    from.objects[key][100] ^= 1;
    auto done = run({.compare = true});
    ASSERT_TRUE(done);
    ASSERT_EQ(done->damaged.size(), 1u);
    EXPECT_EQ(done->damaged[0].key, key);
    EXPECT_THAT(done->damaged[0].error.hint, HasSubstr("other direction"));
    EXPECT_EQ(to.objects[key], good);

    // What parity brings back arrives whole.
    to.objects.clear();
    done = run();
    ASSERT_TRUE(done);
    EXPECT_THAT(done->damaged, IsEmpty());
    EXPECT_EQ(to.objects[key], good);

    std::fill(from.objects[key].begin() + 50, from.objects[key].end() - 50, std::uint8_t{0});
    to.objects.clear();
    done = run();
    ASSERT_TRUE(done);
    ASSERT_EQ(done->damaged.size(), 1u);
    EXPECT_FALSE(to.objects.contains(key));
    // And the way back.
    from.objects.erase(key);
    to.objects[key] = good;
    ASSERT_TRUE(replicate(to, from, *executor, clock, {}, {}, {}));
    EXPECT_EQ(from.objects[key], good);
}

TEST_F(ReplicateTest, WhatCantBeToldApartStaysAsItIs) {
    back_up("one");
    ASSERT_TRUE(run());
    auto key = first("points/", to);
    to.objects[key].back() ^= 1;
    auto before = to.objects;
    auto done = run({.compare = true});
    ASSERT_TRUE(done);
    ASSERT_EQ(done->damaged.size(), 1u);
    EXPECT_THAT(done->damaged[0].error.message, HasSubstr("differs"));
    EXPECT_EQ(to.objects, before);
}

TEST_F(ReplicateTest, AnotherRepositoryIsRefused) {
    auto other = create_repository(to, world(), as_bytes("password"), {});
    ASSERT_TRUE(other);
    auto before = to.objects;
    auto done = run();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::unsafe);
    EXPECT_EQ(to.objects, before);
    TestStore empty;
    EXPECT_EQ(replicate(empty, to, *executor, clock, {}, {}, {}).error().kind, ErrorKind::not_found);
}

TEST_F(ReplicateTest, NoFasterThanItMay) {
    back_up(std::string(1000, 'x'));
    auto before = clock.elapsed();
    auto done = run({.bytes_per_second = 1000});
    ASSERT_TRUE(done);
    auto seconds = std::chrono::duration<double>(clock.elapsed() - before).count();
    // The last object starts when those before it are due.
    EXPECT_GT(seconds, static_cast<double>(done->bytes_copied) / 1000 / 2);
    EXPECT_LE(seconds, static_cast<double>(done->bytes_copied) / 1000);
}

// Locks objects, and tells until when.
struct LockingCopy : TestStore {
    std::map<std::string, Time> locked;
    Result<void> lock_until(ObjectKey const& key, Time until, std::stop_token) override {
        std::lock_guard guard(mutex);
        if (!objects.contains(key.text())) return fail(ErrorKind::not_found, key.text() + " is not there");
        locked[key.text()] = std::max(locked[key.text()], until);
        order.push_back(key.text());
        return {};
    }
    Result<std::optional<Time>> locked_until(ObjectKey const& key, std::stop_token) override {
        std::lock_guard guard(mutex);
        auto found = locked.find(key.text());
        return found == locked.end() ? std::optional<Time>{} : found->second;
    }
    std::vector<std::string> order;
};

TEST_F(ReplicateTest, WhatTheSourceStillHasIsLockedAgainInTheCopy) {
    using namespace std::chrono_literals;
    auto gone = back_up("one");
    LockingCopy copy;
    ReplicateOptions options{.lock = 100h};
    auto replicate_once = [&] { return replicate(from, copy, *executor, clock, options, {}, {}).value(); };
    auto const locked = replicate_once().locked;
    EXPECT_EQ(locked, copy.locked.size());
    EXPECT_EQ(copy.order.back(), std::string(kConfigKey));
    auto const first_end = clock.now() + 100h;
    // Not before a quarter has passed, and not what is gone from the source, or comes and goes.
    clock.advance(24h);
    EXPECT_EQ(replicate_once().locked, 0u);
    auto const point = first(kPointsPrefix, from);
    from.objects.erase(point);
    back_up("two");
    clock.advance(2h);
    copy.order.clear();
    EXPECT_GT(replicate_once().locked, 0u);
    EXPECT_EQ(copy.order.back(), std::string(kConfigKey));
    EXPECT_EQ(copy.locked[point], first_end);
    for (auto const& [key, bytes] : from.objects) {
        if (is_for_good(ObjectKey(key))) EXPECT_EQ(copy.locked[key], clock.now() + 100h) << key;
        else EXPECT_FALSE(copy.locked.contains(key)) << key;
    }
    // Broken off, it begins anew: the configuration still says when.
    clock.advance(26h);
    struct Failing : LockingCopy {
        Result<void> lock_until(ObjectKey const& key, Time until, std::stop_token stop) override {
            if (key.text().starts_with(kLogPrefix)) return fail(ErrorKind::unreachable, "away");
            return LockingCopy::lock_until(key, until, std::move(stop));
        }
    } failing;
    failing.objects = copy.objects;
    failing.locked = copy.locked;
    EXPECT_EQ(replicate(from, failing, *executor, clock, options, {}, {}).error().kind, ErrorKind::unreachable);
    EXPECT_EQ(failing.locked[std::string(kConfigKey)], copy.locked[std::string(kConfigKey)]);
}

}  // namespace
}  // namespace holdfast
