#include "drill/drill.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "drill/isolated_runbook.h"
#include "drill/place.h"
#include "drill/proof.h"
#include "drill/restored_checks.h"
#include "drill/run_evidence.h"
#include "os/machine.h"
#include "steps/postgres_cluster.h"
#include "steps/step_registry.h"

namespace holdfast::drill {
namespace {

constexpr std::string_view kEverything = "every-dataset";

bool can_restore(plan::Dataset const& dataset) {
    using enum plan::DatasetKind;
    return dataset.kind == files || dataset.kind == models || dataset.kind == postgres;
}

// The drill that needs no plan of its own: every dataset comes back.
plan::Runbook restore_everything(Plan const& plan) {
    plan::Runbook runbook;
    runbook.name = kEverything;
    for (auto const& dataset : plan.datasets) {
        if (!can_restore(dataset)) continue;
        plan::Step step;
        step.name = dataset.name;
        step.kind = "restore";
        step.arguments.set("dataset", dataset.name);
        runbook.steps.add(std::move(step));
    }
    return runbook;
}

class Rehearsal {
  public:
    Rehearsal(Workspace& workspace, Plan const& plan, plan::Drill drill, std::vector<plan::Runbook> runbooks,
              DrillOptions const& options, std::stop_token stop)
        : workspace_(workspace),
          plan_(plan),
          drill_(std::move(drill)),
          runbooks_(std::move(runbooks)),
          options_(options),
          stop_(stop),
          clusters_([](std::filesystem::path const& data, std::stop_token stop) {
              return steps::start_postgres_cluster(data, {.throw_away = true}, stop);
          }) {}

    Result<Rehearsed> run() {
        TRY(check_supported());
        TRY(check_place());
        result_.swept = TRY(sweep_dead_drills(workspace_.state()));
        auto* signer = TRY(find_signer(workspace_, stop_));
        RunRecord record(workspace_, catalog::RunKind::drill, drill_.name, warn());
        begin(record.id());
        {
            auto place = TRY(Place::make({.state = workspace_.state(),
                                          .in = options_.in,
                                          .id = record.id(),
                                          .databases = restores_databases()}));
            result_.evidence.place = place.path().string();
            rehearse(place);
            result_.evidence.ended = workspace_.clock().now();
            clean_up(place);
        }
        result_.saved = TRY(save_proof(workspace_, *signer, result_.evidence, reasons(), warn()));
        end(record);
        return std::move(result_);
    }

  private:
    Warn warn() const {
        return [this](std::string const& text) {
            if (options_.warn) options_.warn(text);
        };
    }

    // What cannot be rehearsed is told before anything is.
    Result<void> check_supported() const {
        std::vector<std::string> missing;
        if (!drill_.isolated) missing.push_back("drills that are not isolated");
        for (auto const& check : drill_.checks) {
            if (!check.service.empty()) missing.push_back("the probe of service '" + check.service + "'");
        }
        if (missing.empty()) return {};
        return fail(ErrorKind::partial,
                    fmt::format("drill '{}': this version cannot run {} yet", drill_.name, join(missing, ", ")),
                    "take it out of the drill, or run the rest as a drill of its own");
    }

    std::map<std::string, std::string> parameters_of(plan::Runbook const& runbook) const {
        std::map<std::string, std::string> values;
        for (auto const& parameter : runbook.parameters) {
            auto const* planned = drill_.parameters.find(parameter.name);
            auto const given = options_.parameters.find(parameter.name);
            if (planned) values[parameter.name] = planned->value;
            if (given != options_.parameters.end()) values[parameter.name] = given->second;
        }
        return values;
    }

    bool restores_databases() const {
        for (auto const& runbook : runbooks_) {
            for (auto const& step : runbook.steps) {
                if (!is_restore(step.kind)) continue;
                auto const* dataset = plan_.datasets.find(dataset_of(step, runbook, parameters_of(runbook)));
                if (!dataset || dataset->kind == plan::DatasetKind::postgres) return true;
            }
        }
        return false;
    }

    void begin(std::string const& id) {
        auto& evidence = result_.evidence;
        evidence = begin_evidence(workspace_, plan_);
        evidence.kind = EvidenceKind::drill;
        evidence.name = drill_.name;
        evidence.run = id;
        evidence.isolated = true;
        evidence.outage = std::min(options_.outage.value_or(evidence.started), evidence.started);
        for (auto const& swept : result_.swept) evidence.notes.push_back("before it began: " + swept);
        if (drill_.baseline) evidence.notes.push_back("the baseline is not measured by this version");
        if (drill_.communications) evidence.notes.push_back("communications are not rehearsed by this version");
        for (auto const& dataset : plan_.datasets) {
            if (drill_.name == kEverything && !can_restore(dataset)) {
                evidence.notes.push_back(fmt::format("dataset '{}' of kind {} is not rehearsed by this version",
                                                     dataset.name, to_text(dataset.kind)));
            }
        }
    }

    void rehearse(Place const& place) {
        std::vector<runbook::RunState> runs;
        for (auto const& runbook : runbooks_) {
            if (failed_) break;
            auto run = run_isolated(place, runbook);
            if (run) {
                runs.push_back(std::move(*run));
            } else {
                failed_ = run.error();
            }
        }
        if (result_.stuck.empty() && !stop_.stop_requested()) {
            RestoredChecks checks(workspace_, plan_, clusters_, result_.evidence, stop_);
            checks.run(runs, drill_.checks);
            sockets_ = checks.socket_directories();
        }
        add_services(result_.evidence, plan_);
    }

    Result<runbook::RunState> run_isolated(Place const& place, plan::Runbook const& original) {
        auto const parameters = parameters_of(original);
        auto kinds = TRY(steps::make_step_registry({.workspace = workspace_, .clusters = clusters_}));
        auto isolated = TRY(isolate(plan_, original, parameters, place.path(),
                                    [&](std::string const& kind) { return kinds.knows(kind); }));
        add_left_out(result_.evidence, original.name, isolated.left_out);
        auto const registry = TRY(steps::make_step_registry(
            {.workspace = workspace_,
             .clusters = clusters_,
             .outage = result_.evidence.outage,
             .isolation = steps::Isolation{.place = place.path(), .safe_steps = isolated.safe_steps},
             .warn = warn()}));
        // The journal goes away with the place: nobody shall resume a drill by mistake.
        runbook::Engine engine({.state = place.path() / "journal",
                                .registry = &registry,
                                .clock = &workspace_.clock(),
                                .random = &system_random(),
                                .observer = options_.observer});
        auto chosen = choose_points(workspace_, isolated.runbook, parameters, stop_);
        for (auto const& warning : chosen.warnings) {
            warn()(warning);
            add_note(result_.evidence, warning);
        }
        TRY(check_room(place, chosen.restored_bytes));
        runbook::StartRequest const request{.runbook = isolated.runbook,
                                            .plan_hash = result_.evidence.plan_sha256,
                                            .parameters = parameters,
                                            .points = std::move(chosen.points)};
        auto report = TRY(engine.start(request, stop_));
        add_run(result_.evidence, report.state, plan_);
        add_journal(result_.evidence, place.path() / "journal", report.state.run);
        result_.stuck.insert(result_.stuck.end(), report.stuck.begin(), report.stuck.end());
        return std::move(report.state);
    }

    // A drill shares its disk with things that are needed: it leaves a tenth free.
    static Result<void> check_room(Place const& place, std::uint64_t bytes) {
        auto const space = TRY(space_of(place.path().string()));
        auto const usable = space.available - std::min(space.available, space.total / 10);
        if (bytes <= usable) return {};
        return fail(ErrorKind::no_space,
                    fmt::format("'{}' has {} free, a drill may use {} of it, and {} come back",
                                printable(place.path().parent_path().string()), format_bytes(space.available),
                                format_bytes(usable), format_bytes(bytes)),
                    "make room, or say where there is some: --in DIR");
    }

    // A drill never writes to the datasets' own places.
    Result<void> check_place() const {
        if (options_.in.empty()) return {};
        std::error_code failed;
        auto const in = std::filesystem::weakly_canonical(std::filesystem::absolute(options_.in, failed), failed).string() + "/";
        for (auto const& dataset : plan_.datasets) {
            for (auto const& path : dataset.paths) {
                auto const own = std::filesystem::weakly_canonical(path, failed).string() + "/";
                if (!in.starts_with(own)) continue;
                return fail(ErrorKind::unsafe,
                            fmt::format("'{}' is inside dataset '{}'", printable(options_.in.string()), dataset.name),
                            "a drill needs a place that is not protected itself");
            }
        }
        return {};
    }

    void clean_up(Place& place) {
        clusters_.stop_all();
        auto& evidence = result_.evidence.clean_up;
        evidence = place.clean_up();
        if (sockets_.empty()) return;
        CleanUpEvidence sockets{.what = "the sockets of the servers that ran are gone", .holds = true};
        for (auto const& directory : sockets_) {
            std::error_code failed;
            if (!std::filesystem::exists(directory, failed)) continue;
            sockets.holds = false;
            sockets.detail = printable(directory.string());
        }
        evidence.push_back(std::move(sockets));
    }

    std::vector<Reason> reasons() const {
        std::vector<Reason> reasons;
        if (stop_.stop_requested()) reasons.push_back({ErrorKind::check_failed, "it was stopped by the user"});
        if (failed_ && failed_->kind != ErrorKind::cancelled) {
            reasons.push_back({ErrorKind::check_failed, failed_->message});
        }
        for (auto const& step : result_.stuck) {
            reasons.push_back({ErrorKind::check_failed, "step '" + step + "' did not stop"});
        }
        return reasons;
    }

    void end(RunRecord& record) {
        auto& failure = result_.failure;
        if (stop_.stop_requested()) {
            failure = Error{ErrorKind::cancelled, fmt::format("drill '{}': stopped", drill_.name), ""};
        } else if (failed_) {
            failure = Error(*failed_).within(fmt::format("drill '{}'", drill_.name));
        } else {
            failure = failure_of(result_.evidence);
        }
        catalog::RunEnd run_end;
        for (auto const& dataset : result_.evidence.datasets) {
            run_end.files += dataset.files;
            run_end.bytes += dataset.bytes;
        }
        if (failure) {
            auto const stopped = failure->kind == ErrorKind::cancelled;
            run_end.outcome = stopped ? catalog::RunOutcome::interrupted : catalog::RunOutcome::failed;
            run_end.error = failure->message;
        }
        record.finish(run_end);
    }

    Workspace& workspace_;
    Plan const& plan_;
    plan::Drill drill_;
    std::vector<plan::Runbook> runbooks_;
    DrillOptions const& options_;
    std::stop_token stop_;
    steps::ClusterPool clusters_;
    std::set<std::filesystem::path> sockets_;
    std::optional<Error> failed_;  // that kept a runbook from beginning
    Rehearsed result_;
};

}  // namespace

Result<Rehearsed> run_drill(Workspace& workspace, std::string_view name, DrillOptions const& options,
                            std::stop_token stop) {
    Plan const* plan = TRY(workspace.plan());
    plan::Drill drill;
    std::vector<plan::Runbook> runbooks;
    if (name.empty()) {
        drill.name = kEverything;
        runbooks.push_back(restore_everything(*plan));
        if (runbooks.front().steps.empty()) {
            return fail(ErrorKind::usage, "the plan has no dataset that can be restored");
        }
    } else if (auto const* planned = plan->drills.find(name)) {
        drill = *planned;
        for (auto const& runbook : planned->run) {
            auto const* found = plan->runbooks.find(runbook);
            if (!found) return fail(ErrorKind::usage, "the plan has no runbook '" + runbook + "'");
            runbooks.push_back(*found);
        }
    } else {
        std::vector<std::string> names;
        for (auto const& known : plan->drills) names.push_back(known.name);
        auto const near = nearest(name, names);
        return fail(ErrorKind::not_found, "the plan has no drill '" + printable(name) + "'",
                    !near.empty()    ? "did you mean '" + near + "'?"
                    : names.empty() ? "without a name, every dataset is rehearsed"
                                    : "it has " + join(names, ", "));
    }
    auto rehearsal = std::make_unique<Rehearsal>(workspace, *plan, std::move(drill), std::move(runbooks), options, stop);
    auto result = rehearsal->run();
    // Steps that do not stop still use it: then it is never destroyed (the process ends).
    if (result && !result->stuck.empty()) (void)rehearsal.release();
    return result;
}

}  // namespace holdfast::drill
