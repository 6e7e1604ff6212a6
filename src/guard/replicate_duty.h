#pragma once

#include <memory>

#include "datasets/workspace.h"
#include "guard/duty.h"

namespace holdfast::guard {

// Brings a copy of the plan (`copy_of`) up to date, and holds its lag against the plan's. Needs no key.
std::unique_ptr<Duty> make_replicate_duty(Workspace& workspace, plan::Repository copy);

}  // namespace holdfast::guard
