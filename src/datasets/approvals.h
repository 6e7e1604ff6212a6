#pragma once

#include "datasets/workspace.h"

namespace holdfast {

// Before anything is deleted: `unsafe` where the plan asks for more approvals (`approvals` of the repository) than the
// repository itself does, because then nobody was named who may approve.
Result<void> check_planned_approvals(Workspace const& workspace, std::string_view name, Repository& repository,
                                     std::stop_token stop);

}  // namespace holdfast
