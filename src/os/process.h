#pragma once

#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "os/users.h"

namespace holdfast {

// A program to run, without a shell. It starts in a session of its own (it cannot prompt on our
// terminal, and a Ctrl-C there reaches only us), with default signal handling, an empty signal mask
// and no descriptor of ours but its standard three.
struct Command {
    // argv[0] is looked up in the PATH of the program's environment unless it holds a '/'. Secrets
    // must not stand here: every user of the machine can read them.
    std::vector<std::string> argv;
    // Added to our environment or put in place of what is there. HOLDFAST_PASSWORD is always left
    // out.
    std::map<std::string, std::string> environment = {};
    std::vector<std::string> environment_removed = {};
    // Working directory; empty: ours. Entered as the program's user.
    std::string directory = {};
    // Runs as this user with all of its groups, and with HOME, USER and LOGNAME of it unless
    // `environment` says otherwise. Needs root, or to be that user already.
    std::optional<UserId> user = {};
    // Given on standard input, which then ends.
    Bytes input = {};
    // After this long the program is stopped. nullopt: it may take as long as it wants.
    std::optional<Duration> timeout = {};
    // How long a program that is asked to stop (SIGTERM to its process group) may take before its
    // group is killed.
    Duration grace = std::chrono::seconds(2);
    // How much of `out` and `err` is kept, each; what exceeds it is read and dropped.
    std::size_t output_bytes_max = 16 << 20;
};

struct ProcessResult {
    int exit_code = 0;  // 128 + signal when a signal ended it, as shells say it
    int signal = 0;     // 0: it ended by itself
    std::string out = {};
    std::string err = {};
    bool out_truncated = false;
    bool err_truncated = false;
    bool timed_out = false;

    bool success() const { return exit_code == 0 && signal == 0 && !timed_out; }
};

// Runs the command and waits until it ended. Any exit code is a success of this function. What the
// program itself wrote is complete; what processes that it left behind write later is not waited
// for. Errors: not_found (the program or the directory), cancelled (`stop` was requested: the
// process group is stopped as after a timeout), io. If we die meanwhile, the program is killed.
// Thread-safe.
Result<ProcessResult> run(Command const& command, std::stop_token stop);

// The same, but everything except exit code 0 is an error (`io`), with the last lines that the
// program wrote to standard error: "program 'x': exit code 3: …".
Result<ProcessResult> run_checked(Command const& command, std::stop_token stop);

// That error, for callers who look at the result first. Never for a success.
Error failure_of(Command const& command, ProcessResult const& result);

}  // namespace holdfast
