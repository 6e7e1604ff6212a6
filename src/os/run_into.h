#pragma once

#include <functional>

#include "os/process.h"

namespace holdfast {

// Takes what a program writes, piece by piece.
using OutputSink = std::function<Result<void>(ByteView)>;

// As run(), but standard output goes to `output` as it comes, in the calling thread, however much it is: a program that
// is faster waits. `out` of the result is empty. An error of `output` stops the program and is returned.
Result<ProcessResult> run_into(OutputSink const& output, Command const& command, std::stop_token stop);

}  // namespace holdfast
