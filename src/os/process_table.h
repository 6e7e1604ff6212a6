#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace holdfast {

// A process that works in a directory: its working directory, its root or its program is below it, also when
// that was removed since.
struct ProcessBelow {
    pid_t pid;
    std::string name;     // for messages: "postgres"
    std::string command;  // what it calls itself, its words apart by spaces; empty when we may not look
};

// The processes that work below an absolute directory, ourselves excepted, as far as we may look at them (as
// root: all of this machine, else those of our user). `io` when /proc is not there.
Result<std::vector<ProcessBelow>> processes_below(std::string const& directory);

// Ends every process that works below the directory: asks with SIGTERM, and kills what is there after `grace`.
// A process is looked at again when it is held by a descriptor, so that another one that got its number is never
// hit. Returns those that were ended. `io` when one is still there.
Result<std::vector<ProcessBelow>> stop_processes_below(std::string const& directory, Duration grace);

}  // namespace holdfast
