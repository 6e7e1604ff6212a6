// The log of a real PostgreSQL 15: streamed, killed, followed, and recovered from.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <random>

#include "formats/pg_lsn.h"
#include "os/clock.h"
#include "os/executor.h"
#include "os/random.h"
#include "postgres_cluster.h"
#include "repo/wal_log.h"
#include "sources/postgres/cluster.h"
#include "sources/postgres/log_course.h"
#include "sources/postgres/postgres_source.h"
#include "sources/postgres/recovery_log.h"
#include "sources/postgres/restore.h"
#include "sources/postgres/same_system.h"
#include "sources/postgres/wal_receive.h"
#include "store/faulty_store.h"
#include "store/memory_store.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using postgres::RecoveryTarget;
using postgres::WalEvent;
using testing::PostgresCluster;
using testing::ScratchDirectory;

// A store that can go away, and that outlives those who write into it.
class FlakyStore : public MemoryStore {
  public:
    std::atomic<bool> away = false;
    using MemoryStore::put;
    Result<void> put(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token stop) override {
        if (away) return fail(ErrorKind::unreachable, "the store is away");
        return MemoryStore::put(key, parts, stop);
    }
};

struct World {
    FlakyStore store;
    ScratchDirectory directory;
    std::unique_ptr<Executor> executor = make_thread_executor(2);
    std::unique_ptr<Repository> repository;

    World() {
        RepositoryWorld world{system_clock(), system_random(), *executor, directory.path() / "state",
                              directory.path() / "cache"};
        auto keys = create_repository(store, world, as_bytes("correct horse"), {}).value();
        repository = open_repository(store, std::move(keys), world, {}, {}).value();
    }

    PointInfo back_up(PostgresCluster const& cluster) {
        auto ingest = repository->begin_ingest({}, {}).value();
        CaptureContext context{*repository, *ingest, "database", {}, {}, {}};
        auto capture = PostgresSource(cluster.conninfo(), {.keep_log = true}).capture(context);
        EXPECT_TRUE(capture) << capture.error().message;
        return repository->publish(*ingest, capture->point, {}).value();
    }

    WalLog log() {
        auto logs = list_wal(*repository, "database", {}).value();
        return logs.empty() ? WalLog{} : logs.front();
    }

    postgres::LogPlan plan(PointInfo const& base, RecoveryTarget target, std::uint32_t timeline = 0) {
        postgres::LogPlan plan;
        plan.log = log();
        if (timeline == 0) timeline = plan.log.timelines.rbegin()->first;
        for (auto const& [number, known] : plan.log.timelines)
            if (!known.histories.empty()) plan.histories[number] = read_wal_history(*repository, plan.log, number, {}).value();
        std::vector<TimelineBranch> before;
        if (plan.histories.contains(timeline))
            before = parse_timeline_history(as_text(plan.histories[timeline]), timeline).value();
        plan.course = postgres::course_of(timeline, before);
        auto const& attributes = base.point.attributes;
        auto own = static_cast<std::uint32_t>(std::stoul(attributes.at("timeline")));
        while (plan.course[plan.part].timeline != own) ++plan.part;
        plan.from = parse_lsn(attributes.at("lsn")).value();
        plan.segment_bytes = static_cast<std::uint32_t>(std::stoul(attributes.at("wal_segment_bytes")));
        plan.reach = postgres::reach_of(plan.log, plan.course, plan.part, plan.from, plan.segment_bytes);
        plan.target = std::move(target);
        return plan;
    }

    // Restores with the log, and starts what came back.
    Result<std::unique_ptr<postgres::IsolatedCluster>> recover(PointInfo const& base, postgres::LogPlan const& plan,
                                                              std::string const& name) {
        auto fetch = TRY(repository->begin_fetch({}, {}));
        std::filesystem::path target = directory / name;
        auto place = [&](std::filesystem::path const& data) -> Result<void> {
            placed = TRY(postgres::place_log(*repository, plan, data, {}, {}));
            return {};
        };
        RestoreContext context{*fetch, base.point, "", target, {}, {}, {}, {}};
        TRY(postgres::restore_data_directory(context, place));
        return postgres::IsolatedCluster::start({.data = target}, {});
    }
    postgres::PlacedLog placed;
};

// A receiver in a thread of its own, until it is stopped.
class Receiver {
  public:
    Receiver(World& world, std::string conninfo, postgres::WalReceiveOptions options = {}) {
        options.conninfo = std::move(conninfo);
        options.dataset = "database";
        options.tell = [this](WalEvent const& event) {
            std::lock_guard lock(mutex_);
            events_.push_back(event);
        };
        thread_ = std::jthread([this, &world, options](std::stop_token stop) {
            auto done = postgres::receive_wal(*world.repository, options, stop);
            std::lock_guard lock(mutex_);
            result_ = std::move(done);
        });
    }
    Result<void> stop() {
        thread_.request_stop();
        return wait();
    }
    Result<void> wait() {
        if (thread_.joinable()) thread_.join();
        return *result_;
    }
    bool saw(WalEvent::Kind kind) const {
        std::lock_guard lock(mutex_);
        return std::ranges::any_of(events_, [&](auto const& event) { return event.kind == kind; });
    }
    // The last word about it was an alarm.
    bool alarmed(WalEvent::Kind kind) const {
        std::lock_guard lock(mutex_);
        for (auto event = events_.rbegin(); event != events_.rend(); ++event)
            if (event->kind == kind) return event->alarm;
        return false;
    }
    // The last event that tells until when the log is complete.
    std::optional<Time> complete() const {
        std::lock_guard lock(mutex_);
        return events_.empty() ? std::nullopt : events_.back().complete;
    }
    std::string told() const {
        std::lock_guard lock(mutex_);
        std::string all;
        for (auto const& event : events_) all += std::string(name(event.kind)) + ": " + event.message + "\n";
        return all;
    }

  private:
    mutable std::mutex mutex_;
    std::vector<WalEvent> events_;
    std::optional<Result<void>> result_;
    std::jthread thread_;
};

template <typename Condition>
bool eventually(Condition const& condition, std::chrono::seconds limit = 60s) {
    for (auto until = std::chrono::steady_clock::now() + limit; std::chrono::steady_clock::now() < until;) {
        if (condition()) return true;
        std::this_thread::sleep_for(20ms);
    }
    return false;
}

Lsn flushed(PostgresCluster const& cluster) { return parse_lsn(cluster.value("select pg_current_wal_flush_lsn()")).value(); }
bool has_all(World& world, Lsn position) {
    auto log = world.log();
    return !log.timelines.empty() && !log.timelines.rbegin()->second.ranges.empty() &&
           log.timelines.rbegin()->second.covered().back().end >= position.value;
}
// What was written so far is in the repository.
void expect_received(World& world, PostgresCluster const& cluster, Receiver const& receiver) {
    auto position = flushed(cluster);
    EXPECT_TRUE(eventually([&] { return has_all(world, position); })) << to_text(position) << "\n" << receiver.told();
}
std::string ask(postgres::IsolatedCluster const& cluster, std::string const& sql) {
    auto rows = cluster.query(sql, {}, {});
    EXPECT_TRUE(rows) << rows.error().message;
    return rows && !rows->rows.empty() ? rows->rows[0][0].value_or("NULL") : "";
}
Time server_time(PostgresCluster const& cluster) {
    return parse_rfc3339(cluster.value("select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")).value();
}

constexpr char kTimeline[] = "select left(pg_walfile_name(pg_current_wal_lsn()), 8)";

TEST(Wal, RecoversToAnyMoment) {
    PostgresCluster cluster({.settings = {"max_prepared_transactions=5"}});
    cluster.sql("create table t(i int primary key)");
    World world;
    auto base = world.back_up(cluster);
    Receiver receiver(world, cluster.conninfo());
    cluster.sql("insert into t values (1)");
    cluster.sql("create database other");
    cluster.sql("create table kept(i int)", "other");
    cluster.sql("begin; insert into t values (2); prepare transaction 'two'");
    cluster.sql("select pg_create_restore_point('before lunch')");
    auto xid = cluster.value("insert into t values (3) returning xmin");
    auto lsn = cluster.value("select pg_current_wal_insert_lsn()");
    cluster.sql("insert into t values (4)");
    std::this_thread::sleep_for(10ms);
    auto moment = server_time(cluster);
    std::this_thread::sleep_for(10ms);
    cluster.sql("commit prepared 'two'");
    cluster.sql("drop table t");
    cluster.sql("drop database other");
    cluster.sql("create table last(i int)");
    expect_received(world, cluster, receiver);
    ASSERT_TRUE(receiver.stop());

    using Kind = RecoveryTarget::Kind;
    struct Case {
        std::string name;
        RecoveryTarget target;
        std::string rows;
        std::string prepared;
    };
    Case const cases[] = {{"time", {.kind = Kind::time, .time = moment}, "1,3,4", "1"},
                          {"lsn", {.kind = Kind::lsn, .lsn = parse_lsn(lsn).value()}, "1,3", "1"},
                          {"xid", {.kind = Kind::transaction, .transaction = static_cast<std::uint32_t>(std::stoul(xid))}, "1,3", "1"},
                          {"label", {.kind = Kind::name, .name = "before lunch"}, "1", "1"}};
    for (auto const& one : cases) {
        SCOPED_TRACE(one.name);
        auto running = world.recover(base, world.plan(base, one.target), one.name);
        ASSERT_TRUE(running) << running.error().message;
        EXPECT_TRUE(world.placed.found.reached);
        EXPECT_EQ(ask(**running, "select string_agg(i::text, ',' order by i) from t"), one.rows);
        EXPECT_EQ(ask(**running, "select count(*) from pg_prepared_xacts"), one.prepared);
        EXPECT_EQ(ask(**running, "select pg_is_in_recovery()"), "f");
        EXPECT_EQ(ask(**running, kTimeline), "00000002");
        EXPECT_EQ((*running)->query("select * from kept", {.database = "other"}, {}).has_value(), true);
    }
    auto latest = world.recover(base, world.plan(base, {}), "latest");
    ASSERT_TRUE(latest) << latest.error().message;
    EXPECT_EQ(ask(**latest, "select count(*) from pg_class where relname in ('t', 'last')"), "1");
    EXPECT_EQ(ask(**latest, "select count(*) from pg_database where datname = 'other'"), "0");
    auto missing = world.recover(base, world.plan(base, {.kind = Kind::name, .name = "after lunch"}), "missing");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
}

// Everything that the server acknowledged while it waited for us must be in the repository, whatever is killed.
TEST(Wal, SynchronousCommitsSurviveKillsOfServerAndReceiver) {
    std::random_device device;
    auto seed = device();
    RecordProperty("seed", std::to_string(seed));
    std::mt19937 random(seed);
    PostgresCluster cluster({.settings = {"synchronous_standby_names=holdfast"}});
    cluster.sql("set synchronous_commit = local; create table t(i int primary key, v text)");
    World world;
    auto base = world.back_up(cluster);
    int acknowledged = 0, next = 0;
    for (int round = 0; round < 4; ++round) {
        SCOPED_TRACE("seed " + std::to_string(seed) + ", round " + std::to_string(round));
        auto receiver = std::make_unique<Receiver>(world, cluster.conninfo());
        std::atomic<bool> stop = false;
        std::thread load([&] {
            auto connection = postgres::Connection::connect(cluster.conninfo(), {}, {});
            if (!connection) return;
            while (!stop) {
                auto number = ++next;
                auto row = connection->query("insert into t values (" + std::to_string(number) + ", repeat('x', " +
                                                 std::to_string(number % 3000) + "))", {});
                if (!row) return;
                acknowledged = number;
            }
        });
        EXPECT_TRUE(eventually([&] { return next > round * 10 + 5; }));
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 700));
        // The server is killed; or the receiver vanishes first, and nothing more may be acknowledged.
        if (round % 2 == 1) (void)receiver->stop();
        cluster.stop(SIGKILL);
        stop = true;
        load.join();
        (void)receiver->stop();
        auto running = world.recover(base, world.plan(base, {}), "round" + std::to_string(round));
        ASSERT_TRUE(running) << running.error().message;
        EXPECT_EQ(ask(**running, "select count(*) from t where i <= " + std::to_string(acknowledged) + " and length(v) = i % 3000"),
                  std::to_string(acknowledged));
        cluster.start();
        next = std::stoi(cluster.value("select coalesce(max(i), 0) from t"));
    }
    EXPECT_GT(acknowledged, 20);
}

TEST(Wal, GoesOnWhenTheRepositoryWasAway) {
    PostgresCluster cluster({.settings = {"max_slot_wal_keep_size=256MB"}});
    cluster.sql("create table t(i int, v text)");
    World world;
    auto base = world.back_up(cluster);
    Receiver receiver(world, cluster.conninfo(), {.conninfo = {}, .dataset = {}, .spool = world.directory.path() / "spool",
                                                  .spool_bytes_max = 32u << 20});
    expect_received(world, cluster, receiver);
    world.store.away = true;
    // More than fits into memory: whole segments go to the spool.
    auto alarmed = [&] { return receiver.alarmed(WalEvent::Kind::spool) && receiver.alarmed(WalEvent::Kind::lag); };
    for (int i = 0; i < 4 || (i < 12 && !alarmed()); ++i)
        cluster.sql("insert into t select i, md5(i::text) from generate_series(1, 120000) i");
    EXPECT_TRUE(eventually(alarmed, 5s)) << receiver.told();
    auto spooled = [&] {
        std::error_code missing;
        for (auto const& entry : std::filesystem::recursive_directory_iterator(world.directory.path() / "spool/wal", missing))
            if (entry.is_regular_file()) return true;
        return false;
    };
    EXPECT_TRUE(eventually(spooled)) << receiver.told();
    EXPECT_TRUE(receiver.alarmed(WalEvent::Kind::repository));
    auto held = cluster.value("select confirmed from (select flush_lsn as confirmed from pg_stat_replication) s");
    EXPECT_LT(parse_lsn(held).value(), flushed(cluster)) << "nothing may be acknowledged";
    world.store.away = false;
    expect_received(world, cluster, receiver);
    EXPECT_TRUE(eventually([&] { return !spooled(); }));
    for (auto kind : {WalEvent::Kind::repository, WalEvent::Kind::spool, WalEvent::Kind::lag})
        EXPECT_TRUE(eventually([&] { return !receiver.alarmed(kind); })) << name(kind) << "\n" << receiver.told();
    ASSERT_TRUE(receiver.stop());
    EXPECT_EQ(world.log().timelines.at(1).covered().size(), 1u);
    auto running = world.recover(base, world.plan(base, {}), "restored");
    ASSERT_TRUE(running) << running.error().message;
    EXPECT_EQ(ask(**running, "select count(*) from t"), cluster.value("select count(*) from t"));
}

TEST(Wal, DamageIsLoudAndSaysHowFarTheLogGoes) {
    PostgresCluster cluster;
    cluster.sql("create table t(i int)");
    World world;
    auto base = world.back_up(cluster);
    {
        Receiver receiver(world, cluster.conninfo());
        for (int i = 0; i < 20; ++i) {
            cluster.sql("insert into t values (" + std::to_string(i) + ")");
            expect_received(world, cluster, receiver);
        }
        ASSERT_TRUE(receiver.stop());
    }
    auto const log = world.log();
    auto const& ranges = log.timelines.at(1).ranges;
    ASSERT_GT(ranges.size(), 8u);
    auto const victim = ranges[ranges.size() / 2];
    ObjectKey key(wal_key(log.stream, victim));
    auto const object = world.store.get(key, {}).value();
    auto check = [&](std::string const& what, std::optional<Bytes> replaced) {
        SCOPED_TRACE(what);
        EXPECT_TRUE(world.store.remove(key, {}));
        if (replaced) { EXPECT_TRUE(world.store.put(key, *replaced, {})); }
        auto plan = world.plan(base, {});
        if (!replaced) {
            EXPECT_TRUE(plan.reach.gap);
            EXPECT_EQ(plan.reach.end, Lsn{victim.first});
            return;
        }
        auto running = world.recover(base, plan, "damaged-" + what);
        ASSERT_FALSE(running);
        EXPECT_EQ(running.error().kind, ErrorKind::damaged);
        EXPECT_NE(running.error().hint.find("lsn:"), std::string::npos) << running.error().hint;
        // As far as it goes, it can be reached.
        auto last = parse_lsn(running.error().hint.substr(running.error().hint.find("lsn:") + 4,
                              running.error().hint.find(';') - running.error().hint.find("lsn:") - 4));
        ASSERT_TRUE(last) << running.error().hint;
        EXPECT_LE(last->value, victim.first);
    };
    auto flipped = object;
    flipped[flipped.size() / 2] ^= 1;
    check("flipped", flipped);
    Bytes zeros(object.begin(), object.end() - 40);
    zeros.resize(object.size());
    check("zero-tail", zeros);
    check("short", Bytes(object.begin(), object.end() - 10));
    check("missing", std::nullopt);
}

TEST(Wal, AnotherSystemIsRefused) {
    World world;
    {
        PostgresCluster cluster;
        world.back_up(cluster);
        Receiver receiver(world, cluster.conninfo());
        expect_received(world, cluster, receiver);
        ASSERT_TRUE(receiver.stop());
    }
    PostgresCluster other;
    Receiver receiver(world, other.conninfo());
    auto done = receiver.wait();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::unsafe) << done.error().message;
}

TEST(Wal, ALostSlotIsLoudAndTheLogGoesOnBehindTheGap) {
    PostgresCluster cluster({.settings = {"min_wal_size=32MB", "max_wal_size=48MB", "wal_recycle=off"}});
    cluster.sql("create table t(i int)");
    World world;
    world.back_up(cluster);
    {
        Receiver receiver(world, cluster.conninfo());
        expect_received(world, cluster, receiver);
        ASSERT_TRUE(receiver.stop());
    }
    auto slot = postgres::slot_name(world.repository->keys(), "database");
    ASSERT_TRUE(eventually([&] { return cluster.value("select count(*) from pg_replication_slots where active") == "0"; }));
    cluster.sql("select pg_drop_replication_slot('" + slot + "')");
    for (int i = 0; i < 4; ++i) cluster.sql("select pg_switch_wal(); insert into t values (1); checkpoint");
    cluster.sql("checkpoint");
    Receiver receiver(world, cluster.conninfo());
    expect_received(world, cluster, receiver);
    EXPECT_TRUE(receiver.saw(WalEvent::Kind::slot_lost)) << receiver.told();
    EXPECT_TRUE(receiver.saw(WalEvent::Kind::gap)) << receiver.told();
    EXPECT_NE(receiver.told().find("new base backup"), std::string::npos);
    ASSERT_TRUE(receiver.stop());
    EXPECT_EQ(world.log().timelines.at(1).covered().size(), 2u);
}

TEST(Wal, AServerThatStaysAwayIsAnAlarmAndALogThatIsIdleIsComplete) {
    PostgresCluster cluster({.settings = {"wal_sender_timeout=4s"}});
    World world;
    world.back_up(cluster);
    Receiver receiver(world, cluster.conninfo(), {.conninfo = {}, .dataset = {}, .tell_every = 1s, .down_alarm_after = 1s});
    expect_received(world, cluster, receiver);
    // Nothing is written any more: the server is asked how far it is.
    auto quiet = system_clock().now() + 3s;
    EXPECT_TRUE(eventually([&] { return receiver.complete() && *receiver.complete() > quiet; })) << receiver.told();
    cluster.stop(SIGINT);
    EXPECT_TRUE(eventually([&] { return receiver.saw(WalEvent::Kind::disconnected); })) << receiver.told();
    EXPECT_TRUE(eventually([&] { return receiver.alarmed(WalEvent::Kind::disconnected); })) << receiver.told();
    cluster.start();
    ASSERT_TRUE(receiver.stop());
}

// The server is recovered to an earlier moment and goes on as timeline 2, then the same again as timeline 3.
TEST(Wal, FollowsTimelinesAndTakesTheRightBranch) {
    World world;
    PostgresCluster cluster;
    cluster.sql("create table t(i int)");
    auto base = world.back_up(cluster);
    std::string standby_data = cluster.scratch() / "standby";
    Receiver receiver(world, cluster.conninfo());
    cluster.sql("insert into t values (1)");
    expect_received(world, cluster, receiver);
    // A promotion in place: the cluster stops, comes back as a standby of nobody and is promoted.
    auto promote = [&] {
        cluster.stop(SIGINT);
        std::ofstream(cluster.data() + "/standby.signal");
        ScratchDirectory::give_to_postgres(cluster.data() + "/standby.signal");
        cluster.start();
        EXPECT_EQ(cluster.value("select pg_promote()"), "t");
    };
    promote();
    cluster.sql("insert into t values (2)");
    expect_received(world, cluster, receiver);
    promote();
    cluster.sql("insert into t values (3)");
    expect_received(world, cluster, receiver);
    ASSERT_TRUE(receiver.stop()) << receiver.told();
    auto log = world.log();
    EXPECT_EQ(log.timelines.size(), 3u) << receiver.told();
    EXPECT_EQ(log.timelines.at(3).histories.size(), 1u);

    auto expect_rows = [&](std::uint32_t timeline, std::string const& rows) {
        auto running = world.recover(base, world.plan(base, {}, timeline), "timeline" + std::to_string(timeline));
        ASSERT_TRUE(running) << running.error().message;
        EXPECT_EQ(ask(**running, "select string_agg(i::text, ',' order by i) from t"), rows);
        // Whichever was followed, the new one has a number that none of them had.
        EXPECT_EQ(ask(**running, kTimeline), "00000004");
    };
    expect_rows(3, "1,2,3");
    expect_rows(2, "1,2");
    expect_rows(1, "1");
}

}  // namespace
}  // namespace holdfast
