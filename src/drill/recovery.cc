#include "drill/recovery.h"

#include <fmt/format.h>

#include "base/text.h"
#include "drill/proof.h"
#include "drill/run_evidence.h"
#include "steps/postgres_cluster.h"
#include "steps/step_registry.h"

namespace holdfast::drill {
namespace {

using catalog::RunOutcome;
using plan::Value;

constexpr char kName[] = "name", kOutage[] = "outage", kOutageGiven[] = "outage_given", kDeclared[] = "declared";

Time attribute_time(runbook::RunState const& run, char const* name) {
    auto parsed = parse_rfc3339(run.attributes.member_text(name));
    return parsed ? *parsed : run.begun;
}

// Passes on what happens, and notes the run in the catalog when it begins.
class RunNoter : public runbook::Observer {
  public:
    RunNoter(Workspace& workspace, std::string subject, runbook::Observer* next, Warn const& warn)
        : workspace_(workspace), subject_(std::move(subject)), next_(next), warn_(warn) {}

    void began(runbook::RunState const& run) override {
        note([&](Catalog& catalog) -> Result<void> {
            auto known = TRY(catalog.run(run.run));
            return known ? catalog.resume_run(run.run)
                         : catalog.begin_run(run.run, catalog::RunKind::recover, subject_);
        });
        if (next_ != nullptr) next_->began(run);
    }
    void changed(runbook::StepStatus const& step) override {
        if (next_ != nullptr) next_->changed(step);
    }
    void progress(std::string const& step, runbook::StepProgress const& progress) override {
        if (next_ != nullptr) next_->progress(step, progress);
    }
    void line(std::string const& step, std::string_view text) override {
        if (next_ != nullptr) next_->line(step, text);
    }

    // Writes to the catalog; what can't be written is told and spoils nothing.
    void note(std::function<Result<void>(Catalog&)> const& action) {
        auto catalog = workspace_.catalog();
        auto written = catalog ? action(**catalog) : Result<void>(std::unexpected(catalog.error()));
        if (!written && warn_) warn_("the catalog can't be written: " + written.error().message);
    }

  private:
    Workspace& workspace_;
    std::string subject_;
    runbook::Observer* next_;
    Warn const& warn_;
};

// What a run of a runbook works with, in the order in which it has to be destroyed.
struct Machinery {
    steps::ClusterPool clusters;
    runbook::StepRegistry registry;
    RunNoter noter;

    static Result<std::unique_ptr<Machinery>> make(Workspace& workspace, std::string subject,
                                                   std::optional<Time> outage, runbook::Observer* observer,
                                                   Warn const& warn) {
        auto machinery = std::unique_ptr<Machinery>(new Machinery(workspace, std::move(subject), observer, warn));
        machinery->registry = TRY(steps::make_step_registry({.workspace = workspace,
                                                             .clusters = machinery->clusters,
                                                             .outage = outage,
                                                             .warn = warn}));
        return machinery;
    }

    runbook::Engine engine(Workspace& workspace, Operator const& people) {
        return runbook::Engine({.state = workspace.state(),
                                .registry = &registry,
                                .clock = &workspace.clock(),
                                .random = &system_random(),
                                .decide = people.decide,
                                .assume_yes = people.assume_yes,
                                .observer = &noter});
    }

  private:
    Machinery(Workspace& workspace, std::string subject, runbook::Observer* observer, Warn const& warn)
        : clusters([](std::filesystem::path const& data, std::stop_token stop) {
              return steps::start_postgres_cluster(data, {}, stop);
          }),
          noter(workspace, std::move(subject), observer, warn) {}
};

bool ended(runbook::RunState const& run) {
    return run.outcome == RunOutcome::done || run.outcome == RunOutcome::partial || run.outcome == RunOutcome::failed;
}

Evidence evidence_of(Workspace& workspace, Plan const& plan, runbook::RunState const& run) {
    auto evidence = begin_evidence(workspace, plan);
    evidence.kind = EvidenceKind::recovery;
    evidence.name = run.attributes.member_text(kName);
    evidence.run = run.run;
    evidence.outage = attribute_time(run, kOutage);
    evidence.declared = attribute_time(run, kDeclared);
    evidence.started = run.begun;
    // Proven when the last step was done: writing it down is no part of recovering.
    evidence.ended = run.ended.value_or(workspace.clock().now());
    if (run.plan_hash != evidence.plan_sha256) {
        evidence.notes.push_back("the plan has changed since the recovery began; the hash is of the plan that it ran by");
        evidence.plan_sha256 = run.plan_hash;
    }
    if (run.attributes.member_text(kOutageGiven) != "true") {
        evidence.notes.push_back("nobody said when the outage was: it is taken to be when recovery was declared");
    }
    if (run.resumed > 0) {
        evidence.notes.push_back(fmt::format("it was interrupted and resumed {}",
                                             run.resumed == 1 ? "once" : fmt::format("{} times", run.resumed)));
    }
    add_run(evidence, run, plan);
    add_journal(evidence, workspace.state(), run.run);
    add_services(evidence, plan);
    return evidence;
}

// Why the run is not done, where no step says so.
std::vector<Reason> more_reasons(Evidence evidence, runbook::RunState const& run) {
    conclude(evidence);
    if (!evidence.proven || !run.error) return {};
    return {{ErrorKind::check_failed, run.error->message}};
}

Result<RecoveryOutcome> conclude_run(Workspace& workspace, Plan const& plan, runbook::RunReport report,
                                     Machinery& machinery, Warn const& warn) {
    RecoveryOutcome outcome{.report = std::move(report), .evidence = {}, .saved = {}};
    auto const& run = outcome.report.state;
    machinery.noter.note([&](Catalog& catalog) {
        return catalog.end_run(run.run, {.outcome = run.outcome, .error = run.error ? run.error->message : ""});
    });
    if (!outcome.report.stuck.empty()) return outcome;
    machinery.clusters.stop_all();
    if (!ended(run)) return outcome;
    outcome.evidence = evidence_of(workspace, plan, run);
    auto* signer = TRY(find_signer(workspace, {}).within("evidence"));
    outcome.saved = TRY(save_proof(workspace, *signer, *outcome.evidence, more_reasons(*outcome.evidence, run), warn));
    return outcome;
}

// The outage comes before the declaration, and both before now: a slip of the pen is refused before a recovery is
// measured by it.
Result<void> check_times(RecoveryRequest const& request, Time now) {
    constexpr Duration slack = std::chrono::minutes(5);
    auto const declared = request.declared.value_or(now);
    if (declared <= now + slack && request.outage.value_or(declared) <= declared + slack) return {};
    return fail(ErrorKind::usage,
                fmt::format("outage {}, declared {}: they are not in this order, or lie in the future",
                            to_rfc3339(request.outage.value_or(declared)), to_rfc3339(declared)));
}

runbook::StartRequest start_request(Workspace& workspace, RecoveryRequest const& request, plan::Runbook runbook,
                                    Warn const& warn, std::stop_token stop) {
    auto declared = request.declared.value_or(workspace.clock().now());
    Value attributes = Value(Value::Map{});
    attributes.set(kName, Value(request.name));
    attributes.set(kDeclared, Value(to_rfc3339(declared)));
    attributes.set(kOutage, Value(to_rfc3339(request.outage.value_or(declared))));
    attributes.set(kOutageGiven, Value(request.outage.has_value()));
    // Chosen now, so that all steps, and those of a resumed run, mean the same by `latest`.
    auto chosen = choose_points(workspace, runbook, request.parameters, stop);
    Value::List warnings;
    for (auto const& warning : chosen.warnings) {
        if (warn) warn(warning);
        warnings.push_back(Value(warning));
    }
    if (!warnings.empty()) attributes.set(kStandInAttribute, Value(std::move(warnings)));
    return {.runbook = std::move(runbook),
            .plan_hash = to_hex(sha256(as_bytes(workspace.plan_text()))),
            .parameters = request.parameters,
            .points = std::move(chosen.points),
            .attributes = std::move(attributes)};
}

// Steps that do not stop still use the machinery: then it is never destroyed (the process ends).
Result<RecoveryOutcome> outlive(std::unique_ptr<Machinery> machinery, Result<RecoveryOutcome> outcome) {
    if (outcome && !outcome->report.stuck.empty()) (void)machinery.release();
    return outcome;
}

}  // namespace

Result<plan::Runbook> find_runbook(Plan const& plan, std::string_view name) {
    auto const* scenario = plan.scenarios.find(name);
    auto const* runbook = plan.runbooks.find(scenario != nullptr ? scenario->runbook : name);
    if (runbook != nullptr) return *runbook;
    std::vector<std::string> names;
    for (auto const& known : plan.scenarios) names.push_back(known.name);
    for (auto const& known : plan.runbooks) names.push_back(known.name);
    auto near = nearest(name, names);
    return fail(ErrorKind::not_found, fmt::format("the plan has no scenario or runbook '{}'", printable(name)),
                near.empty() ? "there are: " + join(names, ", ") : "did you mean '" + near + "'?");
}

Result<runbook::DryRun> plan_recovery(Workspace& workspace, RecoveryRequest const& request, Warn const& warn,
                                      std::stop_token stop) {
    auto const* plan = TRY(workspace.plan());
    TRY(check_times(request, workspace.clock().now()));
    auto runbook = TRY(find_runbook(*plan, request.name));
    auto machinery = TRY(Machinery::make(workspace, request.name, request.outage, nullptr, warn));
    auto start = start_request(workspace, request, std::move(runbook), warn, stop);
    return machinery->engine(workspace, {}).dry_run(start, stop);
}

Result<RecoveryOutcome> recover(Workspace& workspace, RecoveryRequest const& request, Operator const& people,
                                Warn const& warn, std::stop_token stop) {
    auto const* plan = TRY(workspace.plan());
    TRY(check_times(request, workspace.clock().now()));
    auto runbook = TRY(find_runbook(*plan, request.name));
    auto machinery = TRY(Machinery::make(workspace, request.name, request.outage, people.observer, warn));
    auto engine = machinery->engine(workspace, people);
    auto start = start_request(workspace, request, std::move(runbook), warn, stop);
    auto report = TRY(engine.start(start, stop));
    auto outcome = conclude_run(workspace, *plan, std::move(report), *machinery, warn);
    return outlive(std::move(machinery), std::move(outcome));
}

Result<RecoveryOutcome> resume(Workspace& workspace, runbook::ResumeRequest const& request, Operator const& people,
                               Warn const& warn, std::stop_token stop) {
    auto const* plan = TRY(workspace.plan());
    auto records = TRY(runbook::read_journal(workspace.state(), request.run));
    auto before = TRY(runbook::replay(request.run, records));
    auto machinery = TRY(Machinery::make(workspace, before.attributes.member_text(kName),
                                         attribute_time(before, kOutage), people.observer, warn));
    auto engine = machinery->engine(workspace, people);
    auto report = TRY(engine.resume(request, stop));
    auto outcome = conclude_run(workspace, *plan, std::move(report), *machinery, warn);
    return outlive(std::move(machinery), std::move(outcome));
}

}  // namespace holdfast::drill
