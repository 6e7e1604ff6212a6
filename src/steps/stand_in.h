#pragma once

#include "datasets/point_reference.h"
#include "runbook/step.h"
#include "steps/step_world.h"

namespace holdfast::steps {

// The effect that holds what a step said of a point which stands in for damaged ones, or is suspect: a list of lines. An effect,
// because a step that is resumed works with the same point and does not see any more why.
inline constexpr char kStandIn[] = "stand_in";

// Says it, and notes it in the journal. Nothing when the point is the one that was asked for.
Result<void> tell_stand_in(PointReference const& point, StepWorld const& world, runbook::StepContext& context);

}  // namespace holdfast::steps
