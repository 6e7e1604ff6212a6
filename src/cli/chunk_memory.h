#pragma once

#include "cli/command.h"

namespace holdfast::cli {

// --cache, or its default; `usage` when it is too small to be of use.
Result<std::size_t> cache_bytes(Invocation& invocation);
// For processes that move chunks for days: memory goes back to the system.
void tune_memory_for_chunks();

}  // namespace holdfast::cli
