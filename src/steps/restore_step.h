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
// Files and models are compared with the point before anything else touches them; a database is compared with the
// manifest of its backup. What validation found stands in the step's effects, as `validated`.
//
// Outputs: dataset, kind, target, point, time (of its state), lsn, timeline, repository, files, bytes, files_compared,
// differences, verified; of a database also `database` (as the plan's `connect` names it) and, with start, `socket`.
// `problem`, `difference`: the first of each, when there are any.
std::unique_ptr<runbook::Step> make_restore_step(RestoreKind kind, StepWorld const& world);

}  // namespace holdfast::steps
