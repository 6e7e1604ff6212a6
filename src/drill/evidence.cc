#include "drill/evidence.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace holdfast::drill {
namespace {

Duration not_negative(Duration duration) { return std::max(duration, Duration(0)); }

class Verdict {
  public:
    explicit Verdict(Evidence& evidence) : evidence_(evidence) {}

    void draw(std::vector<Reason> const& extra) {
        evidence_.reasons = extra;
        for (auto const& step : evidence_.steps) look_at(step);
        for (auto& dataset : evidence_.datasets) look_at(dataset);
        for (auto const& check : evidence_.checks) look_at(check);
        if (evidence_.datasets.empty() && evidence_.checks.empty()) {
            failed("nothing was brought back and nothing was checked");
        }
        for (auto const& statement : evidence_.clean_up) {
            if (!statement.holds) {
                failed("not cleaned up: " + statement.what +
                       (statement.detail.empty() ? "" : ": " + statement.detail));
            }
        }
        for (auto& service : evidence_.services) look_at(service);
        evidence_.proven = evidence_.reasons.empty();
    }

  private:
    void failed(std::string text) { add(ErrorKind::check_failed, std::move(text)); }
    void missed(std::string text) { add(ErrorKind::objective_missed, std::move(text)); }
    void add(ErrorKind kind, std::string text) {
        evidence_.reasons.push_back({kind, std::move(text)});
    }

    void look_at(StepEvidence const& step) {
        auto const because = step.detail.empty() ? "" : ": " + step.detail;
        if (step.outcome == StepOutcome::failed) failed("step '" + step.name + "' failed" + because);
        if (step.outcome == StepOutcome::not_run) failed("step '" + step.name + "' did not run" + because);
    }

    void look_at(DatasetEvidence& dataset) {
        dataset.rpo_achieved.reset();
        if (!dataset.verified) {
            failed("dataset '" + dataset.dataset + "' is not verified" +
                   (dataset.reason.empty() ? "" : ": " + dataset.reason));
            return;
        }
        dataset.rpo_achieved =
            not_negative(evidence_.outage - dataset.newest.value_or(dataset.point_time));
        if (met(dataset.rpo_objective, dataset.rpo_achieved) == false) {
            missed(fmt::format("dataset '{}': {} would be lost, the objective is {}", dataset.dataset,
                               format_duration(*dataset.rpo_achieved),
                               format_duration(*dataset.rpo_objective)));
        }
    }

    void look_at(CheckEvidence const& check) {
        if (check.verdict == CheckVerdict::passed) return;
        auto const where = check.dataset.empty() ? "" : " on '" + check.dataset + "'";
        if (check.verdict == CheckVerdict::not_run) {
            failed("check '" + check.name + "'" + where + " did not run" +
                   (check.actual.empty() ? "" : ": " + check.actual));
        } else {
            failed("check '" + check.name + "'" + where + ": expected " + check.expected + ", was " +
                   check.actual);
        }
    }

    // Recovery ends when it is proven, so a run that proves nothing has achieved no recovery time.
    void look_at(ServiceEvidence& service) {
        service.rto_from_outage.reset();
        service.rto_from_declaration.reset();
        auto const checks_failed = std::ranges::any_of(evidence_.reasons, [](Reason const& reason) {
            return reason.kind != ErrorKind::objective_missed;
        });
        if (checks_failed) return;
        service.rto_from_outage = not_negative(evidence_.ended - evidence_.outage);
        service.rto_from_declaration = not_negative(evidence_.ended - evidence_.declared);
        if (met(service.rto_objective, service.rto_from_outage) == false) {
            missed(fmt::format("service '{}': recovered {} after the outage, the objective is {}",
                               service.service, format_duration(*service.rto_from_outage),
                               format_duration(*service.rto_objective)));
        }
    }

    Evidence& evidence_;
};

}  // namespace

void conclude(Evidence& evidence, std::vector<Reason> const& extra) { Verdict(evidence).draw(extra); }

void add_note(Evidence& evidence, std::string const& note) {
    if (std::ranges::find(evidence.notes, note) == evidence.notes.end()) evidence.notes.push_back(note);
}

std::optional<bool> met(std::optional<Duration> objective, std::optional<Duration> achieved) {
    if (!objective || !achieved) return std::nullopt;
    return *achieved <= *objective;
}

std::optional<Error> failure_of(Evidence const& evidence) {
    if (evidence.proven) return std::nullopt;
    auto kind = ErrorKind::objective_missed;
    std::vector<std::string> texts;
    for (auto const& reason : evidence.reasons) {
        if (reason.kind != ErrorKind::objective_missed) kind = ErrorKind::check_failed;
        texts.push_back(reason.text);
    }
    return Error{kind, fmt::format("{} '{}': not proven: {}", to_text(evidence.kind), evidence.name,
                                   join(texts, "; ")),
                 "the report says what was expected and what was found"};
}

std::string_view to_text(EvidenceKind kind) {
    return kind == EvidenceKind::drill ? "drill" : "recovery";
}

std::string_view to_text(StepOutcome outcome) {
    switch (outcome) {
        case StepOutcome::done: return "done";
        case StepOutcome::failed: return "failed";
        case StepOutcome::skipped: return "skipped";
        case StepOutcome::not_run: return "not run";
    }
    return "not run";
}

std::string_view to_text(CheckVerdict verdict) {
    switch (verdict) {
        case CheckVerdict::passed: return "passed";
        case CheckVerdict::failed: return "failed";
        case CheckVerdict::not_run: return "not run";
    }
    return "not run";
}

}  // namespace holdfast::drill
