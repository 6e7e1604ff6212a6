#include "catalog/catalog.h"

#include <fstream>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "catalog/catalog_test_support.h"

namespace holdfast::catalog {
namespace {

using Rungs = std::vector<std::string>;

Rungs describe(std::vector<RungStatus> const& ladder) {
    Rungs texts;
    for (auto const& status : ladder) {
        texts.push_back(std::string(to_text(status.rung)) + " " + status.point.id);
    }
    return texts;
}

TEST_F(CatalogTest, IsPrivateAndSurvivesBeingClosed) {
    {
        auto catalog = open();
        ASSERT_TRUE(catalog.begin_run("r1", RunKind::backup, "database").has_value());
    }
    struct stat status {};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    ASSERT_EQ(::stat(path().parent_path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0700u);
    auto catalog = open();
    auto run = catalog.run("r1");
    ASSERT_TRUE(run.has_value() && run->has_value());
    EXPECT_EQ((*run)->subject, "database");
    EXPECT_EQ((*run)->started, kStart);
    EXPECT_EQ((*run)->outcome, RunOutcome::running);
    EXPECT_TRUE(catalog.check().has_value());
}

TEST_F(CatalogTest, RunsBeginEndAndAreResumed) {
    auto catalog = open();
    ASSERT_TRUE(catalog.begin_run("r1", RunKind::recover, "restore-database").has_value());
    EXPECT_EQ(catalog.begin_run("r1", RunKind::recover, "x").error().kind, ErrorKind::exists);
    clock.advance(std::chrono::minutes(5));
    RunEnd end{.outcome = RunOutcome::failed, .error = "step 'restore': gone", .bytes = 7};
    ASSERT_TRUE(catalog.end_run("r1", end).has_value());
    auto run = catalog.run("r1");
    EXPECT_EQ((*run)->outcome, RunOutcome::failed);
    EXPECT_EQ((*run)->ended, kStart + std::chrono::minutes(5));
    EXPECT_EQ((*run)->bytes, 7u);
    auto last = catalog.last_run(RunKind::recover, "restore-database");
    EXPECT_FALSE((*last)->succeeded.has_value());

    ASSERT_TRUE(catalog.resume_run("r1").has_value());
    EXPECT_EQ((*catalog.run("r1"))->outcome, RunOutcome::running);
    ASSERT_TRUE(catalog.end_run("r1", {}).has_value());
    last = catalog.last_run(RunKind::recover, "restore-database");
    EXPECT_EQ((*last)->succeeded, kStart);
    EXPECT_EQ((*last)->outcome, RunOutcome::done);

    EXPECT_EQ(catalog.end_run("r9", {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(catalog.resume_run("r9").error().kind, ErrorKind::not_found);
    auto none = catalog.last_run(RunKind::backup, "restore-database");
    ASSERT_TRUE(none.has_value());
    EXPECT_FALSE(none->has_value());
}

TEST_F(CatalogTest, ListsRunsNewestFirst) {
    auto catalog = open();
    for (auto id : {"a", "b", "c"}) {
        ASSERT_TRUE(catalog.begin_run(id, RunKind::backup, "models").has_value());
        clock.advance(std::chrono::seconds(1));
    }
    ASSERT_TRUE(catalog.begin_run("d", RunKind::drill, "monthly").has_value());
    auto runs = catalog.runs({.kind = RunKind::backup, .limit = 2});
    ASSERT_TRUE(runs.has_value());
    ASSERT_EQ(runs->size(), 2u);
    EXPECT_EQ((*runs)[0].id, "c");
    EXPECT_EQ((*runs)[1].id, "b");
    EXPECT_EQ(catalog.runs({.subject = "monthly"})->size(), 1u);
    EXPECT_EQ(catalog.runs({})->size(), 4u);
}

TEST_F(CatalogTest, TheSuccessOfAnOlderRunCountsThoughANewerOneHasBegun) {
    auto catalog = open();
    ASSERT_TRUE(catalog.begin_run("old", RunKind::backup, "models").has_value());
    clock.advance(std::chrono::minutes(1));
    ASSERT_TRUE(catalog.begin_run("new", RunKind::backup, "models").has_value());
    ASSERT_TRUE(catalog.end_run("old", {}).has_value());
    auto last = catalog.last_run(RunKind::backup, "models");
    EXPECT_EQ((*last)->run, "new");
    EXPECT_EQ((*last)->outcome, RunOutcome::running);
    EXPECT_EQ((*last)->succeeded, kStart);
}

TEST_F(CatalogTest, ClosesRunsWhoseProcessIsGone) {
    auto catalog = open();
    auto child = ::fork();
    if (child == 0) {
        auto own = Catalog::open(path(), clock);
        if (!own.has_value())
            ::_exit(1);
        ::_exit(own->begin_run("gone", RunKind::backup, "models").has_value() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(status, 0);
    ASSERT_TRUE(catalog.begin_run("mine", RunKind::verify, "").has_value());
    auto closed = catalog.close_abandoned_runs();
    ASSERT_TRUE(closed.has_value()) << closed.error().message;
    EXPECT_EQ(*closed, std::vector<std::string>{"gone"});
    EXPECT_EQ((*catalog.run("gone"))->outcome, RunOutcome::interrupted);
    EXPECT_EQ((*catalog.run("mine"))->outcome, RunOutcome::running);
}

TEST_F(CatalogTest, DropsOldRunsButNoneWithADrill) {
    auto catalog = open();
    for (auto id : {"old", "drill"}) {
        ASSERT_TRUE(catalog.begin_run(id, RunKind::drill, "monthly").has_value());
        ASSERT_TRUE(catalog.end_run(id, {}).has_value());
    }
    ASSERT_TRUE(catalog.begin_run("running", RunKind::drill, "monthly").has_value());
    ASSERT_TRUE(
        catalog.note_drill({.run = "drill", .name = "monthly", .started = kStart}).has_value());
    auto dropped = catalog.drop_runs(kStart + std::chrono::hours(1));
    ASSERT_TRUE(dropped.has_value());
    EXPECT_EQ(*dropped, 1u);
    EXPECT_FALSE((*catalog.run("old")).has_value());
    EXPECT_TRUE((*catalog.last_run(RunKind::drill, "monthly")).has_value());
}

TEST_F(CatalogTest, PointsKeepEverything) {
    auto catalog = open();
    auto point = make_point("aa", kStart - std::chrono::nanoseconds(1));
    point.received = kStart;
    point.locked_until = kStart + std::chrono::hours(720);
    point.lsn = "0/3000028";
    point.bytes = std::numeric_limits<std::uint64_t>::max();
    ASSERT_TRUE(catalog.note_point(point).has_value());
    auto found = catalog.point("repo-1", "aa");
    ASSERT_TRUE(found.has_value() && found->has_value());
    EXPECT_EQ((*found)->time, point.time);
    EXPECT_EQ((*found)->received, point.received);
    EXPECT_EQ((*found)->locked_until, point.locked_until);
    EXPECT_EQ((*found)->attributes, point.attributes);
    EXPECT_EQ((*found)->bytes, point.bytes);
    EXPECT_FALSE((*catalog.point("repo-2", "aa")).has_value());
}

TEST_F(CatalogTest, TheLadderShowsTheNewestPointOfEachRung) {
    auto catalog = open();
    for (int i = 1; i <= 4; ++i) {
        auto point = make_point("p" + std::to_string(i), kStart + std::chrono::hours(i));
        ASSERT_TRUE(catalog.note_point(point).has_value());
        ASSERT_TRUE(catalog.reach("repo-1", point.id, Rung::stored, "").has_value());
    }
    clock.advance(std::chrono::hours(5));
    ASSERT_TRUE(catalog.reach("repo-1", "p1", Rung::validated, "drill-1").has_value());
    ASSERT_TRUE(catalog.reach("repo-1", "p2", Rung::restored, "").has_value());
    ASSERT_TRUE(catalog.reach("repo-1", "p3", Rung::hashed, "").has_value());
    auto ladder = catalog.ladder("database");
    ASSERT_TRUE(ladder.has_value()) << ladder.error().message;
    EXPECT_EQ(describe(*ladder), (Rungs{"stored p4", "hashed p3", "restored p2", "validated p1"}));
    clock.advance(std::chrono::hours(1));
    ladder = catalog.ladder("database", "repo-1");
    EXPECT_EQ((*ladder)[3].run, "drill-1");
    EXPECT_EQ((*ladder)[3].point_age, std::chrono::hours(5));
    EXPECT_EQ((*ladder)[3].proof_age, std::chrono::hours(1));

    // A damaged point proves nothing, whatever it had reached.
    ASSERT_TRUE(catalog.set_point_state("repo-1", "p2", PointState::damaged).has_value());
    EXPECT_EQ(describe(*catalog.ladder("database")),
              (Rungs{"stored p4", "hashed p3", "restored p1", "validated p1"}));
    // Listing it again does not make it whole; reading all of it does.
    ASSERT_TRUE(catalog.note_point(make_point("p2", kStart + std::chrono::hours(2))).has_value());
    EXPECT_EQ((*catalog.point("repo-1", "p2"))->state, PointState::damaged);
    ASSERT_TRUE(catalog.reach("repo-1", "p2", Rung::hashed, "").has_value());
    EXPECT_EQ((*catalog.point("repo-1", "p2"))->state, PointState::ok);

    EXPECT_TRUE(catalog.ladder("models")->empty());
    EXPECT_TRUE(catalog.ladder("database", "repo-2")->empty());
    EXPECT_EQ(catalog.reach("repo-1", "none", Rung::stored, "").error().kind, ErrorKind::not_found);
}

TEST_F(CatalogTest, AnOlderProofNeverReplacesANewerOne) {
    auto catalog = open();
    ASSERT_TRUE(catalog.note_point(make_point("p", kStart)).has_value());
    clock.advance(std::chrono::hours(2));
    ASSERT_TRUE(catalog.reach("repo-1", "p", Rung::restored, "new").has_value());
    clock.advance(-std::chrono::hours(1));
    ASSERT_TRUE(catalog.reach("repo-1", "p", Rung::hashed, "old").has_value());
    auto rungs = catalog.rungs("repo-1", "p");
    ASSERT_EQ(rungs->size(), 3u);
    for (auto const& rung : *rungs)
        EXPECT_EQ(rung.run, "new") << to_text(rung.rung);
}

TEST_F(CatalogTest, ReplacingPointsDropsTheOthersOfThatRepositoryOnly) {
    auto catalog = open();
    auto other = make_point("x", kStart);
    other.repository = "repo-2";
    ASSERT_TRUE(catalog.note_point(other).has_value());
    for (auto id : {"a", "b"})
        ASSERT_TRUE(catalog.note_point(make_point(id, kStart)).has_value());
    ASSERT_TRUE(catalog.reach("repo-1", "b", Rung::hashed, "").has_value());
    std::vector points = {make_point("b", kStart), make_point("c", kStart)};
    ASSERT_TRUE(catalog.replace_points("repo-1", points).has_value());
    std::string ids;
    auto const kept = catalog.points({.repository = "repo-1"});
    for (auto const& point : *kept)
        ids += point.id;
    EXPECT_EQ(ids, "bc");
    EXPECT_EQ(catalog.points({})->size(), 3u);
    EXPECT_EQ(catalog.rungs("repo-1", "b")->size(), 2u);
    ASSERT_TRUE(catalog.replace_points("repo-1", {}).has_value());
    EXPECT_TRUE(catalog.rungs("repo-1", "b")->empty());
}

TEST_F(CatalogTest, EvidenceIsAChain) {
    auto catalog = open();
    ASSERT_TRUE(catalog.begin_run("r", RunKind::drill, "monthly").has_value());
    EXPECT_EQ(*catalog.evidence_head(), "");
    Evidence first{"r", "/e/1.json", std::string(64, 'a'), "", kStart};
    ASSERT_TRUE(catalog.append_evidence(first).has_value());
    EXPECT_EQ(*catalog.evidence_head(), first.sha256);
    Evidence late{"r", "/e/2.json", std::string(64, 'b'), "", kStart};
    EXPECT_EQ(catalog.append_evidence(late).error().kind, ErrorKind::exists);
    late.previous = first.sha256;
    late.run = "unknown";
    EXPECT_EQ(catalog.append_evidence(late).error().kind, ErrorKind::not_found);
    late.run = "r";
    ASSERT_TRUE(catalog.append_evidence(late).has_value());
    auto all = catalog.evidence();
    ASSERT_EQ(all->size(), 2u);
    EXPECT_EQ((*all)[1].previous, (*all)[0].sha256);
}

TEST_F(CatalogTest, DrillsAndIncidentsAreUpdated) {
    auto catalog = open();
    Drill drill{.run = "r", .name = "monthly", .started = kStart};
    EXPECT_EQ(catalog.note_drill(drill).error().kind, ErrorKind::not_found);
    ASSERT_TRUE(catalog.begin_run("r", RunKind::drill, "monthly").has_value());
    ASSERT_TRUE(catalog.note_drill(drill).has_value());
    drill.passed = true;
    drill.rto_from_outage = std::chrono::minutes(9);
    drill.rto_from_declaration = std::chrono::minutes(7);
    ASSERT_TRUE(catalog.note_drill(drill).has_value());
    auto drills = catalog.drills({.name = "monthly"});
    ASSERT_EQ(drills->size(), 1u);
    EXPECT_TRUE((*drills)[0].passed);
    EXPECT_FALSE((*drills)[0].rpo.has_value());
    EXPECT_EQ((*drills)[0].rto_from_declaration, std::chrono::minutes(7));

    Incident incident{.id = "i", .scenario = "s", .title = "t", .outage = kStart};
    ASSERT_TRUE(catalog.note_incident(incident).has_value());
    EXPECT_EQ(catalog.open_incidents()->size(), 1u);
    incident.declared = kStart + std::chrono::minutes(2);
    incident.resolved = kStart + std::chrono::minutes(9);
    ASSERT_TRUE(catalog.note_incident(incident).has_value());
    EXPECT_TRUE(catalog.open_incidents()->empty());
    EXPECT_EQ(catalog.incidents()->size(), 1u);
    EXPECT_EQ((*catalog.incident("i"))->declared, incident.declared);
}

TEST_F(CatalogTest, EstimatesByTheMedianAndTheSize) {
    auto catalog = open();
    EXPECT_FALSE(catalog.estimate("restore", "database")->has_value());
    for (int i = 0; i < 30; ++i) {
        // The first ten are wildly slow and have been forgotten by the end.
        auto seconds = std::chrono::seconds(i < 10 ? 100'000 : 10);
        ASSERT_TRUE(catalog.note_measure("restore", "database", seconds, 1000).has_value());
    }
    ASSERT_TRUE(
        catalog.note_measure("restore", "database", std::chrono::hours(1), 1000).has_value());
    auto estimate = catalog.estimate("restore", "database");
    ASSERT_TRUE(estimate->has_value());
    EXPECT_EQ((*estimate)->duration, std::chrono::seconds(10));
    EXPECT_EQ((*estimate)->samples, 20u);
    EXPECT_EQ((*catalog.estimate("restore", "database", 3000))->duration, std::chrono::seconds(30));
}

TEST_F(CatalogTest, ASnapshotHoldsWhatIsStillInTheLog) {
    Bytes snapshot;
    {
        auto catalog = open();
        ASSERT_TRUE(catalog.begin_run("r1", RunKind::backup, "database").has_value());
        auto bytes = catalog.snapshot();
        ASSERT_TRUE(bytes.has_value()) << bytes.error().message;
        snapshot = *bytes;
        ASSERT_TRUE(catalog.begin_run("r2", RunKind::backup, "database").has_value());
    }
    auto elsewhere = directory / "bare" / "catalog.sqlite";
    ASSERT_TRUE(Catalog::install(elsewhere, snapshot, clock).has_value());
    EXPECT_EQ(Catalog::install(elsewhere, snapshot, clock).error().kind, ErrorKind::exists);
    auto copy = Catalog::open(elsewhere, clock);
    ASSERT_TRUE(copy.has_value()) << copy.error().message;
    auto runs = copy->runs({});
    ASSERT_EQ(runs->size(), 1u);
    EXPECT_EQ((*runs)[0].outcome, RunOutcome::interrupted);
    std::size_t files = 0;
    for (auto const& entry : std::filesystem::directory_iterator(elsewhere.parent_path())) {
        EXPECT_EQ(entry.path().string().find("installing"), std::string::npos);
        ++files;
    }
    EXPECT_GE(files, 1u);

    snapshot.resize(snapshot.size() / 2);
    auto broken = Catalog::install(directory / "broken.sqlite", snapshot, clock);
    EXPECT_EQ(broken.error().kind, ErrorKind::damaged) << broken.error().message;
    EXPECT_FALSE(std::filesystem::exists(directory / "broken.sqlite"));
}

TEST_F(CatalogTest, SaysWhenTheFileIsDamaged) {
    { (void)open(); }
    for (auto size : {100, 1000, 5000}) {
        std::filesystem::resize_file(path(), static_cast<std::uintmax_t>(size));
        auto catalog = Catalog::open(path(), clock);
        ASSERT_FALSE(catalog.has_value()) << size;
        EXPECT_EQ(catalog.error().kind, ErrorKind::damaged) << catalog.error().message;
        EXPECT_NE(catalog.error().message.find(path().string()), std::string::npos);
        EXPECT_NE(catalog.error().hint.find("builds a new one"), std::string::npos);
    }
    std::ofstream(path()) << "this is no database, and it is long enough to be looked at by anyone";
    EXPECT_EQ(Catalog::open(path(), clock).error().kind, ErrorKind::damaged);
}

TEST_F(CatalogTest, LeavesOtherDatabasesAlone) {
    std::filesystem::create_directories(path().parent_path());
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open(path().c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database, "CREATE TABLE t (x)", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(database);
    auto bytes = [&] {
        std::ifstream file(path(), std::ios::binary);
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    auto before = bytes();
    auto catalog = Catalog::open(path(), clock);
    ASSERT_FALSE(catalog.has_value());
    EXPECT_EQ(catalog.error().kind, ErrorKind::unsafe);
    EXPECT_EQ(bytes(), before);
}

TEST_F(CatalogTest, ThreadsAndProcessesShareIt) {
    constexpr int kEach = 25;
    { (void)open(); }
    auto work = [&](std::string const& who) {
        auto catalog = Catalog::open(path(), clock);
        if (!catalog.has_value())
            return false;
        bool good = true;
        for (int i = 0; i < kEach; ++i) {
            auto id = who + std::to_string(i);
            good &= catalog->begin_run(id, RunKind::backup, who).has_value();
            good &= catalog->end_run(id, {}).has_value();
        }
        return good;
    };
    std::vector<pid_t> children;
    for (int i = 0; i < 3; ++i) {
        auto child = ::fork();
        if (child == 0)
            ::_exit(work("process" + std::to_string(i) + "-") ? 0 : 1);
        children.push_back(child);
    }
    auto catalog = open();
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 3; ++t) {
            threads.emplace_back([&, t] {
                for (int i = 0; i < kEach; ++i) {
                    auto id = "thread" + std::to_string(t) + "-" + std::to_string(i);
                    EXPECT_TRUE(catalog.begin_run(id, RunKind::backup, "t").has_value());
                }
            });
        }
    }
    for (auto child : children) {
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(catalog.runs({.limit = 1000})->size(), 6u * kEach);
    EXPECT_TRUE(catalog.check().has_value());
}

}  // namespace
}  // namespace holdfast::catalog
