#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "os/clock.h"
#include "os/random.h"
#include "runbook/decision.h"
#include "runbook/journal.h"
#include "runbook/registry.h"
#include "runbook/run_state.h"
#include "runbook/step.h"

namespace holdfast::runbook {

// Hears what happens, from any thread, one call at a time. Must not call the engine.
class Observer {
  public:
    virtual ~Observer() = default;
    virtual void began(RunState const&) {}
    // After the change is in the journal.
    virtual void changed(StepStatus const&) {}
    virtual void progress(std::string const& /*step*/, StepProgress const&) {}
    virtual void line(std::string const& /*step*/, std::string_view) {}
};

struct EngineOptions {
    std::filesystem::path state;  // the state directory; runs are kept in runs/ below it
    StepRegistry const* registry = nullptr;
    Clock* clock = nullptr;
    Random* random = nullptr;
    // Asks the operator; without it a run that needs to know something stops with needs_decision.
    Decide decide = {};
    // Approvals and manual steps count as confirmed by the user who says so. Never decides about a
    // step that was cut off.
    bool assume_yes = false;
    unsigned parallel = 4;  // steps at the same time: 1 to 4
    // How long a step may take to stop when it is told to.
    Duration grace = std::chrono::seconds(30);
    Observer* observer = nullptr;
    JournalHook journal_hook = {};  // for tests
};

struct StartRequest {
    plan::Runbook runbook;
    std::string plan_hash = {};
    std::map<std::string, std::string> parameters = {};
    Value points = {};      // a map: dataset to recovery point; a resumed run keeps them
    Value attributes = {};  // a map, kept for the caller: scenario, time of the outage… No secrets.
};

struct ResumeRequest {
    std::string run;
    // About steps that were cut off or failed, or will ask: by the step's name.
    std::map<std::string, Decision> decisions = {};
};

struct RunReport {
    RunState state;  // with the run's id, its outcome, and what became of every step
    // needs_decision: what is asked. Answer with ResumeRequest::decisions.
    std::vector<Question> questions = {};
    // Steps that did not stop within the grace: their threads still run, and the journal shows them
    // as cut off. The process must end by std::_Exit, without destroying anything that steps use.
    std::vector<std::string> stuck = {};
    // Why it is not done: the first failed step's error, `cancelled`, or `partial`.
    std::optional<Error> error = {};
};

struct PlannedStep {
    std::string name, kind, description;
    std::vector<std::string> after;
    std::string when;
    std::optional<bool> condition;  // whether it holds; nothing when that is only known later
    Value arguments;                // ${step.output} where it is only known later
    std::string what;               // what would happen, in the step's words
    bool idempotent = false;
    std::optional<Duration> timeout;
    plan::Retries retries;
    std::optional<plan::Approval> approve;
    plan::OnFailure on_failure = plan::OnFailure::stop;
};

struct DryRun {
    std::vector<std::vector<PlannedStep>> waves;  // each could run after the one before it
    std::vector<Error> problems;                  // that would keep the run from starting
};

// Runs runbooks. Each start, effect and end is durable in the run's journal before the next thing
// begins, so that a run that was killed anywhere goes on where it was.
class Engine {
  public:
    explicit Engine(EngineOptions options);

    // What start() would do. Asks steps to look, changes nothing. `usage` when the runbook or its
    // parameters are at fault, `partial` when this version lacks a kind of step.
    Result<DryRun> dry_run(StartRequest const& request, std::stop_token stop) const;

    // Checks everything that can be checked, and runs the runbook. Whatever becomes of the run is
    // in the report, also that its journal cannot be written any more (then its outcome is
    // `running`, as after a crash). An error means that nothing was run.
    Result<RunReport> start(StartRequest const& request, std::stop_token stop);

    // Goes on with a run: steps that succeeded or were skipped are not run again, those that failed
    // or were cut off are, except that a step which is not idempotent needs a decision for that.
    // Decisions are asked for before anything runs. `usage` for a run that is done or a decision
    // that does not fit; `unsafe` while another process works on the run.
    Result<RunReport> resume(ResumeRequest const& request, std::stop_token stop);

  private:
    Result<std::vector<Question>> settle_cut_off(RunState& state, Journal& journal,
                                                 ResumeRequest const& request,
                                                 std::stop_token stop) const;
    bool idempotent(plan::Step const& step) const;

    EngineOptions options_;
};

}  // namespace holdfast::runbook
