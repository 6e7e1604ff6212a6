#pragma once

#include "cli/command.h"
#include "datasets/run_record.h"

namespace holdfast::cli {

// Moves HOLDFAST_PASSWORD out of the environment, overwriting it there, so that neither a program that
// we start nor /proc shows it. Called before anything else runs.
void take_password_from_environment();

// What the global options say: plan, repository, state, credentials.
Result<WorkspaceOptions> workspace_options(Invocation& invocation);
Result<std::unique_ptr<Workspace>> open_workspace(Invocation& invocation);

// A new password, asked for twice when it comes from a terminal. usage when it is empty.
Result<Secret> new_password(Workspace const& workspace);

// The password that a key is to have, besides the one that opens the repository: from
// --new-password-file, or asked for twice on the terminal. usage when there is neither, or it is empty.
Result<Secret> second_password(Invocation const& invocation, std::string const& prompt);

// Where warnings of the layers below go.
Warn warn_to(Output& output);

}  // namespace holdfast::cli
