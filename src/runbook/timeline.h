#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runbook/run_state.h"

namespace holdfast::runbook {

// One thing that happened, for evidence and reports.
struct TimelineEntry {
    std::uint64_t sequence = 0;
    Time time;
    Event event = Event::begun;
    std::string step;  // empty: the run
    std::string text;  // for people: "succeeded: 1,204 files, 3.1 GiB"
    Value details;     // as in the journal
};

struct Timeline {
    RunState state;
    std::vector<TimelineEntry> entries;
    bool at_work = false;  // a process works on the run now
};

// not_found, damaged.
Result<Timeline> read_timeline(std::filesystem::path const& state, std::string const& run);

struct RunSummary {
    std::string run;
    std::string runbook;
    Time begun;
    std::optional<Time> ended;
    // `interrupted` also when the process is gone without a word.
    RunOutcome outcome = RunOutcome::running;
    std::size_t steps = 0, settled = 0;
    std::optional<Error> error;  // why it is not done; `damaged` when the journal cannot be read
    bool resumable = false;
};

// Newest first. Runs that never began are left out. Fails only when the directory cannot be read.
Result<std::vector<RunSummary>> list_runs(std::filesystem::path const& state);

// The run of that id or unique prefix; the newest that can be resumed when `text` is empty.
// not_found, usage when it is not unique.
Result<std::string> find_run(std::filesystem::path const& state, std::string const& text);

}  // namespace holdfast::runbook
