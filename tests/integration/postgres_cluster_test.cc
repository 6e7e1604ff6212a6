// Restored clusters: proof before the first start, isolation, amcheck. The data directories come from
// pg_basebackup, which is independent of our own backup and restore.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>

#include "postgres_cluster.h"
#include "sources/postgres/amcheck.h"
#include "sources/postgres/cluster.h"
#include "sources/postgres/validate.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;
using postgres::IsolatedCluster;
using testing::postgres_program;
using testing::postgres_user;
using testing::PostgresCluster;
using testing::ScratchDirectory;

// Stands where production would be, and notices who calls.
class FakePrimary {
  public:
    explicit FakePrimary(std::string const& directory) {
        socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        auto path = directory + "/.s.PGSQL.5432";
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(::listen(socket_, 10), 0);
        fs::permissions(path, fs::perms::all);
    }
    ~FakePrimary() { ::close(socket_); }
    bool was_called() {
        int connection = ::accept(socket_, nullptr, nullptr);
        if (connection >= 0) ::close(connection);
        return connection >= 0;
    }

  private:
    int socket_;
};

// One server whose base backup the tests copy.
class RestoredCluster : public ::testing::Test {
  public:
    static void SetUpTestSuite() {
        cluster_ = std::make_unique<PostgresCluster>(PostgresCluster::Options{.settings = {"wal_level=logical"}});
        cluster_->sql("create table t as select i, repeat('x', 100) as filler from generate_series(1, 20000) i");
        cluster_->sql("create index t_i on t(i)");
        cluster_->sql("create unlogged table u as select 1 as one");
        cluster_->sql("create database shop");
    }
    static void TearDownTestSuite() { cluster_.reset(); }
    static PostgresCluster& source() { return *cluster_; }

    // A fresh copy, as a restore would make it.
    std::string restored() {
        auto directory = scratch / ("restored" + std::to_string(copies_++));
        PostgresCluster::must({postgres_program("pg_basebackup"), "-h", source().scratch().path(), "-U", "postgres", "-D",
                               directory, "-c", "fast", "-X", "fetch", "--manifest-checksums=CRC32C", "--no-sync"});
        return directory;
    }
    ScratchDirectory scratch;

  private:
    inline static std::unique_ptr<PostgresCluster> cluster_;
    int copies_ = 0;
};

std::vector<Finding> validate(std::string const& directory) {
    auto findings = postgres::validate_data_directory(directory, {});
    EXPECT_TRUE(findings) << findings.error().message;
    return findings ? *findings : std::vector<Finding>{};
}

std::string text_of(std::vector<Finding> const& findings) {
    std::string text;
    for (auto const& finding : findings)
        text += finding.object + ": " + std::to_string(static_cast<int>(finding.verdict)) + " " + finding.detail + "\n";
    return text;
}

bool has(std::vector<Finding> const& findings, std::string_view object, Finding::Verdict verdict) {
    return std::ranges::any_of(findings, [&](auto const& finding) {
        return finding.object == object && finding.verdict == verdict;
    });
}

void write_at(std::string const& path, std::streamoff offset, std::string_view text) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(offset);
    file << text;
    ASSERT_TRUE(file) << path;
}

using Verdict = Finding::Verdict;

TEST_F(RestoredCluster, AWholeOneIsProven) {
    auto directory = restored();
    auto findings = validate(directory);
    EXPECT_EQ(findings.size(), 3u);
    for (auto object : {"backup manifest", "data pages", "pg_verifybackup"})
        EXPECT_TRUE(has(findings, object, Verdict::verified)) << text_of(findings);
}

TEST_F(RestoredCluster, EachKindOfDamageIsNamed) {
    auto directory = restored();
    auto relation = source().value("select pg_relation_filepath('t')");
    auto index = source().value("select pg_relation_filepath('t_i')");
    write_at(directory + "/" + relation, 5 * 8192 + 4000, "!");
    fs::resize_file(directory + "/" + index, fs::file_size(directory + "/" + index) - 8192);
    fs::remove(directory + "/pg_hba.conf");
    std::ofstream(directory + "/stranger") << "x";
    auto findings = validate(directory);
    EXPECT_TRUE(has(findings, "relation " + relation + " block 5", Verdict::damaged)) << text_of(findings);
    EXPECT_TRUE(has(findings, "file " + relation, Verdict::damaged)) << text_of(findings);
    EXPECT_TRUE(has(findings, "file " + index, Verdict::damaged)) << text_of(findings);
    EXPECT_TRUE(has(findings, "file pg_hba.conf", Verdict::damaged)) << text_of(findings);
    EXPECT_TRUE(has(findings, "file stranger", Verdict::suspicious)) << text_of(findings);
    EXPECT_TRUE(has(findings, "pg_verifybackup", Verdict::damaged)) << text_of(findings);
    EXPECT_FALSE(has(findings, "backup manifest", Verdict::verified)) << text_of(findings);
    EXPECT_FALSE(has(findings, "data pages", Verdict::verified)) << text_of(findings);
}

TEST_F(RestoredCluster, ADamagedManifestProvesNothing) {
    auto directory = restored();
    write_at(directory + "/backup_manifest", 200, "!");
    auto findings = validate(directory);
    EXPECT_TRUE(has(findings, "backup manifest", Verdict::damaged)) << text_of(findings);
}

TEST_F(RestoredCluster, NoClusterNoProof) {
    auto findings = postgres::validate_data_directory(scratch.make("empty"), {});
    ASSERT_FALSE(findings);
    EXPECT_EQ(findings.error().kind, ErrorKind::not_found);
}

TEST_F(RestoredCluster, StartsAnswersAndStops) {
    auto directory = restored();
    auto cluster = IsolatedCluster::start({.data = directory}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    EXPECT_GT((*cluster)->time_to_ready(), Duration::zero());
    auto rows = (*cluster)->query("select count(*) from t", {}, {});
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(rows->rows.at(0).at(0), "20000");
    EXPECT_EQ((*cluster)->query("select count(*) from u", {}, {}).value().rows.at(0).at(0), "0");  // unlogged: reset
    EXPECT_EQ((*cluster)->databases({}).value(), (std::vector<std::string>{"postgres", "shop"}));
    EXPECT_EQ((*cluster)->query("nonsense", {}, {}).error().kind, ErrorKind::check_failed);
    EXPECT_EQ((*cluster)->query("create table x()", {}, {}).error().kind, ErrorKind::check_failed);
    EXPECT_TRUE((*cluster)->query("create table x()", {.read_only = false}, {}));
    auto slow = (*cluster)->query("select pg_sleep(100)", {.timeout = std::chrono::milliseconds(100)}, {});
    EXPECT_EQ(slow.error().kind, ErrorKind::check_failed);
    // Nobody else can come in: the socket's directory is private.
    struct stat status;
    ASSERT_EQ(::stat((*cluster)->socket_directory().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    auto socket_directory = (*cluster)->socket_directory();
    auto pid = (*cluster)->pid();

    auto second = IsolatedCluster::start({.data = directory}, {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::unsafe) << second.error().message;

    auto stopped = (*cluster)->stop();
    EXPECT_TRUE(stopped) << stopped.error().message;
    cluster->reset();
    EXPECT_NE(::kill(pid, 0), 0);
    EXPECT_FALSE(fs::exists(socket_directory));

    // A cluster that has lived is not compared with the backup any more; its pages still are.
    auto findings = validate(directory);
    EXPECT_TRUE(has(findings, "backup manifest", Verdict::not_verified)) << text_of(findings);
    EXPECT_TRUE(has(findings, "data pages", Verdict::verified)) << text_of(findings);
}

// Everything by which a restored cluster could reach production, planted into what came back.
TEST_F(RestoredCluster, ReachesNothing) {
    auto production = scratch.make("production");
    FakePrimary primary(production);
    auto mark = production + "/mark";
    auto directory = restored();
    auto touch = "touch " + mark;
    {
        std::ofstream settings(directory + "/postgresql.auto.conf");
        settings << "archive_mode = on\narchive_command = '" << touch << "'\nrestore_command = '" << touch << "; false'\n"
                 << "recovery_end_command = '" << touch << "'\narchive_cleanup_command = '" << touch << "'\n"
                 << "primary_conninfo = 'host=" << production << "'\nprimary_slot_name = 'x'\n"
                 << "synchronous_standby_names = '*'\nlisten_addresses = '*'\nport = 5432\n"
                 << "unix_socket_directories = '" << production << "'\nexternal_pid_file = '" << production << "/pid'\n"
                 << "shared_preload_libraries = 'no_such_library'\nsession_preload_libraries = 'no_such_library'\n"
                 << "logging_collector = on\nlog_directory = '" << production << "'\nssl = on\nshared_buffers = '900GB'\n"
                 << "data_directory = '" << production << "'\nhba_file = '" << production << "/hba'\n"
                 << "ssl_passphrase_command = '" << touch << "'\n";
        std::ofstream(directory + "/postgresql.conf", std::ios::app) << "include '/nonexistent/settings'\n";
        std::ofstream(directory + "/pg_hba.conf") << "host all all 0.0.0.0/0 trust\n";
    }
    auto cluster = IsolatedCluster::start({.data = directory}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    // Commits wait for no standby; a full segment is not archived.
    auto written = (*cluster)->query("create table after_restore as select 1; select pg_switch_wal(); checkpoint",
                                     {.timeout = std::chrono::seconds(20), .read_only = false}, {});
    EXPECT_TRUE(written) << written.error().message;
    EXPECT_EQ((*cluster)->query("select count(*) from pg_stat_activity where backend_type like 'logical%' or "
                                "backend_type in ('archiver', 'walreceiver')", {}, {}).value().rows.at(0).at(0), "0");
    EXPECT_TRUE((*cluster)->stop());
    EXPECT_FALSE(primary.was_called());
    EXPECT_FALSE(fs::exists(mark));
    for (auto const& entry : fs::directory_iterator(production)) EXPECT_EQ(entry.path().filename(), ".s.PGSQL.5432");
    // What came back is left as it was.
    std::ifstream settings(directory + "/postgresql.auto.conf");
    EXPECT_NE((std::string{std::istreambuf_iterator<char>(settings), {}}).find("archive_mode = on"), std::string::npos);
}

// The same settings do reach out when nobody isolates them: the test above can fail.
TEST_F(RestoredCluster, ThePlantedSettingsWouldReachProduction) {
    auto production = scratch.make("production");
    FakePrimary primary(production);
    auto directory = restored();
    std::ofstream(directory + "/postgresql.auto.conf") << "primary_conninfo = 'host=" << production << "'\n";
    std::ofstream(directory + "/standby.signal");
    auto server = ChildProcess::start({.argv = {postgres_program("postgres"), "-D", directory, "-c", "listen_addresses=", "-k",
                                                scratch.path()}, .user = postgres_user()}, {.stop_signal = SIGINT});
    ASSERT_TRUE(server);
    bool called = false;
    for (int i = 0; i < 200 && !called; ++i) {
        called = primary.was_called();
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_TRUE(called);
}

TEST_F(RestoredCluster, AStandbyDoesNotFollowItsPrimary) {
    auto production = scratch.make("production");
    FakePrimary primary(production);
    auto directory = restored();
    std::ofstream(directory + "/postgresql.auto.conf") << "primary_conninfo = 'host=" << production << "'\n";
    std::ofstream(directory + "/standby.signal");
    auto cluster = IsolatedCluster::start({.data = directory}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    EXPECT_EQ((*cluster)->query("select pg_is_in_recovery()", {}, {}).value().rows.at(0).at(0), "t");
    EXPECT_EQ((*cluster)->query("select count(*) from pg_stat_wal_receiver", {}, {}).value().rows.at(0).at(0), "0");
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_FALSE(primary.was_called());
}

TEST_F(RestoredCluster, SubscriptionsSleep) {
    auto production = scratch.make("production");
    FakePrimary primary(production);
    source().sql("create subscription s connection 'host=" + production + "' publication p with (connect = false)");
    source().sql("alter subscription s set (slot_name = none)");
    source().sql("update pg_subscription set subenabled = true, subslotname = 's'");
    auto directory = restored();
    source().sql("update pg_subscription set subenabled = false, subslotname = null");
    source().sql("drop subscription s");
    while (primary.was_called()) {  // the source itself may have tried
    }
    auto cluster = IsolatedCluster::start({.data = directory}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    EXPECT_EQ((*cluster)->query("select count(*) from pg_subscription where subenabled", {}, {}).value().rows.at(0).at(0), "1");
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_FALSE(primary.was_called());
}

TEST_F(RestoredCluster, SaysWhyItDoesNotStart) {
    auto missing = IsolatedCluster::start({.data = scratch / "nowhere"}, {});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);

    auto directory = restored();
    for (auto const& entry : fs::directory_iterator(directory + "/pg_wal"))
        if (entry.is_regular_file()) fs::remove(entry.path());
    auto broken = IsolatedCluster::start({.data = directory}, {});
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().kind, ErrorKind::check_failed);
    EXPECT_NE(broken.error().message.find("checkpoint record"), std::string::npos) << broken.error().message;

    auto unfinished = restored();
    std::ofstream(unfinished + "/.holdfast-restore") << "x";
    auto refused = IsolatedCluster::start({.data = unfinished}, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::unsafe);

    auto future = restored();
    std::ofstream(future + "/PG_VERSION") << "99\n";
    auto unknown = IsolatedCluster::start({.data = future}, {});
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().kind, ErrorKind::not_found);
    EXPECT_NE(unknown.error().hint.find("postgresql-99"), std::string::npos) << unknown.error().hint;
}

TEST_F(RestoredCluster, AmcheckProvesOrSaysThatItDidNot) {
    auto directory = restored();
    auto index = source().value("select pg_relation_filepath('t_i')");
    {
        auto cluster = IsolatedCluster::start({.data = directory}, {});
        ASSERT_TRUE(cluster) << cluster.error().message;
        auto findings = postgres::run_amcheck(**cluster, {}, {});
        ASSERT_TRUE(findings) << findings.error().message;
        EXPECT_TRUE(has(*findings, "database postgres", Verdict::not_verified)) << text_of(*findings);
        EXPECT_TRUE(has(*findings, "database shop", Verdict::not_verified)) << text_of(*findings);
        findings = postgres::run_amcheck(**cluster, {.install_missing = true}, {});
        ASSERT_TRUE(findings) << findings.error().message;
        EXPECT_TRUE(has(*findings, "database postgres", Verdict::verified)) << text_of(*findings);
        EXPECT_TRUE(has(*findings, "database shop", Verdict::verified)) << text_of(*findings);
        ASSERT_TRUE((*cluster)->stop());
    }
    // An index of which a page was wiped: "new" to PostgreSQL's own checksum.
    write_at(directory + "/" + index, 3 * 8192, std::string(8192, '\0'));
    auto cluster = IsolatedCluster::start({.data = directory}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    auto findings = postgres::run_amcheck(**cluster, {}, {});
    ASSERT_TRUE(findings) << findings.error().message;
    EXPECT_TRUE(has(*findings, "database postgres", Verdict::damaged)) << text_of(*findings);
    EXPECT_TRUE(has(*findings, "database shop", Verdict::verified)) << text_of(*findings);
}

// Run by the next test in a process of its own, which is then killed.
TEST(RestoredClusterHelper, DISABLED_StartsAndWaits) {
    auto cluster = IsolatedCluster::start({.data = std::getenv("HOLDFAST_TEST_DATA")}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    std::ofstream(std::getenv("HOLDFAST_TEST_READY")) << (*cluster)->pid() << std::endl;
    std::this_thread::sleep_for(std::chrono::minutes(5));
}

TEST_F(RestoredCluster, DiesWithUs) {
    auto directory = restored();
    auto ready = scratch / "ready";
    Command command{.argv = {fs::read_symlink("/proc/self/exe"), "--gtest_also_run_disabled_tests",
                             "--gtest_filter=RestoredClusterHelper.*"},
                    .environment = {{"HOLDFAST_TEST_DATA", directory}, {"HOLDFAST_TEST_READY", ready}}};
    auto helper = ChildProcess::start(command);
    ASSERT_TRUE(helper) << helper.error().message;
    pid_t server = 0;
    for (int i = 0; i < 600 && server == 0; ++i) {
        std::ifstream(ready) >> server;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    ASSERT_GT(server, 0) << (*helper)->output_tail();
    ::kill((*helper)->pid(), SIGKILL);
    bool gone = false;
    for (int i = 0; i < 200 && !gone; ++i) {
        gone = ::kill(server, 0) != 0;
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    EXPECT_TRUE(gone);
}

TEST_F(RestoredCluster, HasNoNetworkWhereTheSystemAllowsIt) {
    auto allowed = run({.argv = {"unshare", "--net", "true"}}, {});
    if (::geteuid() != 0 || !allowed || !allowed->success()) GTEST_SKIP() << "no right to make a network namespace";
    auto cluster = IsolatedCluster::start({.data = restored()}, {});
    ASSERT_TRUE(cluster) << cluster.error().message;
    EXPECT_TRUE((*cluster)->network_isolated());
    std::ifstream devices("/proc/" + std::to_string((*cluster)->pid()) + "/net/dev");
    std::string line;
    int interfaces = 0;
    while (std::getline(devices, line))
        if (line.find(':') != line.npos) {
            ++interfaces;
            EXPECT_NE(line.find("lo:"), line.npos) << line;
        }
    EXPECT_EQ(interfaces, 1);
    // And it runs as the owner of the files, not as root.
    struct stat status;
    ASSERT_EQ(::stat(("/proc/" + std::to_string((*cluster)->pid())).c_str(), &status), 0);
    EXPECT_EQ(status.st_uid, postgres_user()->uid);
}

TEST_F(RestoredCluster, StopsWhileItStarts) {
    auto directory = restored();
    std::stop_source stop;
    std::jthread stopper([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        stop.request_stop();
    });
    auto begun = std::chrono::steady_clock::now();
    auto cluster = IsolatedCluster::start({.data = directory}, stop.get_token());
    EXPECT_TRUE(cluster || cluster.error().kind == ErrorKind::cancelled) << cluster.error().message;
    cluster = fail(ErrorKind::cancelled, "");
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(10));
    EXPECT_FALSE(fs::exists(directory + "/postmaster.pid"));
}

}  // namespace
}  // namespace holdfast
