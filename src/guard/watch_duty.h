#pragma once

#include <memory>

#include "datasets/workspace.h"
#include "guard/duty.h"
#include "guard/wanted_points.h"

namespace holdfast::guard {

// Watches the directories of a models dataset, and wants a point as soon as a checkpoint in them is all there. Checkpoints that
// came while nobody watched are wanted at once. `wanted` outlives it.
std::unique_ptr<Duty> make_watch_duty(Workspace& workspace, plan::Dataset dataset, WantedPoints& wanted);

}  // namespace holdfast::guard
