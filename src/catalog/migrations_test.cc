#include "catalog/migrations.h"

#include <sys/wait.h>
#include <unistd.h>

#include "catalog/catalog_test_support.h"

namespace holdfast::catalog {
namespace {

constexpr std::array kLadder = {
    Migration{1, "first", "CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1);"},
    Migration{2, "second", "ALTER TABLE a ADD COLUMN y TEXT; UPDATE a SET y = 'two';"},
    Migration{3, "third", "CREATE TABLE b (z) ; INSERT INTO b SELECT y FROM a;"},
};

class MigrationsTest : public CatalogTest {
  protected:
    void SetUp() override {
        CatalogTest::SetUp();
        std::filesystem::create_directories(path().parent_path());
    }
    Result<void> migrate_to(std::size_t version) {
        auto database = TRY(Database::open(path()));
        return migrate(database, std::span(kLadder).first(version), clock);
    }
    std::int64_t ask(std::string_view sql) {
        auto database = Database::open(path());
        auto answer = database->integer(sql);
        EXPECT_TRUE(answer.has_value()) << answer.error().message;
        return answer.has_value() ? *answer : -1;
    }
};

TEST_F(MigrationsTest, AnOlderFileIsBroughtUpToDate) {
    ASSERT_TRUE(migrate_to(1).has_value());
    clock.advance(std::chrono::hours(1));
    ASSERT_TRUE(migrate_to(3).has_value());
    EXPECT_EQ(ask("SELECT count(*) FROM b WHERE z = 'two'"), 1);
    EXPECT_EQ(ask("SELECT count(*) FROM migrations"), 3);
    EXPECT_EQ(ask("SELECT applied FROM migrations WHERE version = 2"),
              (kStart + std::chrono::hours(1)).time_since_epoch().count());
    ASSERT_TRUE(migrate_to(3).has_value());
    EXPECT_EQ(ask("SELECT count(*) FROM b"), 1);
}

TEST_F(MigrationsTest, ANewerFileIsRefusedAndLeftAlone) {
    ASSERT_TRUE(migrate_to(3).has_value());
    auto refused = migrate_to(2);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    EXPECT_NE(refused.error().message.find("newer"), std::string::npos);
    EXPECT_NE(refused.error().message.find(path().string()), std::string::npos);
    EXPECT_EQ(ask("SELECT count(*) FROM migrations"), 3);
}

TEST_F(MigrationsTest, AFailedStepLeavesTheVersionBeforeIt) {
    ASSERT_TRUE(migrate_to(1).has_value());
    constexpr std::array broken = {
        kLadder[0], Migration{2, "broken", "CREATE TABLE c (x); INSERT INTO none VALUES (1);"}};
    {
        auto database = Database::open(path());
        auto failed = migrate(*database, broken, clock);
        ASSERT_FALSE(failed.has_value());
        EXPECT_NE(failed.error().message.find("version 2 (broken)"), std::string::npos);
    }
    EXPECT_EQ(ask("SELECT count(*) FROM sqlite_schema WHERE name = 'c'"), 0);
    EXPECT_TRUE(migrate_to(3).has_value());
}

// Kills a child before its n-th statement; false when the child needed fewer.
bool kill_before_statement(int n, std::function<bool()> const& work) {
    auto child = ::fork();
    if (child == 0) {
        int left = n;
        set_statement_hook([left]() mutable {
            if (--left == 0)
                ::_exit(99);
        });
        ::_exit(work() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFEXITED(status));
    EXPECT_NE(WEXITSTATUS(status), 1);
    return WEXITSTATUS(status) == 99;
}

TEST_F(MigrationsTest, KilledAtAnyStatementItGoesOn) {
    int kills = 0;
    for (int n = 1;; ++n) {
        std::filesystem::remove_all(directory / "state");
        std::filesystem::create_directories(directory / "state");
        if (!kill_before_statement(n, [&] { return migrate_to(3).has_value(); }))
            break;
        ++kills;
        ASSERT_TRUE(migrate_to(3).has_value()) << n;
        EXPECT_EQ(ask("SELECT count(*) FROM b WHERE z = 'two'"), 1) << n;
        EXPECT_EQ(ask("SELECT count(*) FROM migrations"), 3) << n;
    }
    EXPECT_GT(kills, 10);
}

TEST_F(MigrationsTest, KilledAtAnyStatementARunHappenedOrNot) {
    { (void)open(); }
    int kills = 0;
    for (int n = 1;; ++n) {
        auto id = "run" + std::to_string(n);
        bool killed = kill_before_statement(n, [&] {
            auto catalog = Catalog::open(path(), clock);
            return catalog.has_value() && catalog->begin_run(id, RunKind::backup, id).has_value() &&
                   catalog->end_run(id, {}).has_value();
        });
        if (!killed)
            break;
        ++kills;
        auto catalog = open();
        auto run = catalog.run(id);
        auto last = catalog.last_run(RunKind::backup, id);
        ASSERT_TRUE(run.has_value() && last.has_value());
        ASSERT_EQ(run->has_value(), last->has_value()) << n;
        if (!run->has_value())
            continue;
        EXPECT_EQ((*run)->outcome, (*last)->outcome) << n;
        EXPECT_EQ((*last)->succeeded.has_value(), (*run)->outcome == RunOutcome::done) << n;
    }
    EXPECT_GT(kills, 10);
}

// Later versions must still read what version 1 wrote: the file is rebuilt from its dump.
TEST_F(MigrationsTest, ReadsTheFileOfVersion1) {
    auto dump = std::string(HOLDFAST_FIXTURES) + "/catalog/v1.sql";
    FILE* file = ::fopen(dump.c_str(), "r");
    ASSERT_NE(file, nullptr) << dump;
    std::string sql(1 << 20, '\0');
    sql.resize(::fread(sql.data(), 1, sql.size(), file));
    ::fclose(file);
    {
        auto database = Database::open(path());
        auto loaded = database->execute(sql);
        ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    }
    auto catalog = open();
    auto run = catalog.run("r1");
    ASSERT_TRUE(run.has_value() && run->has_value());
    EXPECT_EQ((*run)->outcome, RunOutcome::partial);
    EXPECT_EQ((*run)->error, "one file changed");
    auto ladder = catalog.ladder("database");
    ASSERT_EQ(ladder->size(), 3u);
    EXPECT_EQ((*ladder)[2].rung, Rung::restored);
    EXPECT_EQ((*ladder)[2].point.attributes.at("timeline"), "1");
    EXPECT_EQ(catalog.drills({})->front().rto_from_outage, std::chrono::seconds(540));
    EXPECT_EQ(*catalog.evidence_head(), std::string(64, 'a'));
    EXPECT_EQ(catalog.open_incidents()->size(), 1u);
    EXPECT_EQ((*catalog.estimate("restore", "database"))->duration, std::chrono::seconds(12));
}

}  // namespace
}  // namespace holdfast::catalog
