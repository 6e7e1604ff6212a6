#include "drill/run_evidence.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "runbook/journal.h"
#include "steps/stand_in.h"

namespace holdfast::drill {
namespace {

using plan::Value;
using runbook::RunState;
using runbook::StepState;
using runbook::StepStatus;

std::uint64_t count(Value const& map, std::string_view name) {
    auto const* value = map.find(name);
    auto const* number = value ? value->integer() : nullptr;
    return number && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
}

bool is_true(Value const& map, std::string_view name) { return map.member_text(name) == "true"; }

std::optional<Time> time(Value const& map, std::string_view name) {
    auto const text = map.member_text(name);
    auto const parsed = parse_rfc3339(text);
    if (text.empty() || !parsed) return std::nullopt;
    return *parsed;
}

std::string why_not_done(StepStatus const& step) {
    if (step.error) return step.error->message;
    if (step.state == StepState::running || step.state == StepState::interrupted) return "it was cut off";
    if (step.state == StepState::waiting) return "it waits for the operator";
    return step.reason;
}

class RunReader {
  public:
    RunReader(Evidence& evidence, RunState const& run, Plan const& plan)
        : evidence_(evidence), run_(run), plan_(plan) {}

    void read() {
        evidence_.runbooks.push_back(run_.runbook.name);
        add_stand_in(run_.attributes.find(kStandInAttribute));
        for (auto const& [name, value] : run_.parameters) evidence_.parameters.push_back({name, value});
        for (auto const& step : run_.steps) {
            add_step(step);
            add_stand_in(step.effects.find(steps::kStandIn));
            if (is_restore(step.kind)) add_dataset(step);
        }
        for (auto const& step : run_.steps) {
            if (step.kind == "sql.check") add_sql_check(step);
            if (step.kind == "verify") add_verification(step);
        }
    }

  private:
    void add_stand_in(Value const* lines) {
        if (!lines) return;
        for (auto const& line : lines->texts()) add_note(evidence_, line);
    }

    void add_step(StepStatus const& step) {
        StepEvidence evidence{.runbook = run_.runbook.name, .name = step.name, .kind = step.kind};
        evidence.started = step.started;
        evidence.ended = step.ended;
        evidence.attempts = step.attempts;
        switch (step.state) {
            case StepState::succeeded:
                evidence.outcome = StepOutcome::done;
                evidence.detail = step.summary;
                break;
            case StepState::skipped:
                evidence.outcome = StepOutcome::skipped;
                evidence.detail = step.reason;
                break;
            case StepState::failed:
            case StepState::interrupted:
            case StepState::running:
                evidence.outcome = StepOutcome::failed;
                evidence.detail = why_not_done(step);
                break;
            case StepState::pending:
            case StepState::blocked:
            case StepState::waiting:
                evidence.outcome = StepOutcome::not_run;
                evidence.detail = why_not_done(step);
                break;
        }
        evidence_.steps.push_back(std::move(evidence));
    }

    void add_dataset(StepStatus const& step) {
        // Left out by its condition: then it was not to be brought back.
        if (step.state == StepState::skipped) return;
        auto const& out = step.outputs;
        DatasetEvidence dataset;
        dataset.dataset = step.arguments.member_text("dataset");
        if (dataset.dataset.empty()) dataset.dataset = as_planned(step);
        if (auto const* known = plan_.datasets.find(dataset.dataset)) {
            dataset.kind = to_text(known->kind);
            dataset.tier = known->tier;
            dataset.rpo_objective = plan_.rpo(*known);
        }
        dataset.repository = out.member_text("repository");
        dataset.point = out.member_text("point", step.effects.member_text("point"));
        dataset.lsn = out.member_text("lsn");
        dataset.timeline = out.member_text("timeline");
        dataset.files = count(out, "files");
        dataset.bytes = count(out, "bytes");
        dataset.files_compared = count(out, "files_compared");
        dataset.differences = count(out, "differences");
        auto const point_time = time(out, "time");
        dataset.point_time = point_time.value_or(Time());
        if (step.state != StepState::succeeded) {
            dataset.reason = "it was not restored: " + why_not_done(step);
        } else if (!point_time) {
            dataset.reason = "somebody said that it is restored; nothing was looked at";
        } else if (dataset.differences > 0) {
            dataset.reason = fmt::format("{} differences to the point, e.g. {}", dataset.differences,
                                         out.member_text("difference"));
        } else if (!is_true(out, "verified")) {
            auto const problem = out.member_text("problem");
            dataset.reason = problem.empty() ? "the point misses what could not be read when it was made"
                                             : "not everything could be set, e.g. " + problem;
        } else {
            dataset.verified = true;
        }
        auto const name = dataset.dataset;
        std::erase_if(evidence_.datasets, [&](auto const& known) { return known.dataset == name; });
        std::erase_if(evidence_.checks, [&](auto const& check) { return check.dataset == name; });
        evidence_.datasets.push_back(std::move(dataset));
        if (auto const* found = step.effects.find("validated")) add_findings(name, *found);
        if (point_time && count(out, "files_compared") > 0 && evidence_.datasets.back().kind != "postgres") {
            add_comparison(evidence_.datasets.back(), out);
        }
    }

    // What the plan says where the step never got its arguments.
    std::string as_planned(StepStatus const& step) const {
        auto const* planned = run_.runbook.steps.find(step.name);
        return planned ? dataset_of(*planned, run_.runbook, run_.parameters) : "";
    }

    // Single findings where there are few that matter (a database), else their number (model files).
    void add_findings(std::string const& dataset, Value const& found) {
        auto const* details = found.find("details");
        auto const verified = count(found, "verified"), unknown = count(found, "not_verified"),
                   wrong = count(found, "damaged");
        if (details && verified + unknown + wrong == details->items().size() && verified + unknown + wrong <= 8) {
            for (auto const& detail : details->items()) add_finding(dataset, detail);
        } else if (verified + unknown + wrong > 0) {
            CheckEvidence check{.dataset = dataset, .name = "formats", .expected = "nothing damaged"};
            check.actual = fmt::format("{} verified, {} damaged, {} not verified", verified, wrong, unknown);
            check.verdict = wrong == 0 ? CheckVerdict::passed : CheckVerdict::failed;
            evidence_.checks.push_back(std::move(check));
        }
        if (auto const odd = count(found, "suspicious"); odd > 0) {
            evidence_.notes.push_back(fmt::format("'{}': {} things are suspicious; see the journal", dataset, odd));
        }
    }

    void add_finding(std::string const& dataset, Value const& detail) {
        auto const verdict = detail.member_text("verdict");
        auto const object = detail.member_text("object"), text = detail.member_text("detail");
        if (verdict == "not_verified") {
            // No fault was found, and none was ruled out.
            evidence_.notes.push_back(fmt::format("'{}': {} is not verified: {}", dataset, object, text));
            return;
        }
        CheckEvidence check{.dataset = dataset, .name = object, .expected = "whole"};
        check.actual = text.empty() ? verdict : text;
        check.verdict = verdict == "verified" ? CheckVerdict::passed : CheckVerdict::failed;
        evidence_.checks.push_back(std::move(check));
    }

    void add_comparison(DatasetEvidence const& dataset, Value const& out) {
        CheckEvidence check{.dataset = dataset.dataset,
                            .name = "comparison with the point",
                            .expected = "no difference in content or metadata"};
        check.actual = dataset.differences == 0 ? fmt::format("no difference in {} files", dataset.files_compared)
                                                : fmt::format("{} differences, e.g. {}", dataset.differences,
                                                              out.member_text("difference"));
        check.verdict = dataset.differences == 0 ? CheckVerdict::passed : CheckVerdict::failed;
        evidence_.checks.push_back(std::move(check));
    }

    void add_sql_check(StepStatus const& step) {
        if (step.state == StepState::skipped) return;
        auto arguments = step.arguments;
        auto const* planned = run_.runbook.steps.find(step.name);
        if (arguments.is_null() && planned) arguments = planned->arguments;
        CheckEvidence check{.dataset = database_of(arguments), .name = arguments.member_text("query")};
        check.expected = arguments.member_text("expect");
        std::optional<Time> newest;
        auto const* checked = step.effects.find("checked");
        if (checked && step.state != StepState::pending) {
            check.expected = checked->member_text("expected");
            check.actual = checked->member_text("actual");
            newest = time(*checked, "newest");
        }
        if (step.state == StepState::succeeded) {
            check.verdict = CheckVerdict::passed;
        } else if (checked && !is_true(*checked, "holds")) {
            check.verdict = CheckVerdict::failed;
        } else {
            check.actual = why_not_done(step);
        }
        add_check(evidence_, std::move(check), newest);
    }

    // The database that was asked: the restored one, or the only one that this run restored.
    std::string database_of(Value const& arguments) const {
        auto const on = arguments.member_text("on");
        auto const* restored = run_.find(on);
        if (restored && !on.empty()) {
            auto const name = restored->arguments.member_text("dataset");
            return name.empty() ? as_planned(*restored) : name;
        }
        std::string only;
        for (auto const& dataset : evidence_.datasets) {
            if (dataset.kind != "postgres") continue;
            if (!only.empty()) return {};
            only = dataset.dataset;
        }
        return only;
    }

    void add_verification(StepStatus const& step) {
        if (step.state == StepState::skipped) return;
        CheckEvidence check{.dataset = step.arguments.member_text("dataset"),
                            .name = "every chunk of the recovery point",
                            .expected = "each opens and is what its id says"};
        check.actual = step.state == StepState::succeeded ? step.summary : why_not_done(step);
        check.verdict = step.state == StepState::succeeded ? CheckVerdict::passed
                        : step.state == StepState::failed  ? CheckVerdict::failed
                                                           : CheckVerdict::not_run;
        add_check(evidence_, std::move(check));
    }

    Evidence& evidence_;
    RunState const& run_;
    Plan const& plan_;
};

// Adds the datasets that a service needs, also through other services.
void collect_needs(Plan const& plan, plan::Service const& service, std::set<std::string>& seen,
                   std::vector<std::string>& needs) {
    for (auto const& name : service.needs) {
        if (!seen.insert(name).second) continue;
        if (auto const* other = plan.services.find(name)) {
            collect_needs(plan, *other, seen, needs);
        } else {
            needs.push_back(name);
        }
    }
}

}  // namespace

void add_run(Evidence& evidence, RunState const& run, Plan const& plan) { RunReader(evidence, run, plan).read(); }

void add_journal(Evidence& evidence, std::filesystem::path const& state, std::string const& run) {
    auto const end = runbook::read_journal_end(state, run);
    if (end) {
        evidence.journals.push_back({run, end->records, to_hex(end->hash)});
    } else {
        add_note(evidence, "the journal is not named: " + end.error().message);
    }
}

void add_left_out(Evidence& evidence, std::string const& runbook, std::vector<LeftOut> const& left_out) {
    for (auto const& left : left_out) {
        StepEvidence step{.runbook = runbook, .name = left.step.name, .kind = left.step.kind};
        step.outcome = left.harmless ? StepOutcome::skipped : StepOutcome::not_run;
        step.detail = "left out: " + left.reason;
        evidence.steps.push_back(std::move(step));
    }
}

void add_check(Evidence& evidence, CheckEvidence check, std::optional<Time> newest) {
    for (auto& dataset : evidence.datasets) {
        if (!newest || dataset.dataset != check.dataset) continue;
        if (dataset.newest && *dataset.newest >= *newest) continue;
        dataset.newest = newest;
        dataset.newest_from = "newest row: " + printable(check.name);
    }
    evidence.checks.push_back(std::move(check));
}

void add_services(Evidence& evidence, Plan const& plan) {
    auto const is_back = [&](std::string const& name) {
        return std::ranges::any_of(evidence.datasets, [&](auto const& dataset) { return dataset.dataset == name; });
    };
    for (auto const& service : plan.services) {
        std::set<std::string> seen;
        std::vector<std::string> needs;
        collect_needs(plan, service, seen, needs);
        if (std::ranges::none_of(needs, is_back)) continue;
        ServiceEvidence added{.service = service.name, .tier = service.tier};
        added.rto_objective = plan.rto(service);
        std::ranges::copy_if(needs, std::back_inserter(added.missing), [&](auto const& name) { return !is_back(name); });
        evidence.services.push_back(std::move(added));
    }
}

}  // namespace holdfast::drill
