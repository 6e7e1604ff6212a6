#pragma once

#include <memory>

#include "runbook/step.h"
#include "steps/step_world.h"

namespace holdfast::steps {

// Which datasets a restoring step takes; the kind `restore` takes all.
enum class RestoreKind { any, files, models, postgres };

// `restore`, `files.restore`, `models.restore`, `postgres.restore`: brings a point of a dataset back and
// validates it. The point is chosen once, when the run or the step begins, and stands in the step's effects: a
// step that was killed goes on with the same one.
//
// Outputs: dataset, kind, target, point, time (of its state), lsn, repository, files, bytes, verified; of a database also
// `database` (as the plan's `connect` names it) and, with start, `socket`.
std::unique_ptr<runbook::Step> make_restore_step(RestoreKind kind, StepWorld const& world);

}  // namespace holdfast::steps
