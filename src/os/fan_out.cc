#include "os/fan_out.h"

#include <mutex>
#include <optional>

namespace holdfast {

struct FanOut::State {
    std::mutex mutex;
    std::uint64_t cost = 0;
    std::size_t tasks = 0;
    std::optional<Error> error;
};

FanOut::FanOut(Executor& executor, std::uint64_t cost_max, std::stop_token stop)
    : executor_(executor), cost_max_(cost_max), stop_(std::move(stop)), state_(std::make_shared<State>()) {}

FanOut::~FanOut() { static_cast<void>(finish()); }

bool FanOut::add(std::uint64_t cost, std::function<Result<void>()> work) {
    executor_.wait_until([&] {
        std::lock_guard lock(state_->mutex);
        return state_->tasks == 0 || state_->cost + cost <= cost_max_ || state_->error;
    });
    {
        std::lock_guard lock(state_->mutex);
        if (state_->error || stop_.stop_requested()) return false;
        state_->cost += cost;
        ++state_->tasks;
    }
    executor_.post([state = state_, stop = stop_, cost, work = std::move(work)] {
        auto done = stop.stop_requested() ? Result<void>{} : work();
        std::lock_guard lock(state->mutex);
        if (!done && !state->error) state->error = std::move(done).error();
        state->cost -= cost;
        --state->tasks;
    });
    return true;
}

Result<void> FanOut::finish() {
    executor_.wait_until([&] {
        std::lock_guard lock(state_->mutex);
        return state_->tasks == 0;
    });
    if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
    std::lock_guard lock(state_->mutex);
    if (state_->error) return fail(*state_->error);
    return {};
}

}  // namespace holdfast
