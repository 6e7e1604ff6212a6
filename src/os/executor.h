#pragma once

#include <functional>
#include <memory>

namespace holdfast {

// Runs the engine's stages: threads in production, one seeded loop in tests, so that the whole engine
// is deterministic under a seed.
//
// A task must not wait for another task; whoever produces tasks waits instead, through wait_until().
class Executor {
  public:
    virtual ~Executor() = default;
    // Queues `task`. It runs at some later point, in any order relative to others. Thread-safe.
    virtual void post(std::function<void()> task) = 0;
    // Returns when `ready()` is true. It is evaluated on the calling thread, again after tasks ended.
    // What makes it true must be done by tasks. Never call it from a task.
    virtual void wait_until(std::function<bool()> const& ready) = 0;
    // How many tasks can run at the same time.
    virtual unsigned width() const = 0;
};

// A pool of `threads` threads (0: one for each processor). The destructor runs what is queued.
std::unique_ptr<Executor> make_thread_executor(unsigned threads = 0);

// Runs tasks inside wait_until(), on the calling thread, in an order drawn from `seed`. The
// destructor runs what is left.
std::unique_ptr<Executor> make_seeded_executor(std::uint64_t seed);

}  // namespace holdfast
