#include "drill/recovery.h"

#include <fmt/format.h>

#include "base/text.h"
#include "datasets/run_record.h"
#include "drill/run_evidence.h"
#include "os/machine.h"
#include "steps/postgres_cluster.h"
#include "steps/step_registry.h"

namespace holdfast::drill {
namespace {

using catalog::RunOutcome;
using plan::Value;

constexpr char kName[] = "name", kOutage[] = "outage", kDeclared[] = "declared";

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

std::string plan_digest(Workspace const& workspace) { return to_hex(sha256(as_bytes(workspace.plan_text()))); }

Evidence evidence_of(Workspace& workspace, Plan const& plan, runbook::RunState const& run) {
    Evidence evidence{.kind = EvidenceKind::recovery,
                      .name = run.attributes.member_text(kName),
                      .run = run.run,
                      .plan_name = plan.name,
                      .plan_file = plan.file,
                      .plan_sha256 = run.plan_hash,
                      .tool_version = HOLDFAST_VERSION,
                      .host = host_name(),
                      .system = system_name(),
                      .outage = attribute_time(run, kOutage),
                      .declared = attribute_time(run, kDeclared),
                      .started = run.begun,
                      .ended = run.ended.value_or(workspace.clock().now())};
    add_run(evidence, run, plan);
    add_services(evidence, plan);
    std::vector<Reason> extra;
    if (run.error) extra.push_back({ErrorKind::check_failed, run.error->message});
    conclude(evidence, extra);
    return evidence;
}

// Every point that came back whole in a recovery that is proven has been validated.
Result<void> climb(Workspace& workspace, Catalog& catalog, Evidence const& evidence, std::stop_token stop) {
    if (!evidence.proven) return {};
    for (auto const& dataset : evidence.datasets) {
        if (!dataset.verified) continue;
        auto* repository = TRY(workspace.repository(dataset.repository, Role::writer, stop));
        auto id = repository->id().hex();
        auto known = TRY(catalog.point(id, dataset.point));
        if (known) TRY(catalog.reach(id, dataset.point, catalog::Rung::validated, evidence.run));
    }
    return {};
}

bool ended(runbook::RunState const& run) {
    return run.outcome == RunOutcome::done || run.outcome == RunOutcome::partial || run.outcome == RunOutcome::failed;
}

Result<RecoveryOutcome> conclude_run(Workspace& workspace, Plan const& plan, runbook::RunReport report,
                                     RunNoter& noter, Warn const& warn, std::stop_token stop) {
    RecoveryOutcome outcome{.report = std::move(report), .evidence = {}, .saved = {}};
    auto const& run = outcome.report.state;
    noter.note([&](Catalog& catalog) {
        return catalog.end_run(run.run, {.outcome = run.outcome, .error = run.error ? run.error->message : ""});
    });
    if (!ended(run)) return outcome;

    outcome.evidence = evidence_of(workspace, plan, run);
    auto& evidence = *outcome.evidence;
    auto name = TRY(workspace.default_repository());
    auto* repository = TRY(workspace.repository(name, Role::reader, stop));
    auto const& keys = repository->keys();
    auto catalog = workspace.catalog();
    outcome.saved = TRY(save_evidence(evidence, {.state = workspace.state(),
                                                 .key = keys.sign,
                                                 .bundle = keys.id.hex(),
                                                 .label = keys.label,
                                                 .catalog = catalog ? *catalog : nullptr,
                                                 .warn = warn})
                            .within("evidence"));
    noter.note([&](Catalog& open) { return climb(workspace, open, evidence, stop); });
    return outcome;
}

runbook::StartRequest start_request(Workspace& workspace, RecoveryRequest const& request, plan::Runbook runbook) {
    auto declared = request.declared.value_or(workspace.clock().now());
    Value attributes = Value(Value::Map{});
    attributes.set(kName, Value(request.name));
    attributes.set(kDeclared, Value(to_rfc3339(declared)));
    attributes.set(kOutage, Value(to_rfc3339(request.outage.value_or(declared))));
    return {.runbook = std::move(runbook),
            .plan_hash = plan_digest(workspace),
            .parameters = request.parameters,
            .points = Value(Value::Map{}),
            .attributes = std::move(attributes)};
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
    auto runbook = TRY(find_runbook(*plan, request.name));
    auto machinery = TRY(Machinery::make(workspace, request.name, request.outage, nullptr, warn));
    return machinery->engine(workspace, {}).dry_run(start_request(workspace, request, std::move(runbook)), stop);
}

Result<RecoveryOutcome> recover(Workspace& workspace, RecoveryRequest const& request, Operator const& people,
                                Warn const& warn, std::stop_token stop) {
    auto const* plan = TRY(workspace.plan());
    auto runbook = TRY(find_runbook(*plan, request.name));
    auto machinery = TRY(Machinery::make(workspace, request.name, request.outage, people.observer, warn));
    auto engine = machinery->engine(workspace, people);
    auto report = TRY(engine.start(start_request(workspace, request, std::move(runbook)), stop));
    return conclude_run(workspace, *plan, std::move(report), machinery->noter, warn, stop);
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
    return conclude_run(workspace, *plan, std::move(report), machinery->noter, warn, stop);
}

}  // namespace holdfast::drill
