#pragma once

#include "cli/command.h"
#include "drill/recovery.h"

namespace holdfast::cli {

// Shows a run as it goes: a line for each step that begins and ends, events with --json.
class RunView : public runbook::Observer {
  public:
    explicit RunView(Output& output) : output_(output) {}
    void began(runbook::RunState const& run) override;
    void changed(runbook::StepStatus const& step) override;
    void progress(std::string const& step, runbook::StepProgress const& progress) override;
    void line(std::string const& step, std::string_view text) override;

  private:
    Output& output_;
    ProgressCallback bar_;
    std::string bar_step_;
    std::map<std::string, runbook::StepState> shown_;  // a step changes within a state, too: told once
};

// Asks on the terminal; nothing when there is none.
runbook::Decide ask_on_terminal(Output& output);

// What became of a recovery: the last lines, the events, and the exit code.
Result<int> show_outcome(Output& output, drill::RecoveryOutcome const& outcome);
// The evidence's verdict, where it and its report lie.
int show_evidence(Output& output, drill::Evidence const& evidence, drill::SavedEvidence const& saved);

// "NAME=VALUE" options as a map.
Result<std::map<std::string, std::string>> settings(Invocation const& invocation, std::string_view option);

}  // namespace holdfast::cli
