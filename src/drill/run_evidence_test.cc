#include "drill/run_evidence.h"

#include <gmock/gmock.h>

namespace holdfast::drill {
namespace {

using namespace std::chrono_literals;
using plan::Value;
using runbook::RunState;
using runbook::StepState;
using runbook::StepStatus;
using testing::ElementsAre;
using testing::HasSubstr;

Time at(std::string_view text) { return *parse_rfc3339(text); }

Plan sample_plan() {
    Plan plan;
    plan.objectives.data.add({.name = "critical", .at = {}, .limit = 1h});
    plan.objectives.services.add({.name = "critical", .at = {}, .limit = 4h});
    for (auto const& [name, kind] : {std::pair{"database", plan::DatasetKind::postgres},
                                     std::pair{"models", plan::DatasetKind::models},
                                     std::pair{"cluster", plan::DatasetKind::kubernetes}}) {
        plan::Dataset dataset;
        dataset.name = name;
        dataset.kind = kind;
        dataset.tier = "critical";
        plan.datasets.add(dataset);
    }
    plan::Service api;
    api.name = "api";
    api.tier = "critical";
    api.needs = {"database", "cluster"};
    plan.services.add(api);
    plan::Service site;
    site.name = "site";
    site.needs = {"api", "models"};
    plan.services.add(site);
    plan::Service other;
    other.name = "other";
    other.needs = {"cluster"};
    plan.services.add(other);
    return plan;
}

Value map(std::vector<std::pair<std::string, Value>> const& members) {
    Value value;
    value.members();
    for (auto const& [name, member] : members) value.set(name, member);
    return value;
}

StepStatus restored(std::string step, std::string kind, std::string dataset) {
    StepStatus status{.name = std::move(step), .kind = std::move(kind), .state = StepState::succeeded, .attempts = 1};
    status.started = at("2026-11-22T10:31:08Z");
    status.ended = at("2026-11-22T10:31:20Z");
    status.arguments = map({{"dataset", dataset}});
    status.outputs = map({{"dataset", dataset}, {"repository", "primary"}, {"point", std::string(64, 'a')},
                          {"time", "2026-11-22T10:00:00Z"}, {"lsn", "0/5A0000D8"}, {"files", 12}, {"bytes", 4096},
                          {"files_compared", 12}, {"differences", 0}, {"verified", true}});
    status.summary = "12 files";
    return status;
}

RunState sample_run() {
    RunState run;
    run.run = "20261122T103107-5f0c";
    run.runbook.name = "restore-database";
    run.parameters = {{"to", "latest"}};
    run.steps.push_back(restored("restore", "postgres.restore", "database"));
    run.steps.back().effects.set(
        "validated", map({{"verified", 2}, {"suspicious", 0}, {"damaged", 0}, {"not_verified", 1},
                          {"details", Value::List{map({{"object", "backup manifest"}, {"verdict", "verified"}, {"detail", "1288 files"}}),
                                                  map({{"object", "data pages"}, {"verdict", "verified"}, {"detail", "28,160 pages"}}),
                                                  map({{"object", "pg_verifybackup"}, {"verdict", "not_verified"}, {"detail", "not installed"}})}}}));
    run.steps.push_back(restored("models", "models.restore", "models"));
    StepStatus check{.name = "fresh", .kind = "sql.check", .state = StepState::succeeded, .attempts = 1};
    check.arguments = map({{"on", "restore"}, {"query", "select max(created_at) from training_runs"}});
    check.effects = map({{"checked", map({{"expected", "at most 1h"}, {"actual", "10m before"}, {"holds", true},
                                          {"newest", "2026-11-22T10:20:00Z"}})}});
    run.steps.push_back(check);
    return run;
}

Evidence evidence_of(RunState const& run) {
    Evidence evidence;
    evidence.outage = evidence.declared = evidence.started = at("2026-11-22T10:30:00Z");
    evidence.ended = at("2026-11-22T10:32:00Z");
    add_run(evidence, run, sample_plan());
    add_services(evidence, sample_plan());
    conclude(evidence);
    return evidence;
}

TEST(RunEvidence, StatesWhatTheJournalKnows) {
    auto const evidence = evidence_of(sample_run());
    EXPECT_TRUE(evidence.proven) << (evidence.reasons.empty() ? "" : evidence.reasons[0].text);
    ASSERT_EQ(evidence.datasets.size(), 2u);
    auto const& database = evidence.datasets[0];
    EXPECT_EQ(database.kind, "postgres");
    EXPECT_EQ(database.lsn, "0/5A0000D8");
    EXPECT_TRUE(database.verified);
    EXPECT_EQ(database.rpo_objective.value(), 1h);
    EXPECT_EQ(database.rpo_achieved.value(), 10min) << "from the newest row, not from the point";
    EXPECT_THAT(database.newest_from, HasSubstr("training_runs"));
    EXPECT_EQ(evidence.datasets[1].rpo_achieved.value(), 30min);
    std::vector<std::string> names;
    for (auto const& check : evidence.checks) names.push_back(check.dataset + ": " + check.name);
    EXPECT_THAT(names, ElementsAre("database: backup manifest", "database: data pages",
                                   "models: comparison with the point",
                                   "database: select max(created_at) from training_runs"));
    EXPECT_THAT(evidence.notes, ElementsAre(HasSubstr("pg_verifybackup is not verified")));
    EXPECT_THAT(evidence.runbooks, ElementsAre("restore-database"));
}

TEST(RunEvidence, KnowsTheServicesThatNeedWhatCameBack) {
    auto const evidence = evidence_of(sample_run());
    ASSERT_EQ(evidence.services.size(), 2u);
    EXPECT_EQ(evidence.services[0].service, "api");
    EXPECT_EQ(evidence.services[0].rto_objective.value(), 4h);
    EXPECT_EQ(evidence.services[0].rto_from_outage.value(), 2min);
    EXPECT_THAT(evidence.services[0].missing, ElementsAre("cluster"));
    EXPECT_EQ(evidence.services[1].service, "site");
    EXPECT_THAT(evidence.services[1].missing, ElementsAre("cluster"));
}

TEST(RunEvidence, AFailedCheckIsToldWithWhatWasFound) {
    auto run = sample_run();
    auto& check = run.steps[2];
    check.state = StepState::failed;
    check.error = Error{ErrorKind::check_failed, "'select …': expected …", ""};
    check.effects = map({{"checked", map({{"expected", "at most 1h"}, {"actual", "2d before"}, {"holds", false}})}});
    auto const evidence = evidence_of(run);
    EXPECT_FALSE(evidence.proven);
    EXPECT_EQ(evidence.checks.back().verdict, CheckVerdict::failed);
    EXPECT_EQ(evidence.checks.back().actual, "2d before");
}

TEST(RunEvidence, WhatWasNotRestoredIsNotVerified) {
    auto run = sample_run();
    run.steps[0].state = StepState::failed;
    run.steps[0].outputs = Value();
    run.steps[0].error = Error{ErrorKind::no_space, "no space left", ""};
    run.steps[2].state = StepState::blocked;
    run.steps[2].effects = Value();
    run.steps[2].reason = "'restore' failed";
    auto const evidence = evidence_of(run);
    EXPECT_EQ(evidence.datasets[0].dataset, "database");
    EXPECT_FALSE(evidence.datasets[0].verified);
    EXPECT_THAT(evidence.datasets[0].reason, HasSubstr("no space left"));
    EXPECT_EQ(evidence.checks.back().verdict, CheckVerdict::not_run);
    EXPECT_EQ(evidence.steps[2].outcome, StepOutcome::not_run);
}

TEST(RunEvidence, DifferencesAndProblemsSpoilADataset) {
    auto run = sample_run();
    run.steps[1].outputs.set("differences", 2);
    run.steps[1].outputs.set("difference", "a/b: mode");
    run.steps[1].outputs.set("verified", false);
    auto evidence = evidence_of(run);
    EXPECT_THAT(evidence.datasets[1].reason, HasSubstr("2 differences to the point, e.g. a/b: mode"));

    run = sample_run();
    run.steps[1].outputs.set("verified", false);
    run.steps[1].outputs.set("problem", "x: owner");
    EXPECT_THAT(evidence_of(run).datasets[1].reason, HasSubstr("x: owner"));
}

TEST(RunEvidence, NobodysWordIsProof) {
    auto run = sample_run();
    run.steps[0].outputs = map({{"target", "/srv"}});  // "done", said the operator
    auto const evidence = evidence_of(run);
    EXPECT_FALSE(evidence.datasets[0].verified);
    EXPECT_THAT(evidence.datasets[0].reason, HasSubstr("somebody said"));
}

TEST(RunEvidence, TellsWhatWasLeftOut) {
    auto evidence = evidence_of(sample_run());
    plan::Step step;
    step.name = "fence";
    step.kind = "kubernetes.scale";
    add_left_out(evidence, "restore-database", {{step, "it reaches outside", true}});
    conclude(evidence);
    EXPECT_TRUE(evidence.proven);
    add_left_out(evidence, "restore-database", {{step, "it needs 'x'", false}});
    conclude(evidence);
    EXPECT_FALSE(evidence.proven);
}

}  // namespace
}  // namespace holdfast::drill
