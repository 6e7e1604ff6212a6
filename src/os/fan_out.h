#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "base/result.h"
#include "os/executor.h"

namespace holdfast {

// Does one thing to many items on an executor, so many at a time. Used by one thread, never by a task.
class FanOut {
  public:
    // Items run beside each other as long as they cost at most `cost_max` together (bytes in memory, requests); one
    // that costs more runs alone.
    FanOut(Executor& executor, std::uint64_t cost_max, std::stop_token stop);
    // What is running ends first.
    ~FanOut();

    // Waits until there is room, then queues `work`. After the first error, and when it was stopped, nothing more is
    // begun, and this returns false at once.
    bool add(std::uint64_t cost, std::function<Result<void>()> work);
    // Waits for all of it. The first error; `cancelled` when it was stopped.
    Result<void> finish();

  private:
    struct State;
    Executor& executor_;
    std::uint64_t const cost_max_;
    std::stop_token stop_;
    std::shared_ptr<State> state_;  // shared with the tasks: the last one may still be ending when the wait is over
};

// How many requests to a store run beside each other: most of their time is the store's.
inline std::uint64_t store_requests(Executor const& executor) { return std::max(8u, 2 * executor.width()); }

}  // namespace holdfast
