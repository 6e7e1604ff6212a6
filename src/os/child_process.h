#pragma once

#include <csignal>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "os/process.h"

namespace holdfast {

struct ChildOptions {
    // Standard output and standard error are appended to this file (mode 0600). Empty: the last
    // `output_tail_bytes` of both are kept, see output_tail().
    std::string output_path = {};
    std::size_t output_tail_bytes = 64 << 10;
    // What the program gets when we die, even by kill -9. 0: it lives on.
    int death_signal = SIGKILL;
    // How the destructor stops it.
    int stop_signal = SIGTERM;
    Duration stop_grace = std::chrono::seconds(10);
};

// A program that runs beside us: a server of a drill. The destructor stops it.
//
// Every method is thread-safe.
class ChildProcess {
  public:
    // `command.timeout` must not be set, `command.input` is given as with run(). Errors as with
    // run().
    static Result<std::unique_ptr<ChildProcess>> start(Command command, ChildOptions options = {});
    ~ChildProcess();

    // Also its process group and session. Valid until it ended.
    pid_t pid() const;

    // How it ended; nullopt when it still runs after `timeout`, or when `stop` was requested. `out`
    // and `err` of the result are empty.
    std::optional<ProcessResult> wait(Duration timeout, std::stop_token stop = {});
    // Sends `signal` to the program; nothing when it ended already.
    void send_signal(int signal);
    // Sends `signal` to the program (servers stop their own children), waits for `grace`, then
    // kills its process group. Returns how it ended.
    ProcessResult terminate(int signal, Duration grace);

    // What it wrote last, when there is no output_path.
    std::string output_tail() const;

  private:
    ChildProcess();
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace holdfast
