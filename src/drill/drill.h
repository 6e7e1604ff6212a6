#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "datasets/run_record.h"
#include "drill/evidence.h"
#include "drill/evidence_file.h"
#include "runbook/engine.h"

namespace holdfast::drill {

struct DrillOptions {
    // Where the isolated place is made; empty: see place.h.
    std::filesystem::path in = {};
    // Values of parameters of its runbooks, before those of the plan.
    std::map<std::string, std::string> parameters = {};
    // The outage that is assumed; nothing: now. So a drill shows what would be lost and how long it would take.
    std::optional<Time> outage = {};
    runbook::Observer* observer = nullptr;
    Warn warn = {};
};

struct Rehearsed {
    Evidence evidence;
    SavedEvidence saved;
    // What the command ends with; nothing when everything is proven. check_failed, objective_missed, cancelled, or
    // what kept it from beginning.
    std::optional<Error> failure;
    std::vector<std::string> swept;  // what dead drills had left
    // Steps that did not stop: the process must end by std::_Exit.
    std::vector<std::string> stuck;
};

// Rehearses a drill of the plan, or with an empty name the restore of every dataset that this version can restore:
// restores for real into an isolated place, runs the plan's checks and its own, measures, removes everything, proves
// that it did, and leaves evidence. Never writes to the datasets' own places, never reaches production.
//
// Before it begins it cleans up after drills that were killed. An error means that nothing was rehearsed and there is
// no evidence: not_found (no such drill), partial (it needs what this version cannot do), usage, and what opening a
// repository says.
Result<Rehearsed> run_drill(Workspace& workspace, std::string_view name, DrillOptions const& options,
                            std::stop_token stop);

}  // namespace holdfast::drill
