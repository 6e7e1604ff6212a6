#pragma once

#include <map>
#include <optional>
#include <string>

#include "datasets/run_record.h"
#include "drill/evidence_file.h"
#include "runbook/engine.h"

namespace holdfast::drill {

// Who answers and who watches while a runbook runs.
struct Operator {
    runbook::Decide decide = {};  // nothing: a run that needs an answer stops with needs_decision
    bool assume_yes = false;      // manual steps and approvals count as confirmed
    runbook::Observer* observer = nullptr;
};

struct RecoveryRequest {
    std::string name;  // a scenario of the plan, or a runbook
    std::map<std::string, std::string> parameters = {};
    std::optional<Time> outage = {};    // when the service was lost; nothing: when it was declared
    std::optional<Time> declared = {};  // when somebody decided to recover; nothing: now
};

struct RecoveryOutcome {
    runbook::RunReport report;
    // Only of a run that ended (done, partial or failed): one that waits or was interrupted goes on, and is
    // evidence of nothing yet.
    std::optional<Evidence> evidence;
    SavedEvidence saved;
};

// The plan's runbook for a scenario, or the runbook of that name. not_found with the nearest name.
Result<plan::Runbook> find_runbook(Plan const& plan, std::string_view name);

// What recover() would do; touches nothing.
Result<runbook::DryRun> plan_recovery(Workspace& workspace, RecoveryRequest const& request, Warn const& warn,
                                      std::stop_token stop);

// Runs the runbook, measures RPO and RTO, and leaves signed evidence. Errors mean that nothing was run (or that the
// evidence of what was run could not be saved: `evidence` is named then); what became of the run is in the outcome.
// With stuck steps in its report the process must end by std::_Exit.
Result<RecoveryOutcome> recover(Workspace& workspace, RecoveryRequest const& request, Operator const& people,
                                Warn const& warn, std::stop_token stop);

// Goes on with a run that was killed, interrupted or waits; likewise.
Result<RecoveryOutcome> resume(Workspace& workspace, runbook::ResumeRequest const& request, Operator const& people,
                               Warn const& warn, std::stop_token stop);

}  // namespace holdfast::drill
