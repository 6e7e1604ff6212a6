#pragma once

#include "cli/command.h"

namespace holdfast::cli {

// `restore --instant`.
Result<int> run_instant(Invocation& invocation);

}  // namespace holdfast::cli
