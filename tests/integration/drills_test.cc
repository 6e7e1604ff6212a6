// Drills and recoveries against a real PostgreSQL 15: what they prove, what they leave, and what a kill leaves.
#include <csignal>
#include <fstream>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "datasets/back_up.h"
#include "datasets/create.h"
#include "datasets/restore_point.h"
#include "drill/drill.h"
#include "drill/evidence_file.h"
#include "drill/place.h"
#include "drill/recovery.h"
#include "os/process_table.h"
#include "postgres_cluster.h"
#include "runbook/timeline.h"

namespace holdfast::drill {
namespace {

namespace fs = std::filesystem;
using holdfast::testing::PostgresCluster;
using holdfast::testing::ScratchDirectory;
using runbook::StepState;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kPassword[] = "correct horse battery staple";

void spill(fs::path const& path, std::string const& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << text;
}

std::string safetensors() {
    std::string const header = R"({"w":{"dtype":"F32","shape":[64,64],"data_offsets":[0,16384]}})";
    std::string text(8, '\0');
    text[0] = static_cast<char>(header.size());
    return text + header + std::string(16384, 'w');
}

// Syncing a file system waits for everybody who writes to it; memory does not.
std::string memory_if_there() { return fs::is_directory("/dev/shm") ? "/dev/shm" : "/tmp"; }

// A small company with its backups; made once, for tests that leave it as it was.
class Company {
  public:
    Company() {
        database_.sql("create database spikeformer");
        database_.sql("create table models (id int primary key, name text); "
                      "insert into models select i, 'model ' || i from generate_series(1, 5000) i; "
                      "create table training_runs (id serial, created_at timestamptz default now()); "
                      "insert into training_runs default values; create index on models (name)",
                      "spikeformer");
        spill(models() / "vit" / "base.safetensors", safetensors());
        for (int i = 0; i < 50; ++i) spill(configuration() / fmt::format("part{}", i % 5) / std::to_string(i), "x = 1\n");
        fs::create_symlink("/etc/passwd", configuration() / "link");
        spill(plan_file(), plan());
        auto workspace = open();
        EXPECT_TRUE(create(*workspace, "primary", as_bytes(kPassword), {}));
        for (auto const& dataset : workspace->plan().value()->datasets) {
            auto const made = back_up(*workspace, dataset, "primary", {}, [](std::string const&) {}, {});
            EXPECT_TRUE(made) << made.error().message;
        }
    }

    std::unique_ptr<Workspace> open() const {
        WorkspaceOptions options{.plan_file = plan_file().string(),
                                 .repository_url = "",
                                 .state = scratch_.path() / "state",
                                 .cache = scratch_.path() / "cache",
                                 .credentials = {}};
        options.credentials.password = Secret(as_bytes(kPassword));
        auto workspace = Workspace::open(std::move(options));
        EXPECT_TRUE(workspace) << workspace.error().message;
        return std::move(*workspace);
    }

    fs::path repository() const { return scratch_.path() / "backups"; }
    fs::path models() const { return scratch_.path() / "models"; }
    fs::path configuration() const { return scratch_.path() / "etc"; }
    fs::path plan_file() const { return scratch_.path() / "holdfast.yaml"; }
    fs::path state() const { return scratch_.path() / "state"; }
    fs::path place() const { return scratch_.path() / "drills"; }
    fs::path traces() const { return scratch_.path() / "traces"; }
    fs::path recovered() const { return scratch_.path() / "recovered"; }

  private:
    std::string plan() const {
        std::string const text = R"(
holdfast: 1
name: company
objectives:
  data: { critical: 1h, impossible: 1ms }
  services: { critical: 4h }
repositories: { primary: { url: "@/backups" } }
datasets:
  database: { kind: postgres, connect: "host=@socket user=postgres dbname=spikeformer", tier: critical }
  models: { kind: models, paths: ["@/models"], tier: critical }
  configuration: { kind: files, paths: ["@/etc"], tier: critical }
services:
  api: { tier: critical, needs: [database, models] }
scenarios: { database-failure: { runbook: everything } }
people: { someone: { mail: someone@example.com } }
notify: { mail: { server: "smtp://127.0.0.1:1", from: holdfast@example.com } }
runbooks:
  everything:
    parameters: { to: { default: latest } }
    steps:
      fence: { command: { argv: [touch, "@/traces/fence"] } }
      database:
        postgres.restore: { dataset: database, to: "${to}", into: "@/recovered/database", start: true }
        after: fence
      validate: { sql.check: { on: database, query: "select count(*) from models", expect: "= 5000" }, after: database }
      fresh:
        sql.check: { on: database, query: "select max(created_at) from training_runs", fresh_within: 1h }
        after: database
      models: { models.restore: { dataset: models, to: "${to}", into: "@/recovered/models" } }
      configuration: { files.restore: { dataset: configuration, to: "${to}", into: "@/recovered/etc" } }
      read: { verify: { dataset: models }, after: models }
      unfence: { command: { argv: [touch, "@/traces/unfence"] }, after: [validate, models], idempotent: true }
      tell: { notify: { to: someone, subject: back, text: all of it }, after: unfence, when: "${to} == never" }
drills:
  good:
    run: everything
    checks:
      - { query: "select count(*) from models", expect: "> 0" }
      - { query: "select max(created_at) from training_runs", fresh_within: 1h }
      - { dataset: models }
  wrong:
    run: everything
    checks: [{ query: "select count(*) from models", expect: "= 1" }, { query: "select * from no_such", expect: "1" }]
)";
        std::string filled;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text.compare(i, 7, "@socket") == 0) {
                filled += database_.scratch().path().string();
                i += 6;
            } else if (text.compare(i, 2, "@/") == 0) {
                filled += scratch_.path().string();
            } else {
                filled += text[i];
            }
        }
        return filled;
    }

    PostgresCluster database_;
    ScratchDirectory scratch_{memory_if_there()};
};

// Calls an action when a step reaches a state.
struct When : runbook::Observer {
    When(std::string step, StepState state, std::function<void()> action)
        : step(std::move(step)), state(state), action(std::move(action)) {}
    void changed(runbook::StepStatus const& status) override {
        if (status.name == step && status.state == state) action();
    }
    std::string step;
    StepState state;
    std::function<void()> action;
};

class DrillTest : public ::testing::Test {
  public:
    static void SetUpTestSuite() { company_ = std::make_unique<Company>(); }
    static void TearDownTestSuite() { company_.reset(); }

  protected:
    DrillTest() {
        fs::create_directories(company_->place());
        fs::create_directories(company_->traces());
        fs::create_directories(company_->recovered());
        ScratchDirectory::give_to_postgres(company_->recovered());
    }
    ~DrillTest() override {
        expect_nothing_left();
        for (auto const& path : {company_->traces(), company_->recovered()}) EXPECT_TRUE(remove_tree(path));
    }

    DrillOptions options() { return {.in = company_->place(), .warn = [&](auto const& text) { warned_ += text + "\n"; }}; }
    Rehearsed drill(std::string const& name) {
        auto workspace = company_->open();
        auto result = run_drill(*workspace, name, options(), {});
        EXPECT_TRUE(result) << result.error().message;
        return std::move(*result);
    }
    void expect_nothing_left() {
        EXPECT_TRUE(fs::is_empty(company_->place()));
        EXPECT_THAT(processes_below(company_->place().string()).value(), IsEmpty());
    }
    bool trace(std::string const& name) { return fs::exists(company_->traces() / name); }

    // Does `work` in a process of its own, which is killed by -9 from within.
    static void killed(std::function<void()> const& work) {
        auto const child = ::fork();
        if (child == 0) {
            work();
            ::_exit(7);  // it was not killed
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        EXPECT_TRUE(WIFSIGNALED(status)) << "exit code " << WEXITSTATUS(status);
    }

    static std::unique_ptr<Company> company_;
    std::string warned_;
};
std::unique_ptr<Company> DrillTest::company_;

std::string reasons(Evidence const& evidence) {
    std::string text;
    for (auto const& reason : evidence.reasons) text += reason.text + "\n";
    return text;
}

CheckEvidence const* check(Evidence const& evidence, std::string const& name) {
    for (auto const& check : evidence.checks) {
        if (check.name == name) return &check;
    }
    return nullptr;
}

StepEvidence const* step(Evidence const& evidence, std::string const& name) {
    for (auto const& step : evidence.steps) {
        if (step.name == name) return &step;
    }
    return nullptr;
}

TEST_F(DrillTest, ProvesThatEverythingComesBack) {
    auto const result = drill("good");
    auto const& evidence = result.evidence;
    EXPECT_FALSE(result.failure) << reasons(evidence);
    EXPECT_TRUE(evidence.proven);
    EXPECT_EQ(warned_, "");
    ASSERT_EQ(evidence.datasets.size(), 3u);
    for (auto const& dataset : evidence.datasets) {
        EXPECT_TRUE(dataset.verified) << dataset.dataset << ": " << dataset.reason;
        EXPECT_GT(dataset.files_compared, 0u) << dataset.dataset;
        EXPECT_TRUE(dataset.rpo_achieved);
    }
    EXPECT_THAT(evidence.datasets[0].newest_from, HasSubstr("training_runs"));
    for (auto name : {"the database starts", "data pages", "backup manifest", "select count(*) from models",
                      "structure of tables and indexes (pg_amcheck)", "the whole dataset"}) {
        ASSERT_TRUE(check(evidence, name)) << name;
        EXPECT_EQ(check(evidence, name)->verdict, CheckVerdict::passed) << name;
    }
    EXPECT_THAT(evidence.postgres_version, HasSubstr("15."));
    ASSERT_EQ(evidence.services.size(), 1u);
    EXPECT_TRUE(evidence.services[0].rto_from_outage);
    ASSERT_GE(evidence.clean_up.size(), 3u);
    for (auto const& statement : evidence.clean_up) EXPECT_TRUE(statement.holds) << statement.what;

    EXPECT_TRUE(fs::exists(result.saved.report_file));
    EXPECT_TRUE(verify_evidence(result.saved.evidence_file));
    auto workspace = company_->open();
    auto const head = (*workspace->catalog())->evidence_head();
    EXPECT_THAT(verify_evidence_chain(company_->state(), *head)->faults, IsEmpty());
    auto const noted = (*workspace->catalog())->drills({.name = "good"});
    ASSERT_FALSE(noted->empty());
    EXPECT_TRUE(noted->front().passed);
    auto const ladder = (*workspace->catalog())->ladder("database");
    EXPECT_EQ(ladder->back().rung, catalog::Rung::validated);
}

TEST_F(DrillTest, TouchesNothingOutsideItsPlace) {
    auto const result = drill("good");
    EXPECT_TRUE(fs::is_empty(company_->traces())) << "a command ran";
    EXPECT_TRUE(fs::is_empty(company_->recovered())) << "it restored where the plan restores for real";
    for (auto name : {"fence", "unfence", "tell"}) {
        ASSERT_TRUE(step(result.evidence, name)) << name;
        EXPECT_EQ(step(result.evidence, name)->outcome, StepOutcome::skipped);
        EXPECT_THAT(step(result.evidence, name)->detail, HasSubstr("reaches outside"));
    }
    EXPECT_FALSE(fs::exists(company_->state() / "runs")) << "nobody shall resume a drill";
}

TEST_F(DrillTest, RehearsesEveryDatasetWithoutAPlanOfItsOwn) {
    auto const result = drill("");
    EXPECT_TRUE(result.evidence.proven) << reasons(result.evidence);
    EXPECT_EQ(result.evidence.datasets.size(), 3u);
}

TEST_F(DrillTest, SaysWhatDidNotHold) {
    auto const result = drill("wrong");
    ASSERT_TRUE(result.failure);
    EXPECT_EQ(result.failure->kind, ErrorKind::check_failed);
    EXPECT_EQ(check(result.evidence, "select count(*) from models")->actual, "5000");
    ASSERT_TRUE(check(result.evidence, "select * from no_such"));
    EXPECT_EQ(check(result.evidence, "select * from no_such")->verdict, CheckVerdict::failed);
    EXPECT_THAT(check(result.evidence, "select * from no_such")->actual, HasSubstr("no_such"));
    EXPECT_TRUE(verify_evidence(result.saved.evidence_file)) << "a failed drill is evidence, too";
}

TEST_F(DrillTest, CountsTheLossFromTheOutage) {
    auto workspace = company_->open();
    auto wanted = options();
    wanted.outage = system_clock().now() - std::chrono::hours(24 * 365);
    auto const result = run_drill(*workspace, "good", wanted, {});
    // The newest row is a year after that outage: some clock is wrong.
    EXPECT_EQ(result->failure->kind, ErrorKind::check_failed);
    EXPECT_THAT(reasons(result->evidence), HasSubstr("a clock is wrong"));
}

TEST_F(DrillTest, CleansUpWhenItIsStopped) {
    auto workspace = company_->open();
    std::stop_source stop;
    When at("database", StepState::running, [&] { stop.request_stop(); });
    auto wanted = options();
    wanted.observer = &at;
    auto const result = run_drill(*workspace, "good", wanted, stop.get_token());
    ASSERT_TRUE(result) << result.error().message;
    EXPECT_EQ(result->failure->kind, ErrorKind::cancelled);
    EXPECT_FALSE(result->evidence.proven);
    expect_nothing_left();
}

TEST_F(DrillTest, IsRefusedWhenItDoesNotExist) {
    auto workspace = company_->open();
    auto const result = run_drill(*workspace, "goood", options(), {});
    EXPECT_EQ(result.error().kind, ErrorKind::not_found);
    EXPECT_THAT(result.error().hint, HasSubstr("'good'"));
}

TEST_F(DrillTest, IsRefusedInsideADataset) {
    auto workspace = company_->open();
    auto wanted = options();
    wanted.in = company_->models() / "below";
    EXPECT_EQ(run_drill(*workspace, "good", wanted, {}).error().kind, ErrorKind::unsafe);
    EXPECT_FALSE(fs::exists(wanted.in));
}

TEST_F(DrillTest, ThatIsKilledIsCleanedUpByTheNext) {
    for (auto const& [name, state] : {std::pair{"database", StepState::running}, std::pair{"database", StepState::succeeded},
                                      std::pair{"validate", StepState::succeeded}, std::pair{"configuration", StepState::succeeded}}) {
        killed([&] {
            auto workspace = company_->open();
            When at(name, state, [] { ::raise(SIGKILL); });
            auto wanted = options();
            wanted.observer = &at;
            (void)run_drill(*workspace, "good", wanted, {});
        });
        EXPECT_FALSE(fs::is_empty(company_->place())) << "it left nothing: the test tests nothing";
        auto const result = drill("good");
        EXPECT_TRUE(result.evidence.proven) << reasons(result.evidence);
        ASSERT_EQ(result.swept.size(), 1u);
        EXPECT_THAT(result.evidence.notes, ::testing::Contains(HasSubstr("which was cut off")));
        expect_nothing_left();
    }
}

// A newer point of a dataset that is damaged, until the object is gone.
class DamagedPoint {
  public:
    DamagedPoint(Company const& company, std::string const& dataset) {
        auto workspace = company.open();
        auto const made = back_up(*workspace, *workspace->dataset(dataset), "primary", {}, {}, {});
        EXPECT_TRUE(made) << made.error().message;
        for (auto const& entry : fs::recursive_directory_iterator(company.repository() / "points")) {
            if (entry.path().filename().string().ends_with(made->point.id.hex())) file_ = entry.path();
        }
        EXPECT_FALSE(file_.empty());
        content_ = slurp(file_);
        auto changed = content_;
        changed[changed.size() / 2] ^= 0x10;
        fs::permissions(file_, fs::perms::owner_write, fs::perm_options::add);
        spill(file_, changed);
    }
    ~DamagedPoint() { spill(file_, content_); }
    std::string name() const { return file_.filename(); }

  private:
    static std::string slurp(fs::path const& path) {
        std::ifstream file(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    fs::path file_;
    std::string content_;
};

TEST_F(DrillTest, NamesAPointThatStandsInForADamagedOne) {
    DamagedPoint const damaged(*company_, "configuration");
    auto const result = drill("good");
    EXPECT_FALSE(result.failure) << reasons(result.evidence);
    auto const says = ::testing::AllOf(HasSubstr("'configuration': a newer point is damaged"), HasSubstr(damaged.name()));
    EXPECT_THAT(warned_, says);
    EXPECT_THAT(result.evidence.notes, ::testing::Contains(says));
    auto const told = std::ranges::count_if(result.evidence.notes, [&](std::string const& note) {
        return note.find("a newer point is damaged") != note.npos;
    });
    EXPECT_EQ(told, 1);
    std::ifstream report(result.saved.report_file);
    EXPECT_THAT(std::string(std::istreambuf_iterator<char>(report), {}), HasSubstr("a newer point is damaged"));
}

// Restores the newest point of a dataset and compares it with the point.
std::vector<std::string> restored_and_compared(Workspace& workspace, std::string const& dataset, fs::path const& target,
                                               RestorePointOptions options, ComparePointOptions const& compare) {
    auto const point = find_point(workspace, dataset + "@latest", {}, {});
    EXPECT_TRUE(point) << point.error().message;
    options.target = target;
    options.restore.durable = false;
    auto const restored = restore_point(workspace, *point, options, {}, {}, {});
    EXPECT_TRUE(restored) << restored.error().message;
    auto const differences = compare_with_point(workspace, *point, target, compare, {});
    EXPECT_TRUE(differences) << differences.error().message;
    return *differences;
}

TEST_F(DrillTest, ComparesWhatWasToBeRestored) {
    ScratchDirectory scratch;
    spill(scratch / "tools/tool", "#!/bin/sh\n");
    ASSERT_EQ(::chmod((scratch / "tools/tool").c_str(), 04755), 0);
    auto workspace = company_->open();
    plan::Dataset tools;
    tools.name = "tools";
    tools.paths = {scratch / "tools"};
    ASSERT_TRUE(back_up(*workspace, tools, "primary", {}, {}, {}));
    RestorePointOptions without, with;
    with.restore.set_special_bits = true;
    EXPECT_THAT(restored_and_compared(*workspace, "tools", scratch / "without", without, {.special_bits = false}), IsEmpty());
    EXPECT_THAT(restored_and_compared(*workspace, "tools", scratch / "without", without, {}),
                ::testing::ElementsAre(HasSubstr("mode")));
    EXPECT_THAT(restored_and_compared(*workspace, "tools", scratch / "with", with, {}), IsEmpty());
}

TEST_F(DrillTest, ComparesADatabaseWhoseTablespacesWereMoved) {
    PostgresCluster database;
    database.sql("create tablespace fast location '" + database.scratch().make("fast") + "'");
    database.sql("create table t tablespace fast as select generate_series(1, 5000) i");
    auto workspace = company_->open();
    plan::Dataset spaces;
    spaces.name = "spaces";
    spaces.kind = plan::DatasetKind::postgres;
    spaces.connect = database.conninfo();
    auto const made = back_up(*workspace, spaces, "primary", {}, {}, {});
    ASSERT_TRUE(made) << made.error().message;
    auto const oid = database.value("select oid from pg_tablespace where spcname = 'fast'");
    ScratchDirectory scratch;
    RestorePointOptions options;
    options.tablespaces = {{oid, scratch / "space[1]"}};
    auto const target = scratch / "data[1]";
    auto const point = find_point(*workspace, "spaces@latest", {}, {});
    ASSERT_TRUE(point);
    EXPECT_THAT(restored_and_compared(*workspace, "spaces", target, options, {.tablespaces = options.tablespaces}), IsEmpty());
    for (auto const& entry : fs::recursive_directory_iterator(scratch / "space[1]")) {
        if (entry.is_regular_file() && entry.file_size() > 0) std::ofstream(entry.path(), std::ios::app) << "more";
    }
    auto const differences = compare_with_point(*workspace, *point, target, {.tablespaces = options.tablespaces}, {});
    ASSERT_TRUE(differences) << differences.error().message;
    EXPECT_THAT(*differences, ::testing::ElementsAre(HasSubstr("pg_tblspc/" + oid + "/")));
}

class RecoveryTest : public DrillTest {
  protected:
    RecoveryRequest request() {
        return {.name = "database-failure", .outage = system_clock().now() - std::chrono::seconds(30)};
    }
    Warn warn() {
        return [&](std::string const& text) { warned_ += text; };
    }
};

TEST_F(RecoveryTest, LeavesEvidence) {
    auto workspace = company_->open();
    auto const outcome = recover(*workspace, request(), {}, warn(), {});
    ASSERT_TRUE(outcome) << outcome.error().message;
    ASSERT_TRUE(outcome->evidence);
    auto const& evidence = *outcome->evidence;
    EXPECT_TRUE(evidence.proven) << reasons(evidence);
    EXPECT_EQ(evidence.name, "database-failure");
    EXPECT_EQ(evidence.datasets.size(), 3u);
    EXPECT_GT(*evidence.services.at(0).rto_from_outage, *evidence.services.at(0).rto_from_declaration);
    EXPECT_TRUE(trace("fence"));
    EXPECT_TRUE(trace("unfence"));
    EXPECT_EQ(step(evidence, "tell")->outcome, StepOutcome::skipped);
    EXPECT_TRUE(check(evidence, "every chunk of the recovery point"));
    EXPECT_TRUE(fs::exists(company_->recovered() / "etc" / "part0"));
    EXPECT_EQ(warned_, "");

    ASSERT_EQ(evidence.journals.size(), 1u);
    EXPECT_EQ(evidence.journals[0].run, evidence.run);
    EXPECT_THAT(verify_evidence_chain(company_->state())->faults, IsEmpty());
    auto const journal = runbook::run_directory(company_->state(), evidence.run) / "journal.jsonl";
    std::ifstream file(journal, std::ios::binary);
    std::string const whole{std::istreambuf_iterator<char>(file), {}};
    spill(journal, whole.substr(0, whole.rfind('\n', whole.size() - 2) + 1));
    EXPECT_THAT(verify_evidence_chain(company_->state())->faults,
                ::testing::ElementsAre(HasSubstr("journal of run '" + evidence.run)));
    spill(journal, whole);
}

TEST_F(RecoveryTest, NamesAPointThatStandsInForADamagedOne) {
    DamagedPoint const damaged(*company_, "models");
    auto workspace = company_->open();
    auto const outcome = recover(*workspace, request(), {}, warn(), {});
    ASSERT_TRUE(outcome) << outcome.error().message;
    ASSERT_TRUE(outcome->evidence);
    EXPECT_THAT(warned_, HasSubstr("'models': a newer point is damaged"));
    EXPECT_THAT(outcome->evidence->notes, ::testing::Contains(HasSubstr(damaged.name())));
}

TEST_F(RecoveryTest, ThatIsKilledGoesOn) {
    for (auto const& [name, state] : {std::pair{"database", StepState::running}, std::pair{"database", StepState::succeeded},
                                      std::pair{"validate", StepState::running}, std::pair{"models", StepState::succeeded}}) {
        EXPECT_TRUE(remove_tree(company_->recovered() / "database"));
        killed([&] {
            auto workspace = company_->open();
            When at(name, state, [] { ::raise(SIGKILL); });
            (void)recover(*workspace, request(), {.observer = &at}, warn(), {});
        });
        auto workspace = company_->open();
        auto const run = runbook::find_run(company_->state(), "");
        // The last step's end and the run's are records right behind each other: the kill may have come too late.
        if (!run && std::string_view(name) == "models") continue;
        ASSERT_TRUE(run) << name << ": " << run.error().message;
        runbook::ResumeRequest again{.run = *run};
        // A command is not idempotent: somebody has to say whether it was done.
        again.decisions["fence"] = {.choice = runbook::Choice::redo};
        auto outcome = resume(*workspace, again, {}, warn(), {});
        if (!outcome && outcome.error().kind == ErrorKind::usage) {
            again.decisions.clear();
            outcome = resume(*workspace, again, {}, warn(), {});
        }
        ASSERT_TRUE(outcome) << outcome.error().message;
        ASSERT_TRUE(outcome->evidence) << name;
        EXPECT_TRUE(outcome->evidence->proven) << reasons(*outcome->evidence);
        EXPECT_THAT(outcome->evidence->notes, ::testing::Contains(HasSubstr("resumed once")));
    }
}

TEST_F(RecoveryTest, FailsWithWhatFailed) {
    auto workspace = company_->open();
    auto asked = request();
    asked.parameters["to"] = "2001-01-01T00:00:00Z";
    auto const outcome = recover(*workspace, asked, {}, warn(), {});
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().message, HasSubstr("younger"));
    EXPECT_FALSE(trace("fence")) << "nothing runs that cannot succeed";
    asked = request();
    asked.outage = system_clock().now() + std::chrono::hours(1);
    EXPECT_EQ(recover(*workspace, asked, {}, warn(), {}).error().kind, ErrorKind::usage);
}

}  // namespace
}  // namespace holdfast::drill
