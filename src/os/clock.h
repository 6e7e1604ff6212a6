#pragma once

#include <atomic>
#include <stop_token>

#include "base/time.h"

namespace holdfast {

// The time. Replaced in tests, so that schedules, timeouts and expiry run without waiting.
class Clock {
  public:
    virtual ~Clock() = default;
    // Wall-clock time in UTC: may jump. For what people read, and for what is written to disk.
    virtual Time now() = 0;
    // Time since some start that never jumps and counts suspended time (CLOCK_BOOTTIME). For
    // measuring and for deadlines.
    virtual Duration elapsed() = 0;
    // Sleeps for `duration` or until `stop` is requested; false when it was stopped.
    virtual bool sleep(Duration duration, std::stop_token stop) = 0;
};

Clock& system_clock();

// Time that a test moves by hand; `sleep` moves it too and never blocks. For several threads.
class ManualClock : public Clock {
  public:
    explicit ManualClock(Time start) : start_(start) {}
    Time now() override { return start_ + elapsed(); }
    Duration elapsed() override { return Duration(elapsed_); }
    bool sleep(Duration duration, std::stop_token stop) override;
    void advance(Duration duration);

  private:
    Time const start_;
    std::atomic<Duration::rep> elapsed_{0};
};

}  // namespace holdfast
