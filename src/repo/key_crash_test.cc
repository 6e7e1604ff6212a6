// Changes of keys, and sealing anew, stopped at each operation on the store, with and without the effect of the
// last one; and a backup in the middle of each.
#include "repo/lease.h"
#include "repo/prune.h"
#include "repo/rewrap.h"
#include "repo/test_keys.h"

namespace holdfast {
namespace {

using testing::IsEmpty;
using namespace std::chrono_literals;

struct KeyCrash : KeyStore {
    using Change = std::function<Result<void>(Repository&)>;
    // Kills the change at each operation, checks, does something else, and repeats it to its end.
    void kill_everywhere(std::string const& name, Change const& change, std::function<void()> const& at_the_end) {
        auto const start = objects;
        auto const promised = acknowledged;
        std::uint64_t crashes = 0;
        for (auto effect : {SimulatedStore::Effect::none, SimulatedStore::Effect::done}) {
            for (std::uint64_t at = 0;; ++at) {
                ASSERT_LT(at, 2000u);
                objects = start;
                acknowledged = promised;
                SimulatedStore dying(objects, clock);
                auto died = die_at(dying, at, effect);
                auto repository = open(admin, dying);
                auto done = repository ? change(**repository) : fail(repository.error());
                repository = fail(ErrorKind::cancelled, "");  // its way to the store goes
                if (!*died) {
                    EXPECT_TRUE(done) << name << ": " << done.error().message;
                    break;
                }
                ++crashes;
                auto context = name + " killed at " + std::to_string(at);
                check(context);
                back_up(admin);
                check(context + ", after a backup");
                auto again = open(admin, store).value();
                auto repeated = change(*again);
                EXPECT_TRUE(repeated || repeated.error().kind == ErrorKind::exists) << context << ": "
                                                                                    << repeated.error().message;
                check(context + ", repeated");
                at_the_end();
                if (HasFatalFailure()) return;
            }
        }
        EXPECT_GT(crashes, 5u) << name;
    }
};

TEST_F(KeyCrash, ARotationIsTheOldStateOrTheNew) {
    back_up(writer);
    auto change = [](Repository& repository) -> Result<void> {
        TRY(rotate_pair(repository, "", {}));
        return {};
    };
    kill_everywhere("rotation", change, [&] {
        back_up(writer);
        check("after a rotation");
    });
}

TEST_F(KeyCrash, ARemovalIsTheOldStateOrTheNew) {
    back_up(writer);
    auto change = [&](Repository& repository) -> Result<void> {
        TRY(remove_key(repository, writer.id, {}));
        return {};
    };
    kill_everywhere("removal", change, [&] {
        auto refused = try_back_up(writer, store, fresh_files());
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().kind, ErrorKind::key_refused);
        auto list = open(reader, store).value()->points({});
        EXPECT_THAT(list->damaged, IsEmpty());
    });
}

TEST_F(KeyCrash, ANewPairAndANewReaderAreTheOldStateOrTheNew) {
    back_up(writer);
    ASSERT_TRUE(rotate_pair(*open(admin, store).value(), "", {}));
    back_up(writer);
    auto pair = [&](Repository& repository) -> Result<void> {
        TRY(add_pair(repository, "escrow", std::vector{reader.id}, {}));
        return {};
    };
    kill_everywhere("pair", pair, [&] {
        auto sealed = try_back_up(writer, store, fresh_files(), "escrow");
        ASSERT_TRUE(sealed) << sealed.error().message;
        check("with a pair");
    });
    std::optional<KeyBundle> made;
    auto add = [&](Repository& repository) -> Result<void> {
        made = TRY(add_bundle(repository, {.roles = static_cast<Roles>(Role::reader), .label = "new"}, {}));
        return {};
    };
    kill_everywhere("reader", add, [&] {
        // Who is told of a key reads everything with it.
        auto opened = open(*made, store).value();
        auto const list = opened->points({}).value();
        for (auto const& info : list.points) {
            auto restored = restore_test_files(*opened->begin_fetch({}, {}).value(), info.point);
            EXPECT_EQ(restored.has_value(), pair_of(info.point).empty()) << (restored ? "" : restored.error().message);
        }
    });
}

// Killed anywhere, garbage is collected, and the next run goes on: at the end nothing needs the old epoch.
TEST_F(KeyCrash, SealingAnewIsTakenUp) {
    back_up(writer);
    back_up(admin);
    ASSERT_TRUE(rotate_pair(*open(admin, store).value(), "", {}));
    back_up(writer);
    // Once more: then what is proven lies in an old epoch, too, and the newest still comes first.
    ASSERT_TRUE(rewrap_packs(*open(admin, store).value(), {.parity_percent = 0}, {}, {}));
    auto const newest = rotate_pair(*open(admin, store).value(), "", {}).value();
    auto change = [](Repository& repository) -> Result<void> {
        auto done = TRY(rewrap_packs(repository, {.parity_percent = 0}, {}, {}));
        EXPECT_THAT(done.damaged, IsEmpty());
        return {};
    };
    kill_everywhere("rewrap", change, [&] {
        for (int i = 0; i < 2; ++i) {
            clock.advance(kLeaseSilenceMax + 25h);
            auto pruned = prune_repository(*open(admin, store).value(), {}, walk_test_files, {}, {});
            ASSERT_TRUE(pruned) << pruned.error().message;
            EXPECT_THAT(pruned->damaged, IsEmpty());
        }
        check("after garbage collection");
        for (auto const& key : objects.keys("packs/")) {
            auto object = store.get(ObjectKey(key), {}).value();
            EXPECT_EQ(decode_pack_header(ByteView(object).first(kPackHeaderBytes))->data_key, newest) << key;
        }
    });
}

// A backup by the very key that is removed, between any two operations of the removal: it is acknowledged and
// stays, or it is refused.
TEST_F(KeyCrash, ABackupBesideEveryOperationOfARemoval) {
    back_up(writer);
    auto const start = objects;
    auto const promised = acknowledged;
    std::uint64_t stayed = 0, refused = 0;
    for (std::uint64_t at = 0;; ++at) {
        objects = start;
        acknowledged = promised;
        SimulatedStore watched(objects, clock);
        auto ran = interrupt_at(watched, at, [&] {
            auto info = try_back_up(writer, store, fresh_files());
            ++(info ? stayed : refused);
        });
        auto repository = open(admin, watched).value();
        auto removed = remove_key(*repository, writer.id, {});
        EXPECT_TRUE(removed) << removed.error().message;
        if (!*ran) break;
        check("backup before " + std::to_string(at));
    }
    EXPECT_GT(stayed, 3u);
    EXPECT_GT(refused, 3u);
}

// And the other way round: a whole removal between any two operations of a backup.
TEST_F(KeyCrash, ARemovalBesideEveryOperationOfABackup) {
    back_up(writer);
    auto const start = objects;
    auto const promised = acknowledged;
    std::uint64_t stayed = 0;
    for (std::uint64_t at = 0;; ++at) {
        objects = start;
        acknowledged = promised;
        SimulatedStore watched(objects, clock);
        auto ran = interrupt_at(watched, at, [&] { EXPECT_TRUE(remove_key(*open(admin, store).value(), writer.id, {})); });
        auto info = try_back_up(writer, watched, fresh_files());
        if (info) ++stayed;
        if (!info) {
            EXPECT_EQ(info.error().kind, ErrorKind::key_refused) << info.error().message;
        }
        if (!*ran) break;
        check("removal before " + std::to_string(at));
    }
    EXPECT_GT(stayed, 0u);
}

}  // namespace
}  // namespace holdfast
