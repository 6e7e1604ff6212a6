#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "datasets/run_record.h"
#include "drill/evidence.h"
#include "drill/evidence_file.h"
#include "runbook/run_state.h"

namespace holdfast::drill {

// What drills and recoveries have in common: where evidence begins, and what becomes of it.

// With what is known before anything runs: plan, tool, host, now.
Evidence begin_evidence(Workspace& workspace, Plan const& plan);

// The repository whose key signs: the first that opens with a reader's key.
Result<Repository*> find_signer(Workspace& workspace, std::stop_token stop);

// Of every dataset that the runbook restores or verifies, and whose name is known, the newest point: so that all
// steps of a run mean the same by `latest`. Datasets without a point are left out: their steps say so.
struct ChosenPoints {
    plan::Value points;                // a map: dataset to point, hexadecimal
    std::uint64_t restored_bytes = 0;  // of all that is restored
    // What has to be told of points that stand in for damaged ones: see stand_in_warnings().
    std::vector<std::string> warnings;
};
ChosenPoints choose_points(Workspace& workspace, plan::Runbook const& runbook,
                           std::map<std::string, std::string> const& parameters, std::stop_token stop);

// Draws the verdict, signs and saves the evidence with its report, and notes in the catalog what was proven:
// datasets whose every check passed reach `validated`. A catalog that cannot be written spoils nothing: `warn` hears
// of it.
Result<SavedEvidence> save_proof(Workspace& workspace, Repository& signer, Evidence& evidence,
                                 std::vector<Reason> const& extra, Warn const& warn);

// The worst loss of the datasets, when it is known of all of them.
std::optional<Duration> worst_loss(Evidence const& evidence);

}  // namespace holdfast::drill
