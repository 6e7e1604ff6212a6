#pragma once

#include <memory>
#include <optional>

#include "runbook/step.h"
#include "steps/isolation.h"

namespace holdfast::steps {

// `manual`: asks a person to do something and waits for the answer: done, skipped or refused.
std::unique_ptr<runbook::Step> make_manual_step(std::optional<Isolation> isolation);

}  // namespace holdfast::steps
