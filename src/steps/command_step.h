#pragma once

#include <memory>
#include <optional>

#include "runbook/step.h"
#include "steps/isolation.h"

namespace holdfast::steps {

// `command`: runs a program without a shell, with PATH, HOME, LANG, TZ and the step's own variables only.
// Succeeds with exit code 0. What it writes goes to a file in the step's scratch directory (0600), the last
// lines of its errors into the error of a failure.
std::unique_ptr<runbook::Step> make_command_step(std::optional<Isolation> isolation);

}  // namespace holdfast::steps
