#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "catalog/records.h"
#include "plan/plan.h"
#include "runbook/decision.h"
#include "runbook/journal.h"

namespace holdfast::runbook {

using catalog::RunOutcome;

enum class StepState {
    pending,  // not begun, or to be begun again
    running,  // begun and not ended: at work, or cut off
    succeeded,
    failed,
    interrupted,  // it was told to stop and did
    skipped,      // its condition did not hold, or the operator said so
    blocked,      // what it depends on failed
    waiting,      // for the operator
};

struct StepStatus {
    std::string name;
    std::string kind;
    StepState state = StepState::pending;
    std::uint32_t attempts = 0;
    std::optional<Time> started = {};  // of the last attempt
    std::optional<Time> ended = {};
    Value arguments = {};  // as they were filled in; null before it began
    Value outputs = {};    // a map
    Value effects = {};    // a map
    std::string summary = {};
    std::optional<Error> error = {};        // of the last attempt
    std::string reason = {};                // skipped, blocked: why
    std::optional<Question> question = {};  // waiting
    std::optional<Decision> decision = {};  // the last one about this step
    bool approved = false;

    // Nothing is left to do.
    bool settled() const { return state == StepState::succeeded || state == StepState::skipped; }
};

// What a journal tells about a run.
struct RunState {
    std::string run;
    plan::Runbook runbook;
    std::string plan_hash;
    std::map<std::string, std::string> parameters;
    Value points;      // a map: dataset to recovery point
    Value attributes;  // the caller's, as they were given to start()
    std::string user, host;
    Time begun;
    std::uint32_t resumed = 0;      // how often
    std::vector<StepStatus> steps;  // in the order of the runbook
    // How it last ended; `running` when it has not ended: at work, or cut off.
    RunOutcome outcome = RunOutcome::running;
    std::optional<Time> ended;
    std::optional<Error> error;

    StepStatus* find(std::string_view step);
    StepStatus const* find(std::string_view step) const;
};

std::string_view to_text(StepState state);

// What one more record changes. The only place that says what an event means: a running engine and
// a later replay go through it alike.
Result<void> apply(RunState& state, Record const& record);
// `damaged` when the records contradict themselves, `usage` ("newer") for a later format.
Result<RunState> replay(std::string const& run, std::vector<Record> const& records);

}  // namespace holdfast::runbook
