// Base backup and restore against a real PostgreSQL 15.
#include <gtest/gtest.h>

#include "formats/pg_lsn.h"
#include "os/clock.h"
#include "os/executor.h"
#include "os/random.h"
#include "postgres_cluster.h"
#include "sources/postgres/cluster.h"
#include "sources/postgres/postgres_source.h"
#include "store/memory_store.h"

namespace holdfast {
namespace {

using testing::PostgresCluster;
using testing::ScratchDirectory;

// A real repository in memory, and what this test does with it.
struct World {
    MemoryStore store;
    ScratchDirectory directory;
    std::unique_ptr<Executor> executor = make_thread_executor(2);
    std::unique_ptr<Repository> repository;
    ProgressCallback progress;
    std::stop_source stop;

    World() {
        RepositoryWorld world{system_clock(), system_random(), *executor, directory.path() / "state",
                              directory.path() / "cache"};
        auto keys = create_repository(store, world, as_bytes("correct horse"), {});
        EXPECT_TRUE(keys) << keys.error().message;
        auto opened = open_repository(store, std::move(*keys), world, {}, {});
        EXPECT_TRUE(opened) << opened.error().message;
        repository = std::move(*opened);
    }

    // Does something when so many files have come.
    void at_file(std::uint64_t number, std::function<void()> action) {
        progress = [number, action](Progress const& progress) {
            if (progress.files == number) action();
        };
    }
    // Captures and, when that went well, publishes.
    Result<Capture> capture(std::string const& conninfo, std::vector<std::string> forbidden = {}) {
        auto ingest = TRY(repository->begin_ingest({}, stop.get_token()));
        CaptureContext context{*repository, *ingest, "database", std::move(forbidden), progress, stop.get_token()};
        PostgresSource source(conninfo);
        auto capture = TRY(source.capture(context));
        info = TRY(repository->publish(*ingest, capture.point, stop.get_token()));
        return capture;
    }
    std::size_t points() {
        auto list = repository->points({});
        EXPECT_TRUE(list) << list.error().message;
        return list->points.size();
    }
    Result<RestoreResult> restore(std::filesystem::path const& target, std::map<std::string, std::string> tablespaces = {},
                                  RestoreOptions options = {}) {
        auto fetch = TRY(repository->begin_fetch({}, {}));
        return PostgresSource("").restore({*fetch, info.point, "", target, options, std::move(tablespaces), progress, stop.get_token()});
    }
    Result<Entry> find(std::string const& path) {
        auto fetch = TRY(repository->begin_fetch({}, {}));
        return TreeReader(*fetch, info.point.tree).find(path, {});
    }
    PointInfo info;
};

// One server for the tests that leave it as it was.
class PostgresCapture : public ::testing::Test {
  public:
    static void SetUpTestSuite() {
        cluster_ = std::make_unique<PostgresCluster>(PostgresCluster::Options{
            .settings = {"max_wal_senders=1", "max_replication_slots=1"}});
    }
    static void TearDownTestSuite() { cluster_.reset(); }
    PostgresCluster& cluster() { return *cluster_; }

  private:
    inline static std::unique_ptr<PostgresCluster> cluster_;
};

void expect_error(Result<Capture> const& capture, ErrorKind kind, std::string_view message, std::string_view hint) {
    ASSERT_FALSE(capture);
    EXPECT_EQ(name(capture.error().kind), name(kind)) << capture.error().message;
    EXPECT_NE(capture.error().message.find(message), std::string::npos) << capture.error().message;
    EXPECT_NE(capture.error().hint.find(hint), std::string::npos) << capture.error().hint;
}

TEST_F(PostgresCapture, TakesABaseBackup) {
    auto tablespace = cluster().scratch().make("space");
    cluster().sql("create tablespace space location '" + tablespace + "'");
    cluster().sql("create table t tablespace space as select i, repeat('x', 100) from generate_series(1, 20000) i");
    World world;
    auto capture = world.capture(cluster().conninfo());
    ASSERT_TRUE(capture) << capture.error().message;
    EXPECT_EQ(capture->problem_count, 0u) << capture->problems.at(0).message;
    for (auto const& finding : capture->findings) ADD_FAILURE() << finding.object << ": " << finding.detail;
    auto const& attributes = capture->point.attributes;
    EXPECT_EQ(attributes.at("checksums"), "on");
    EXPECT_EQ(attributes.at("timeline"), "1");
    EXPECT_EQ(attributes.at("server_version").substr(0, 3), "15.");
    EXPECT_EQ(attributes.at("wal_segment_bytes"), "16777216");
    EXPECT_EQ(attributes.at("system_identifier"), cluster().value("select system_identifier from pg_control_system()"));
    EXPECT_LT(parse_lsn(attributes.at("lsn_start")).value(), parse_lsn(attributes.at("lsn")).value());
    EXPECT_EQ(capture->point.root, cluster().data());
    EXPECT_LE(capture->point.started, capture->point.time);
    auto oid = cluster().value("select oid from pg_tablespace where spcname = 'space'");
    EXPECT_EQ(attributes.at("tablespace." + oid), tablespace);
    for (auto path : {"backup_label", "tablespace_map", "backup_manifest", "global/pg_control", "PG_VERSION"})
        EXPECT_TRUE(world.find(path)) << path;
    EXPECT_TRUE(world.find("pg_tblspc/" + oid));
    // The slot was temporary.
    EXPECT_EQ(cluster().value("select count(*) from pg_replication_slots"), "0");
    cluster().sql("drop table t");
    cluster().sql("drop tablespace space");
}

TEST_F(PostgresCapture, WithoutTheRightToReplicateItSaysWhatToGrant) {
    cluster().sql("create role clerk login");
    World world;
    expect_error(world.capture(cluster().conninfo("clerk")), ErrorKind::unreachable, "replication",
                 "ALTER ROLE clerk REPLICATION");
    // With it, the role can back up although it may not see where the cluster lies.
    cluster().sql("alter role clerk replication");
    auto capture = world.capture(cluster().conninfo("clerk"));
    ASSERT_TRUE(capture) << capture.error().message;
    EXPECT_EQ(capture->point.root, "/");
    cluster().sql("drop role clerk");
}

TEST_F(PostgresCapture, AMissingHbaLineIsNamed) {
    auto hba = cluster().data() + "/pg_hba.conf";
    std::ifstream before(hba);
    std::string kept{std::istreambuf_iterator<char>(before), {}};
    std::ofstream(hba) << "local all all trust\n";
    cluster().sql("select pg_reload_conf()");
    World world;
    Result<Capture> capture;
    for (int i = 0; i < 100; ++i) {  // a reload takes a moment
        capture = world.capture(cluster().conninfo());
        if (!capture) break;
    }
    expect_error(capture, ErrorKind::unreachable, "pg_hba.conf", "local replication postgres peer");
    std::ofstream(hba) << kept;
    cluster().sql("select pg_reload_conf()");
    for (int i = 0; i < 100 && !world.capture(cluster().conninfo()); ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

TEST_F(PostgresCapture, WhenAllWalSendersAreTakenItSaysSo) {
    auto other = postgres::Connection::connect(cluster().conninfo(), {.replication = true}, {});
    ASSERT_TRUE(other) << other.error().message;
    World world;
    expect_error(world.capture(cluster().conninfo()), ErrorKind::unreachable, "max_wal_senders", "max_wal_senders");
}

TEST_F(PostgresCapture, WhenAllSlotsAreTakenItSaysSo) {
    cluster().sql("select pg_create_physical_replication_slot('theirs')");
    World world;
    expect_error(world.capture(cluster().conninfo()), ErrorKind::unreachable, "slots", "max_replication_slots");
    cluster().sql("select pg_drop_replication_slot('theirs')");
}

TEST_F(PostgresCapture, NotRunningAndUnknownPlaces) {
    World world;
    expect_error(world.capture("host=/nonexistent user=postgres"), ErrorKind::unreachable, "/nonexistent:5432",
                 "check that the server runs");
    expect_error(world.capture("host=127.0.0.1 port=1 user=postgres"), ErrorKind::unreachable, "refused",
                 "check that the server runs");
    expect_error(world.capture(cluster().conninfo("nobody_of_that_name")), ErrorKind::unreachable, "nobody_of_that_name",
                 "");
}

TEST_F(PostgresCapture, PasswordsAreRefusedAndNeverRepeated) {
    World world;
    for (std::string conninfo : {"host=db1 password=geheim", "postgresql://me:geheim@db1/x", "host=db1 geheim",
                                 "sslpassword=geheim host=db1", "host=db1 password='geheim"}) {
        auto capture = world.capture(conninfo);
        ASSERT_FALSE(capture);
        EXPECT_EQ(capture.error().kind, ErrorKind::usage);
        EXPECT_EQ((capture.error().message + capture.error().hint).find("geheim"), std::string::npos);
    }
}

TEST_F(PostgresCapture, AnotherSystemBehindTheNameIsRefused) {
    World world;
    ASSERT_TRUE(world.capture(cluster().conninfo()));
    ASSERT_TRUE(world.capture(cluster().conninfo()));
    EXPECT_EQ(world.points(), 2u);
    PostgresCluster other;
    expect_error(world.capture(other.conninfo()), ErrorKind::unsafe, "another system behind the name", "another dataset");
    EXPECT_EQ(world.points(), 2u);
}

TEST_F(PostgresCapture, ARepositoryInsideTheClusterIsRefused) {
    World world;
    expect_error(world.capture(cluster().conninfo(), {cluster().data() + "/backups"}), ErrorKind::unsafe, "lies inside", "");
    auto tablespace = cluster().scratch().make("space");
    cluster().sql("create tablespace space location '" + tablespace + "'");
    expect_error(world.capture(cluster().conninfo(), {tablespace + "/backups"}), ErrorKind::unsafe, "lies inside", "");
    EXPECT_EQ(world.points(), 0u);
    cluster().sql("drop tablespace space");
    EXPECT_TRUE(world.capture(cluster().conninfo(), {cluster().data() + "-elsewhere"}));
}

TEST_F(PostgresCapture, StopsWithinASecond) {
    World world;
    std::chrono::steady_clock::time_point stopped;
    world.at_file(50, [&] {
        stopped = std::chrono::steady_clock::now();
        world.stop.request_stop();
    });
    auto capture = world.capture(cluster().conninfo());
    auto took = std::chrono::steady_clock::now() - stopped;
    ASSERT_FALSE(capture);
    EXPECT_EQ(capture.error().kind, ErrorKind::cancelled) << capture.error().message;
    EXPECT_LT(took, std::chrono::seconds(1));
    // The server is done with it, too.
    for (int i = 0; i < 100 && cluster().value("select count(*) from pg_stat_replication") != "0"; ++i)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(cluster().value("select count(*) from pg_stat_replication"), "0");
}

// The server is stopped by a signal, so that it says nothing at all any more.
TEST_F(PostgresCapture, StopsWithinASecondWhenTheServerIsSilent) {
    World world;
    auto server = std::stoi(cluster().value("select pid from pg_stat_activity where backend_type = 'checkpointer'"));
    ::kill(server, SIGSTOP);  // BASE_BACKUP waits for a checkpoint
    std::jthread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
        world.stop.request_stop();
    });
    auto begun = std::chrono::steady_clock::now();
    auto capture = world.capture(cluster().conninfo());
    auto took = std::chrono::steady_clock::now() - begun;
    ::kill(server, SIGCONT);
    ASSERT_FALSE(capture);
    EXPECT_EQ(capture.error().kind, ErrorKind::cancelled) << capture.error().message;
    EXPECT_LT(took, std::chrono::milliseconds(1500));
}

TEST(PostgresCaptureFaults, AServerThatDiesInTheMiddleIsAnError) {
    PostgresCluster cluster;
    World world;
    world.at_file(50, [&] { cluster.stop(SIGQUIT); });
    expect_error(world.capture(cluster.conninfo()), ErrorKind::unreachable, "connection lost", "");
    EXPECT_EQ(world.points(), 0u);
}

TEST(PostgresCaptureFaults, ABadPageIsNamedAndTheBackupGoesOn) {
    PostgresCluster cluster;
    cluster.sql("create table t as select i, repeat('x', 100) from generate_series(1, 20000) i");
    auto relation = cluster.value("select pg_relation_filepath('t')");
    cluster.sql("checkpoint");
    cluster.stop(SIGINT);
    {
        std::fstream file(cluster.data() + "/" + relation, std::ios::in | std::ios::out | std::ios::binary);
        for (int block : {7, 8, 9, 10, 11, 12, 13}) {  // the server itself names five of a file
            file.seekp(block * 8192 + 4000);
            file.put('!');
        }
        ASSERT_TRUE(file);
    }
    cluster.start();
    World world;
    auto capture = world.capture(cluster.conninfo());
    ASSERT_TRUE(capture) << capture.error().message;
    EXPECT_EQ(capture->problem_count, 7u);
    EXPECT_EQ(capture->point.unreadable, 7u);
    ASSERT_EQ(capture->problems.size(), 7u);
    EXPECT_EQ(capture->problems[0].path, relation);
    EXPECT_NE(capture->problems[0].message.find("block 7:"), std::string::npos) << capture->problems[0].message;
    std::vector<std::string> damaged;
    for (auto const& finding : capture->findings)
        if (finding.verdict == Finding::Verdict::damaged) damaged.push_back(finding.object);
    ASSERT_EQ(damaged.size(), 7u);
    EXPECT_EQ(damaged[6], "relation " + relation + " block 13");
}

TEST(PostgresCaptureFaults, WithoutChecksumsPagesAreNotVerified) {
    PostgresCluster cluster({.checksums = false});
    World world;
    auto capture = world.capture(cluster.conninfo());
    ASSERT_TRUE(capture) << capture.error().message;
    EXPECT_EQ(capture->point.attributes.at("checksums"), "off");
    ASSERT_EQ(capture->findings.size(), 1u);
    EXPECT_EQ(capture->findings[0].verdict, Finding::Verdict::not_verified);
}

}  // namespace
}  // namespace holdfast
