#pragma once

#include <atomic>
#include <csignal>
#include <stop_token>
#include <thread>

#include "os/fd.h"

namespace holdfast {

// Turns the first SIGINT, SIGTERM or SIGHUP into a request to stop; a second one ends the process
// at once with 128 + its number (Ctrl-C: 130). Signals that were ignored when we started (nohup,
// background jobs) stay ignored. SIGPIPE is ignored from now on: writing to a closed pipe fails
// with EPIPE instead.
//
// One object, made in main() before the first thread, because threads inherit the signal mask.
class StopOnSignals {
  public:
    StopOnSignals();
    ~StopOnSignals();
    StopOnSignals(StopOnSignals const&) = delete;
    StopOnSignals& operator=(StopOnSignals const&) = delete;

    std::stop_token token() const { return source_.get_token(); }
    // The first signal that came; 0: none yet.
    int signal() const { return signal_; }

  private:
    void wait_for_signals();

    sigset_t signals_{};
    sigset_t mask_before_{};
    Fd signal_fd_;
    Fd end_event_;
    std::stop_source source_;
    std::atomic<int> signal_ = 0;
    std::jthread thread_;  // last: joined first
};

}  // namespace holdfast
