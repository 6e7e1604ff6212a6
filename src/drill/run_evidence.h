#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "drill/evidence.h"
#include "drill/isolated_runbook.h"
#include "runbook/run_state.h"

namespace holdfast::drill {

// Evidence out of the journals of runs: what is stated is what the journal knows, so that a run that was resumed by
// another process leaves the same.

// The attribute of a run that holds what was said of points which stand in for damaged ones: a list of lines.
inline constexpr char kStandInAttribute[] = "stand_in";

// Adds what a run did: its steps, the datasets that its restores brought back, what validation and comparison found,
// and the verdicts of its checks. What was restored twice counts as it was restored last.
void add_run(Evidence& evidence, runbook::RunState const& run, Plan const& plan);

// Adds how far the run's journal goes, in that state directory. One that cannot be read is told in the notes.
void add_journal(Evidence& evidence, std::filesystem::path const& state, std::string const& run);

// Adds the steps that an isolated run left out; those that it should not have had to are told as not run.
void add_left_out(Evidence& evidence, std::string const& runbook, std::vector<LeftOut> const& left_out);

// Adds a check's verdict. A newer `newest` becomes what the dataset's loss is counted from.
void add_check(Evidence& evidence, CheckEvidence check, std::optional<Time> newest = {});

// Adds the services that need anything of what was brought back, with what they need besides.
void add_services(Evidence& evidence, Plan const& plan);

}  // namespace holdfast::drill
