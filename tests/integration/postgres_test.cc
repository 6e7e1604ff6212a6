// Base backup and restore against a real PostgreSQL 15.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <set>

#include "crypto/crypto.h"
#include "formats/pg_lsn.h"
#include "os/clock.h"
#include "os/executor.h"
#include "os/random.h"
#include "postgres_cluster.h"
#include "sources/postgres/amcheck.h"
#include "sources/postgres/base_backup_protocol.h"
#include "sources/postgres/cluster.h"
#include "sources/postgres/file_backup.h"
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
        TRY(source.committed(*repository));
        stored = ingest->statistics().bytes_new;
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
    std::uint64_t stored = 0;  // raw bytes that the last capture added
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

std::string text_of(std::vector<Finding> const& findings) {
    std::string text;
    for (auto const& finding : findings)
        text += finding.object + ": " + std::to_string(static_cast<int>(finding.verdict)) + " " + finding.detail + "\n";
    return text;
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
    EXPECT_EQ(attributes.at("read"), "files");
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
    EXPECT_EQ(capture->point.attributes.at("read"), "connection");
    cluster().sql("drop role clerk");
}

// What of a point's tree is the same in two backups between which nothing happened: names, modes and owners, and the
// contents of what the running server does not write to all the time.
std::map<std::string, std::string> fingerprint(World& world) {
    std::map<std::string, std::string> all;
    auto fetch = world.repository->begin_fetch({}, {}).value();
    auto visit = [&](std::string const& path, Entry const& entry) -> Result<bool> {
        if (path.starts_with("pg_wal/")) return true;  // segments by other names, and which are archived
        auto text = fmt::format("{} {:o} {}:{} {}:{} {}", static_cast<int>(entry.type), entry.mode, entry.uid, entry.gid,
                                entry.user, entry.group, entry.target);
        bool moves = path == "backup_label" || path == "backup_manifest" || path == "global/pg_control";
        if (entry.type == EntryType::file && !moves) {
            auto bytes = TRY(fetch->content(entry.content, 1 << 30, {}));
            text += " " + to_hex(sha256(bytes));
            if (path.starts_with("base/")) text += fmt::format(" {}", entry.mtime_seconds);
        }
        all[path] = text;
        return true;
    };
    EXPECT_TRUE(TreeReader(*fetch, world.info.point.tree).walk("", visit, {}, {}));
    return all;
}

// Two ways to one backup: the files as they are read here, and as the server sends them.
TEST(PostgresFiles, ReadHereAreThoseThatTheServerSends) {
    PostgresCluster cluster({.settings = {"autovacuum=off", "track_counts=off"}});
    auto tablespace = cluster.scratch().make("space");
    cluster.sql("create tablespace space location '" + tablespace + "'");
    cluster.sql("create table spaced tablespace space as select i, repeat('x', 100) from generate_series(1, 20000) i");
    cluster.sql("create unlogged table forgotten as select i from generate_series(1, 1000) i");
    cluster.sql("create unlogged table forgotten_there(i int primary key) tablespace space");
    cluster.sql("create role replicant login replication");
    cluster.sql("vacuum freeze");
    auto session = cluster.connect();  // has relations of its own
    ASSERT_TRUE(session.query("create temporary table mine as select i from generate_series(1, 1000) i", {}));
    std::ofstream(cluster.data() + "/base/5/pgsql_tmp4711.0") << "left behind";
    std::ofstream(cluster.data() + "/note") << "somebody's";
    std::filesystem::create_symlink("/etc/passwd", cluster.data() + "/base/link");
    ScratchDirectory::give_to_postgres(cluster.data() + "/note");
    cluster.sql("checkpoint");

    World sent, read;
    auto first = sent.capture(cluster.conninfo("replicant"));
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_EQ(first->point.attributes.at("read"), "connection");
    auto second = read.capture(cluster.conninfo());
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_EQ(second->point.attributes.at("read"), "files");
    EXPECT_TRUE(second->findings.empty()) << text_of(second->findings);
    auto expected = fingerprint(sent), got = fingerprint(read);
    EXPECT_GT(expected.size(), 900u);
    EXPECT_TRUE(got.contains("note"));
    EXPECT_FALSE(got.contains("base/link"));
    for (auto const& [path, text] : expected) EXPECT_EQ(got[path], text) << path;
    for (auto const& [path, text] : got) EXPECT_TRUE(expected.contains(path)) << path;
    // It is a role's right to begin a backup, and to see where the files are.
    cluster.sql("grant execute on function pg_backup_start, pg_backup_stop to replicant");
    cluster.sql("grant pg_read_all_settings to replicant");
    auto third = read.capture(cluster.conninfo("replicant"));
    ASSERT_TRUE(third) << third.error().message;
    EXPECT_EQ(third->point.attributes.at("read"), "files");
    EXPECT_EQ(cluster.value("select count(*) from pg_replication_slots"), "0");
}

// A directory that is no more than a copy of the server's, as one of the same path beside the near end of a tunnel is.
TEST(PostgresFiles, OfACopyAreNotRead) {
    PostgresCluster cluster;
    auto copy = cluster.scratch() / "copy";
    std::filesystem::copy(cluster.data(), copy, std::filesystem::copy_options::recursive);
    for (auto path : {copy, copy + "/global/pg_control"}) ScratchDirectory::give_to_postgres(path);
    auto replication = postgres::Connection::connect(cluster.conninfo(), {.replication = true}, {});
    ASSERT_TRUE(replication) << replication.error().message;
    ASSERT_TRUE(replication->query(postgres::create_slot_command(150000, "ours"), {}));
    auto opens = [&](std::string const& directory, std::string const& slot, std::string const& user) {
        auto opened = postgres::FileBackup::open({cluster.conninfo(user), directory, slot, 1, 16 << 20}, *replication, {});
        EXPECT_TRUE(opened) << opened.error().message;
        return opened && opened->has_value();
    };
    EXPECT_TRUE(opens(cluster.data(), "ours", "postgres"));
    EXPECT_FALSE(opens(copy, "ours", "postgres"));
    EXPECT_FALSE(opens("", "ours", "postgres"));
    EXPECT_FALSE(opens(cluster.data(), "theirs", "postgres"));
    EXPECT_FALSE(opens(cluster.data(), "ours", "nobody_of_that_name"));
    // The session is another server's.
    PostgresCluster other;
    auto opened = postgres::FileBackup::open({other.conninfo(), cluster.data(), "ours", 1, 16 << 20}, *replication, {});
    ASSERT_TRUE(opened);
    EXPECT_FALSE(opened->has_value());
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

// Commits rows one by one, and remembers for each a log position that its commit does not exceed.
class Writer {
  public:
    explicit Writer(PostgresCluster const& cluster) : connection_(cluster.connect()), thread_([this](std::stop_token stop) {
        for (int id = 1; !stop.stop_requested(); ++id) {
            auto text = std::to_string(id);
            EXPECT_TRUE(connection_.query("insert into written values (" + text + ")", {}));
            auto position = connection_.query_value("select pg_current_wal_insert_lsn()", {});
            committed_.emplace_back(id, parse_lsn(position.value()).value());
        }
    }) {}
    std::vector<std::pair<int, Lsn>> stop() {
        thread_.request_stop();
        thread_.join();
        return committed_;
    }

  private:
    postgres::Connection connection_;
    std::vector<std::pair<int, Lsn>> committed_;
    std::jthread thread_;
};

// Manifest, pages, pg_verifybackup, and the map of tablespaces when they were moved.
void expect_proven(std::string const& target, std::size_t count) {
    auto findings = PostgresSource("").validate(target, {});
    ASSERT_TRUE(findings) << findings.error().message;
    for (auto const& finding : *findings)
        EXPECT_EQ(finding.verdict, Finding::Verdict::verified) << finding.object << ": " << finding.detail;
    EXPECT_EQ(findings->size(), count) << text_of(*findings);
}

std::string ask(postgres::IsolatedCluster const& cluster, std::string const& sql) {
    auto rows = cluster.query(sql, {}, {});
    EXPECT_TRUE(rows) << sql << ": " << rows.error().message;
    return rows ? rows->rows.at(0).at(0).value_or("NULL") : "";
}

// Of what the last capture added, all but the log that came with it.
std::uint64_t stored_beside_log(World& world) {
    std::uint64_t log = 0;
    auto fetch = world.repository->begin_fetch({}, {}).value();
    auto visit = [&](std::string const&, Entry const& entry) -> Result<bool> {
        if (entry.type == EntryType::file) log += entry.content.size;
        return true;
    };
    EXPECT_TRUE(TreeReader(*fetch, world.info.point.tree).walk("pg_wal", visit, {}, {}));
    return world.stored > log ? world.stored - log : 0;
}

TEST(PostgresRestore, StoresPagesThatDifferAndBringsBackAll) {
    PostgresCluster cluster;
    cluster.sql("create table scattered as select i, repeat(md5(i::text), 6) b from generate_series(1, 60000) i");
    cluster.sql("create table still as select i, repeat(md5(i::text), 6) b from generate_series(1, 20000) i");
    cluster.sql("vacuum freeze");
    cluster.sql("checkpoint");
    std::this_thread::sleep_for(std::chrono::milliseconds(2100));  // what changed just now may change again unseen
    World world;
    ASSERT_TRUE(world.capture(cluster.conninfo()));
    EXPECT_EQ(world.info.point.attributes.at("unread"), "0");
    auto sum = [](std::string const& table) {
        return "select md5(string_agg(t::text, ',' order by i)) from " + table + " t";
    };
    std::vector<std::string> expected{cluster.value(sum("scattered")), cluster.value(sum("still"))};
    std::vector<PointInfo> points{world.info};

    // A page in each 128 KiB, and more.
    cluster.sql("update scattered set b = upper(b) where i % 400 = 0");
    ASSERT_TRUE(world.capture(cluster.conninfo()));
    EXPECT_LT(stored_beside_log(world), 4'000'000u);  // both tables are of 20 MB
    expected.push_back(cluster.value(sum("scattered")));
    points.push_back(world.info);

    // While everything moves.
    cluster.sql("delete from scattered where i % 3 = 0");
    cluster.sql("vacuum full scattered");
    auto pgbench = ChildProcess::start({.argv = {testing::postgres_program("pgbench"), "-h", cluster.scratch().path(), "-U",
                                                 "postgres", "-i", "-s", "2", "-q", "postgres"},
                                        .user = testing::postgres_user()});
    ASSERT_TRUE(pgbench);
    ASSERT_TRUE(world.capture(cluster.conninfo()));
    // What two backups read as one file: `still`, and most of the catalogs.
    EXPECT_GT(std::stoull(world.info.point.attributes.at("unread")), 4'000'000u);
    expected.push_back(cluster.value(sum("scattered")));
    points.push_back(world.info);
    (*pgbench)->terminate(SIGINT, std::chrono::seconds(10));

    for (std::size_t number = 0; number < points.size(); ++number) {
        ScratchDirectory place;
        auto target = place / "restored";
        world.info = points[number];
        auto restored = world.restore(target);
        ASSERT_TRUE(restored) << restored.error().message;
        expect_proven(target, 3);
        if (HasFailure()) return;  // what is not whole may never answer
        auto isolated = postgres::IsolatedCluster::start({.data = target}, {});
        ASSERT_TRUE(isolated) << isolated.error().message;
        EXPECT_EQ(ask(**isolated, sum("scattered")), expected[number == 0 ? 0 : number + 1]);
        EXPECT_EQ(ask(**isolated, sum("still")), expected[1]);
        EXPECT_TRUE((*isolated)->stop());
    }
}

TEST(PostgresRestore, BringsBackEverythingCommittedBeforeTheStop) {
    PostgresCluster cluster;
    auto tablespace = cluster.scratch().make("space");
    cluster.sql("create role accountant login password 'geheim' connection limit 3");
    cluster.sql("create database shop owner accountant");
    cluster.sql("create tablespace space location '" + tablespace + "'");
    cluster.sql("create table spaced tablespace space as select i, md5(i::text) from generate_series(1, 50000) i", "shop");
    cluster.sql("create unlogged table forgotten as select 1 as one");
    cluster.sql("create table empty()");
    cluster.sql("create table written(id int primary key)");
    cluster.sql("alter system set work_mem = '7MB'");
    cluster.sql("alter role accountant set search_path = 'books'");
    cluster.sql("select pg_logical_emit_message(true, 'x', 'y')");
    PostgresCluster::must({testing::postgres_program("pgbench"), "-h", cluster.scratch().path(), "-U", "postgres", "-i", "-s", "3",
                           "-q", "postgres"});
    auto oid = cluster.value("select oid from pg_tablespace where spcname = 'space'");
    auto sum = "select md5(string_agg(t::text, ',' order by i)) from spaced t";
    auto spaced = cluster.value(sum, "shop");

    Writer writer(cluster);
    auto pgbench = ChildProcess::start({.argv = {testing::postgres_program("pgbench"), "-h", cluster.scratch().path(), "-U",
                                                 "postgres", "-n", "-c", "4", "-T", "300", "postgres"},
                                        .user = testing::postgres_user()});
    ASSERT_TRUE(pgbench);
    World world;
    world.progress = [](Progress const&) { std::this_thread::sleep_for(std::chrono::milliseconds(1)); };
    auto capture = world.capture(cluster.conninfo());
    (*pgbench)->terminate(SIGINT, std::chrono::seconds(10));
    auto committed = writer.stop();
    ASSERT_TRUE(capture) << capture.error().message;
    EXPECT_EQ(capture->problem_count, 0u) << capture->problems.at(0).path << " " << capture->problems.at(0).message;
    EXPECT_TRUE(capture->findings.empty()) << text_of(capture->findings);
    auto stop_lsn = parse_lsn(capture->point.attributes.at("lsn")).value();

    // Its original place is taken: by the cluster that lives there.
    ScratchDirectory place;
    auto target = place / "restored";
    world.progress = {};
    auto refused = world.restore(target);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unsafe) << refused.error().message;
    EXPECT_FALSE(std::filesystem::exists(target));

    auto restored = world.restore(target, {{oid, place / "space"}});
    ASSERT_TRUE(restored) << restored.error().message << restored.error().hint;
    EXPECT_EQ(restored->problem_count, 0u) << restored->problems.at(0).path << restored->problems.at(0).message;
    EXPECT_TRUE(restored->damaged.empty());
    EXPECT_FALSE(std::filesystem::exists(target + "/.holdfast-restore"));
    EXPECT_FALSE(std::filesystem::exists(place / "space/.holdfast-restore"));
    expect_proven(target, 4);

    auto isolated = postgres::IsolatedCluster::start({.data = target}, {});
    ASSERT_TRUE(isolated) << isolated.error().message;
    auto const& back = **isolated;
    // Each row committed before the backup's stop is there, and none that was never written.
    auto rows = back.query("select id from written", {}, {});
    ASSERT_TRUE(rows);
    std::set<int> ids;
    for (auto const& row : rows->rows) ids.insert(std::stoi(*row[0]));
    std::size_t before_stop = 0;
    for (auto [id, lsn] : committed) {
        if (lsn > stop_lsn) continue;
        ++before_stop;
        EXPECT_TRUE(ids.contains(id)) << "row " << id << " at " << to_text(lsn) << ", stop " << to_text(stop_lsn);
    }
    EXPECT_GT(before_stop, 10u);
    EXPECT_LT(before_stop, committed.size());
    EXPECT_LE(*ids.rbegin(), committed.back().first + 1);
    // pgbench's invariant holds at one moment only if everything is of one moment.
    auto delta = ask(back, "select coalesce(sum(delta), 0) from pgbench_history");
    EXPECT_EQ(ask(back, "select sum(abalance) from pgbench_accounts"), delta);
    EXPECT_EQ(ask(back, "select sum(tbalance) from pgbench_tellers"), delta);
    EXPECT_EQ(ask(back, "select sum(bbalance) from pgbench_branches"), delta);
    EXPECT_NE(ask(back, "select count(*) from pgbench_history"), "0");

    EXPECT_EQ(ask(back, "select count(*) from forgotten"), "0");  // unlogged: reset by PostgreSQL
    EXPECT_EQ(ask(back, "select rolconnlimit from pg_roles where rolname = 'accountant'"), "3");
    EXPECT_EQ(ask(back, "select rolpassword like 'SCRAM%' from pg_authid where rolname = 'accountant'"), "t");
    EXPECT_EQ(ask(back, "select setconfig::text from pg_db_role_setting"), "{search_path=books}");
    EXPECT_EQ(ask(back, "select pg_get_userbyid(datdba) from pg_database where datname = 'shop'"), "accountant");
    EXPECT_EQ(ask(back, "show work_mem"), "7MB");
    EXPECT_EQ(ask(back, "select pg_tablespace_location(" + oid + ")"), place / "space");
    auto compared = back.query(sum, {.database = "shop"}, {});
    ASSERT_TRUE(compared) << compared.error().message;
    EXPECT_EQ(compared->rows.at(0).at(0), spaced);
    auto checked = postgres::run_amcheck(back, {.install_missing = true}, {});
    ASSERT_TRUE(checked) << checked.error().message;
    for (auto const& finding : *checked)
        EXPECT_EQ(finding.verdict, Finding::Verdict::verified) << finding.object << ": " << finding.detail;
    EXPECT_EQ(checked->size(), 2u);
    // Ready to be backed up again at once.
    EXPECT_EQ(ask(back, "select pg_is_in_recovery()"), "f");
}

// Relations, databases and tablespaces' contents that come, go and shrink before, while and behind the moment at which they are read.
TEST(PostgresRestore, BringsBackWhatCameAndWentMeanwhile) {
    PostgresCluster cluster({.settings = {"autovacuum=off", "wal_level=replica"}});
    auto tablespace = cluster.scratch().make("space");
    cluster.sql("create tablespace space location '" + tablespace + "'");
    for (auto database : {"early", "late", "template"}) cluster.sql(fmt::format("create database {}", database));
    cluster.sql("create table t as select i, repeat('t', 200) from generate_series(1, 5000) i", "template");
    auto prepare = [&](std::string const& name) {
        for (auto kind : {"cut", "gone", "full", "moved", "emptied"})
            cluster.sql(fmt::format("create table {}_{} as select i, repeat('x', 200) b from generate_series(1, 5000) i", kind, name));
        cluster.sql("create sequence numbers_" + name);
        cluster.sql("select nextval('numbers_" + name + "') from generate_series(1, 5)");
    };
    auto change = [&](std::string const& name, std::string const& strategy) {
        cluster.sql("delete from cut_" + name + " where i > 100");
        cluster.sql("vacuum cut_" + name);  // cuts the file
        cluster.sql("drop table gone_" + name);
        cluster.sql("update full_" + name + " set b = 'changed' where i % 2 = 0");
        cluster.sql("vacuum full full_" + name);
        cluster.sql("alter table moved_" + name + " set tablespace space");
        cluster.sql("truncate emptied_" + name);
        cluster.sql("insert into emptied_" + name + " values (7, 'seven')");
        cluster.sql("select nextval('numbers_" + name + "') from generate_series(1, 3)");
        cluster.sql("create table new_" + name + " as select i from generate_series(1, 30000) i");
        cluster.sql("create index on new_" + name + "(i)");
        cluster.sql("create database copy_" + name + " template template strategy " + strategy);
        cluster.sql("drop database " + name);
    };
    prepare("early");
    prepare("late");
    World world;
    int changed = 0;
    world.progress = [&](Progress const& progress) {
        if (progress.files == 40 && changed++ == 0) change("early", "file_copy");
        if (progress.files == 1000 && changed++ == 1) change("late", "wal_log");
    };
    auto capture = world.capture(cluster.conninfo());
    ASSERT_TRUE(capture) << capture.error().message;
    EXPECT_EQ(changed, 2);
    EXPECT_EQ(capture->point.attributes.at("read"), "files");
    EXPECT_EQ(capture->problem_count, 0u) << capture->problems.at(0).path << " " << capture->problems.at(0).message;
    world.progress = {};

    ScratchDirectory place;
    auto target = place / "restored";
    auto restored = world.restore(target, {{tablespace, place / "space"}});
    ASSERT_TRUE(restored) << restored.error().message;
    expect_proven(target, 4);
    auto isolated = postgres::IsolatedCluster::start({.data = target}, {});
    ASSERT_TRUE(isolated) << isolated.error().message;
    auto const& back = **isolated;
    for (std::string name : {"early", "late"}) {
        EXPECT_EQ(ask(back, "select count(*) from cut_" + name), "100");
        EXPECT_EQ(ask(back, "select count(*) from pg_class where relname = 'gone_" + name + "'"), "0");
        EXPECT_EQ(ask(back, "select count(*) from full_" + name + " where b = 'changed'"), "2500");
        EXPECT_EQ(ask(back, "select count(*) from moved_" + name + " where length(b) = 200"), "5000");
        EXPECT_EQ(ask(back, "select b from emptied_" + name), "seven");
        EXPECT_EQ(ask(back, "select sum(i) from new_" + name), "450015000");
        EXPECT_EQ(ask(back, "select last_value >= 8 from numbers_" + name), "t");
        EXPECT_EQ(ask(back, "select count(*) from pg_database where datname = '" + name + "'"), "0");
        auto rows = back.query("select count(*) from t where length(repeat) = 200", {.database = "copy_" + name}, {});
        ASSERT_TRUE(rows) << rows.error().message;
        EXPECT_EQ(rows->rows.at(0).at(0), "5000");
    }
    auto checked = postgres::run_amcheck(back, {.install_missing = true}, {});
    ASSERT_TRUE(checked) << checked.error().message;
    for (auto const& finding : *checked)
        EXPECT_EQ(finding.verdict, Finding::Verdict::verified) << finding.object << ": " << finding.detail;
}

// One small cluster with a tablespace, backed up once.
class PostgresRestoreRules : public ::testing::Test {
  public:
    static void SetUpTestSuite() {
        source_ = std::make_unique<PostgresCluster>();
        auto tablespace = source_->scratch().make("space");
        source_->sql("create tablespace space location '" + tablespace + "'");
        source_->sql("create table t tablespace space as select i from generate_series(1, 100) i");
        world_ = std::make_unique<World>();
        auto capture = world_->capture(source_->conninfo());
        ASSERT_TRUE(capture) << capture.error().message;
        source_->stop(SIGINT);
        std::filesystem::rename(tablespace, tablespace + "-lost");
    }
    static void TearDownTestSuite() {
        world_.reset();
        source_.reset();
    }
    void SetUp() override {
        world().progress = {};
        world().stop = {};
    }
    World& world() { return *world_; }
    PostgresCluster& source() { return *source_; }
    ScratchDirectory place;
    std::string target = place / "restored";
    std::map<std::string, std::string> moved() { return {{source().scratch() / "space", place / "space"}}; }

  private:
    inline static std::unique_ptr<PostgresCluster> source_;
    inline static std::unique_ptr<World> world_;
};

void expect_refused(Result<RestoreResult> const& result, ErrorKind kind, std::string_view message) {
    ASSERT_FALSE(result);
    EXPECT_EQ(name(result.error().kind), name(kind)) << result.error().message;
    EXPECT_NE(result.error().message.find(message), std::string::npos) << result.error().message;
}

TEST_F(PostgresRestoreRules, TablespacesGoHomeWhenTheirPlaceIsFree) {
    auto restored = world().restore(target);
    ASSERT_TRUE(restored) << restored.error().message;
    expect_proven(target, 3);
    auto cluster = postgres::IsolatedCluster::start({.data = target}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    EXPECT_EQ(ask(**cluster, "select count(*) from t"), "100");
    std::filesystem::remove_all(source().scratch() / "space");
}

TEST_F(PostgresRestoreRules, PlacesThatAreTakenAreRefusedAndLeftAlone) {
    auto file = place / "file";
    std::ofstream(file) << "mine";
    expect_refused(world().restore(file, moved()), ErrorKind::unsafe, "not empty");
    std::filesystem::create_directory(target);
    std::ofstream(target + "/precious") << "mine";
    expect_refused(world().restore(target, moved()), ErrorKind::unsafe, "not empty");
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(target), {}), 1);
    std::filesystem::remove(target + "/precious");
    std::filesystem::create_directories(place / "space/PG_15_202209061");
    expect_refused(world().restore(target, moved()), ErrorKind::unsafe, "tablespace");
    EXPECT_TRUE(std::filesystem::is_empty(target));
    EXPECT_TRUE(std::filesystem::is_empty(place / "space/PG_15_202209061"));
}

TEST_F(PostgresRestoreRules, MappingsAreChecked) {
    expect_refused(world().restore(target, {{"99", "/x"}}), ErrorKind::usage, "no tablespace '99'");
    auto to = [&](std::string const& where) { return world().restore(target, {{source().scratch() / "space", where}}); };
    expect_refused(to("relative"), ErrorKind::usage, "absolute");
    expect_refused(to(target + "/inside"), ErrorKind::usage, "in each other");
    expect_refused(to(place.path()), ErrorKind::usage, "in each other");
    EXPECT_FALSE(std::filesystem::exists(target));
}

TEST_F(PostgresRestoreRules, ARunningServerIsRefused) {
    ASSERT_TRUE(world().restore(target, moved()));
    auto cluster = postgres::IsolatedCluster::start({.data = target}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    expect_refused(world().restore(target, moved()), ErrorKind::unsafe, "server runs");
    EXPECT_EQ(ask(**cluster, "select count(*) from t"), "100");
}

TEST_F(PostgresRestoreRules, AnInterruptedOneCannotStartAndGoesOn) {
    std::uint64_t seen = 0;
    world().progress = [&](Progress const& progress) {
        if ((seen = progress.files) > 200) world().stop.request_stop();
    };
    expect_refused(world().restore(target, moved()), ErrorKind::cancelled, "");
    ASSERT_TRUE(std::filesystem::exists(target + "/.holdfast-restore"));
    EXPECT_FALSE(std::filesystem::exists(target + "/global/pg_control"));
    auto half = postgres::IsolatedCluster::start({.data = target}, {});
    ASSERT_FALSE(half);
    // Another point must not be mixed in.
    auto point = world().info.point;
    world().info.point.attributes["lsn"] = "0/1";
    world().stop = {};
    world().progress = {};
    expect_refused(world().restore(target, moved()), ErrorKind::unsafe, "another point");
    world().info.point = point;
    auto restored = world().restore(target, moved());
    ASSERT_TRUE(restored) << restored.error().message;
    expect_proven(target, 4);
    // Finished: nothing goes over it any more.
    expect_refused(world().restore(target, moved()), ErrorKind::unsafe, "not empty");
}

TEST_F(PostgresRestoreRules, AFullDiskIsSaidAndCanBeRepeated) {
    auto small = place.make("small");
    if (::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=20m") != 0) GTEST_SKIP() << "no right to mount";
    auto full = world().restore(small + "/restored", moved());
    EXPECT_FALSE(std::filesystem::exists(small + "/restored/global/pg_control"));
    expect_refused(full, ErrorKind::no_space, "");
    EXPECT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", MS_REMOUNT, "size=200m"), 0);
    auto restored = world().restore(small + "/restored", moved());
    EXPECT_TRUE(restored) << restored.error().message;
    EXPECT_EQ(::umount(small.c_str()), 0);
}

TEST_F(PostgresRestoreRules, ADryRunTouchesNothing) {
    auto planned = world().restore(target, moved(), {.dry_run = true});
    ASSERT_TRUE(planned) << planned.error().message;
    EXPECT_GT(planned->files, 500u);
    EXPECT_FALSE(std::filesystem::exists(target));
    EXPECT_FALSE(std::filesystem::exists(place / "space"));
}

TEST_F(PostgresRestoreRules, OwnersAndModes) {
    ASSERT_TRUE(world().restore(target + "/", moved()));
    for (auto path : {target, target + "/PG_VERSION", target + "/tablespace_map", place / "space"}) {
        struct stat status;
        ASSERT_EQ(::stat(path.c_str(), &status), 0) << path;
        auto owner = testing::postgres_user() ? testing::postgres_user()->uid : ::geteuid();
        EXPECT_EQ(status.st_uid, owner) << path;
        EXPECT_EQ(status.st_mode & 0777, S_ISDIR(status.st_mode) ? 0700u : 0600u) << path;
    }
}

}  // namespace
}  // namespace holdfast
