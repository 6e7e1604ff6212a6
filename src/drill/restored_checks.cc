#include "drill/restored_checks.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "drill/isolated_runbook.h"
#include "drill/run_evidence.h"
#include "sources/postgres/conninfo.h"
#include "steps/sql_check.h"

namespace holdfast::drill {
namespace {

steps::SqlCheck sql_check_of(plan::Check const& check) {
    return {.query = check.query, .expect = check.expect, .fresh_within = check.fresh_within};
}

CheckEvidence not_run(std::string const& dataset, plan::Check const& check, std::string why) {
    return {.dataset = dataset, .name = check.query, .expected = check.expect, .actual = std::move(why)};
}

}  // namespace

void RestoredChecks::run(std::vector<runbook::RunState> const& runs, std::vector<plan::Check> const& checks) {
    std::vector<Restored> databases;
    for (auto const& run : runs) {
        for (auto const& step : run.steps) {
            if (!is_restore(step.kind) || step.state != runbook::StepState::succeeded) continue;
            if (step.outputs.member_text("kind") != "postgres") continue;
            databases.push_back({step.outputs.member_text("dataset"), step.outputs.member_text("target")});
        }
    }
    std::set<std::string> asked;
    for (auto const& database : databases) {
        if (stop_.stop_requested()) return;
        std::vector<plan::Check> own;
        std::ranges::copy_if(checks, std::back_inserter(own), [&](plan::Check const& check) {
            return !check.query.empty() && dataset_of(check) == database.dataset;
        });
        check_database(database, own);
        asked.insert(database.dataset);
    }
    for (auto const& check : checks) {
        if (check.query.empty() && !check.dataset.empty()) check_dataset(check);
        auto const dataset = dataset_of(check);
        if (check.query.empty() || asked.contains(dataset)) continue;
        add_check(evidence_, not_run(dataset, check, "no such database was brought back"));
    }
}

// The plan leaves out the dataset where it has only one database.
std::string RestoredChecks::dataset_of(plan::Check const& check) const {
    if (!check.dataset.empty()) return check.dataset;
    std::string only;
    for (auto const& dataset : plan_.datasets) {
        if (dataset.kind != plan::DatasetKind::postgres) continue;
        if (!only.empty()) return {};
        only = dataset.name;
    }
    return only;
}

void RestoredChecks::check_database(Restored const& restored, std::vector<plan::Check> const& checks) {
    CheckEvidence starts{.dataset = restored.dataset,
                         .name = "the database starts",
                         .expected = "it accepts queries, where it can reach nothing"};
    auto const cluster = clusters_.use(restored.target, stop_);
    if (!cluster) {
        starts.actual = cluster.error().message;
        starts.verdict = CheckVerdict::failed;
        add_check(evidence_, std::move(starts));
        for (auto const& check : checks) add_check(evidence_, not_run(restored.dataset, check, "it did not start"));
        return;
    }
    sockets_.insert((*cluster)->socket_directory());
    evidence_.postgres_version = (*cluster)->version();
    starts.actual = (*cluster)->standing();
    starts.verdict = CheckVerdict::passed;
    add_check(evidence_, std::move(starts));
    // The plan's questions come first: what follows may add to the database.
    for (auto const& check : checks) check_query(restored.dataset, check, **cluster);
    check_structure(restored.dataset, **cluster);
}

void RestoredChecks::check_query(std::string const& dataset, plan::Check const& check,
                                 steps::RunningCluster& cluster) {
    auto database = check.database;
    if (auto const* known = plan_.datasets.find(dataset); known && database.empty()) {
        database = postgres::database_of(known->connect).value_or("");
    }
    auto const answer = cluster.query(database, check.query, stop_);
    auto const verdict = answer ? steps::judge_answer(sql_check_of(check), *answer, evidence_.outage)
                                : Result<steps::SqlVerdict>(fail(answer.error()));
    if (!verdict) {
        auto failed = not_run(dataset, check, verdict.error().message);
        // The server's refusal is an answer: a table that is not there has not come back.
        if (!answer && !stop_.stop_requested()) failed.verdict = CheckVerdict::failed;
        add_check(evidence_, std::move(failed));
        return;
    }
    auto const& judgement = verdict->judgement;
    add_check(evidence_,
              {.dataset = dataset,
               .name = check.query,
               .expected = judgement.expected,
               .actual = judgement.actual,
               .verdict = judgement.holds ? CheckVerdict::passed : CheckVerdict::failed},
              verdict->newest);
}

void RestoredChecks::check_structure(std::string const& dataset, steps::RunningCluster& cluster) {
    CheckEvidence check{.dataset = dataset,
                        .name = "structure of tables and indexes (pg_amcheck)",
                        .expected = "no finding in any database"};
    auto const findings = cluster.check_structure(stop_);
    if (!findings) {
        check.actual = findings.error().message;
        add_check(evidence_, std::move(check));
        return;
    }
    std::vector<std::string> sound, wrong;
    for (auto const& finding : *findings) {
        auto const text = finding.detail.empty() ? finding.object : finding.object + ": " + finding.detail;
        switch (finding.verdict) {
            case Finding::Verdict::verified: sound.push_back(finding.object); break;
            case Finding::Verdict::not_verified:
                evidence_.notes.push_back(fmt::format("'{}': not verified: {}", dataset, text));
                break;
            case Finding::Verdict::suspicious:
            case Finding::Verdict::damaged: wrong.push_back(text); break;
        }
    }
    // Where pg_amcheck is not installed there is only the note above.
    if (sound.empty() && wrong.empty()) return;
    check.actual = wrong.empty() ? "no finding in " + join(sound, ", ") : join(wrong, "; ");
    check.verdict = wrong.empty() ? CheckVerdict::passed : CheckVerdict::failed;
    add_check(evidence_, std::move(check));
}

void RestoredChecks::check_dataset(plan::Check const& check) {
    CheckEvidence evidence{.dataset = check.dataset, .name = "the whole dataset", .expected = "as its point says"};
    auto const found = std::ranges::find(evidence_.datasets, check.dataset, &DatasetEvidence::dataset);
    if (found == evidence_.datasets.end()) {
        evidence.actual = "it was not brought back";
    } else {
        evidence.actual = found->verified ? fmt::format("{} files compared", found->files_compared) : found->reason;
        evidence.verdict = found->verified ? CheckVerdict::passed : CheckVerdict::failed;
    }
    add_check(evidence_, std::move(evidence));
}

}  // namespace holdfast::drill
