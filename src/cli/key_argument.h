#pragma once

#include "cli/command.h"
#include "datasets/workspace.h"

namespace holdfast::cli {

// The repository whose keys a command is about. `role` as Workspace::repository() takes it.
Result<Repository*> repository_of_keys(Workspace& workspace, std::optional<Role> role, std::stop_token stop);

// The key whose id begins with `text`, as `key list` shows it: not_found, or usage when there are several.
Result<BundleId> find_key(Repository& repository, std::string const& text, std::stop_token stop);

// A time as tables show it.
std::string to_second(Time time);

}  // namespace holdfast::cli
