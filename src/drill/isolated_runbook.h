#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"

namespace holdfast::drill {

// A step that an isolated run leaves out. `harmless`: because it reaches outside, which is as it should be; else it
// could not run without one that was left out, and the drill proves less than it should.
struct LeftOut {
    plan::Step step;
    std::string reason;
    bool harmless = true;
};

struct IsolatedRunbook {
    plan::Runbook runbook;
    std::vector<LeftOut> left_out;
    std::set<std::string> safe_steps;  // that may run although they reach outside
};

// The runbook as a drill runs it: restores go below the place whatever `into` says (databases into
// place/databases/STEP, everything else into place/files/STEP), and what reaches outside is left out: every kind but
// restores, verify and sql.check on a restored database, unless the plan calls the step safe and this version runs
// its kind (`runs`). What waited for a step that is left out waits for what that one waited for. Nobody has to
// approve.
//
// `parameters` are the values of the runbook's parameters as far as they are given. Fails when a placeholder is
// malformed.
Result<IsolatedRunbook> isolate(Plan const& plan, plan::Runbook const& runbook,
                                std::map<std::string, std::string> const& parameters,
                                std::filesystem::path const& place,
                                std::function<bool(std::string const& kind)> const& runs);

// Where those directories are; both exist before a run. Only we enter the files; the owner of a database's files has
// to pass.
std::filesystem::path files_of(std::filesystem::path const& place);
std::filesystem::path databases_of(std::filesystem::path const& place);

bool is_restore(std::string const& kind);
// The dataset that a restoring step names, its parameters filled in; empty when that is not known yet.
std::string dataset_of(plan::Step const& step, plan::Runbook const& runbook,
                       std::map<std::string, std::string> const& parameters);

}  // namespace holdfast::drill
