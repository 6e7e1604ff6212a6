#include <algorithm>
#include <fmt/format.h>
#include <thread>

#include "base/text.h"
#include "base/units.h"
#include "runbook/definition.h"
#include "runbook/execution.h"

namespace holdfast::runbook {
namespace {

using Lock = std::unique_lock<std::mutex>;
using Phase = Execution::Slot::Phase;

// How often deadlines are looked at.
constexpr auto kLook = std::chrono::milliseconds(20);

class Scheduler {
  public:
    Scheduler(std::shared_ptr<Execution> run, std::stop_token stop)
        : shared_(std::move(run)),
          run_(*shared_),
          stop_(std::move(stop)),
          threads_(run_.slots.size()) {}

    RunReport run() {
        std::stop_callback wake(stop_, [this] {
            std::lock_guard lock(run_.mutex);
            run_.changed.notify_all();
        });
        Lock lock(run_.mutex);
        while (turn(lock)) {
        }
        auto stuck = stuck_steps();
        std::vector<bool> over;
        for (auto const& slot : run_.slots)
            over.push_back(slot.phase == Phase::over);
        lock.unlock();
        for (std::size_t i = 0; i < threads_.size(); ++i) {
            if (!threads_[i].joinable())
                continue;
            if (over[i]) {
                threads_[i].join();
            } else {
                threads_[i].detach();
            }
        }
        return report(std::move(stuck));
    }

  private:
    // One look at everything. False when nothing is at work and nothing can begin.
    bool turn(Lock& lock) {
        auto const& state = run_.state;
        if (stop_.stop_requested() || run_.fatal || aborts())
            run_.stopping = true;
        stop_what_must_stop(lock);
        if (run_.fatal)
            run_.stopping = true;
        if (!run_.stopping) {
            for (std::size_t i = 0; i < state.steps.size(); ++i) {
                if (state.steps[i].state != StepState::pending)
                    continue;
                if (run_.slots[i].phase != Phase::idle)
                    continue;
                if (auto reason = blocked_by(i); !reason.empty()) {
                    block(lock, i, reason);
                    return true;
                }
                if (is_ready(i) && at_work() < run_.options.parallel)
                    begin(i);
            }
        }
        if (at_work_or_asking() == 0)
            return false;
        wait(lock);
        return true;
    }

    // A step that failed and is over. (Between two attempts it has failed too, but is at work.)
    bool has_failed(std::size_t i) const {
        return run_.state.steps[i].state == StepState::failed &&
               run_.slots[i].phase != Phase::working;
    }
    bool aborts() const {
        for (std::size_t i = 0; i < run_.slots.size(); ++i) {
            if (has_failed(i) && run_.slots[i].phase == Phase::over &&
                run_.definition(i).on_failure == plan::OnFailure::abort) {
                return true;
            }
        }
        return false;
    }

    std::size_t index_of(std::string const& name) const {
        auto found = std::find_if(run_.definitions.begin(), run_.definitions.end(),
                                  [&](plan::Step const* step) { return step->name == name; });
        return static_cast<std::size_t>(found - run_.definitions.begin());
    }

    bool is_ready(std::size_t i) const {
        auto const& after = run_.definition(i).after;
        return std::all_of(after.begin(), after.end(), [&](std::string const& name) {
            auto other = index_of(name);
            bool passed =
                has_failed(other) && run_.definition(other).on_failure == plan::OnFailure::proceed;
            return run_.slots[other].phase != Phase::working &&
                   (run_.state.steps[other].settled() || passed);
        });
    }

    // Why the step can never begin in this run; empty when it may.
    std::string blocked_by(std::size_t i) const {
        for (auto const& name : run_.definition(i).after) {
            auto other = index_of(name);
            if (run_.state.steps[other].state == StepState::blocked) {
                return fmt::format("step '{}' did not run", name);
            }
            if (has_failed(other) &&
                run_.definition(other).on_failure != plan::OnFailure::proceed) {
                return fmt::format("step '{}' failed", name);
            }
        }
        return {};
    }

    void block(Lock& lock, std::size_t i, std::string const& reason) {
        Value details;
        details.set("reason", reason);
        lock.unlock();
        // A failure is in `fatal`, which ends the loop.
        (void)run_.note(Event::blocked, run_.definition(i).name, std::move(details));
        lock.lock();
    }

    void begin(std::size_t i) {
        run_.slots[i].phase = Phase::working;
        threads_[i] = std::thread([shared = shared_, i] {
            auto done = work(*shared, i);
            std::lock_guard lock(shared->mutex);
            // An error that is not the journal's is ours: the step's state says nothing about it.
            bool given_up = shared->closed || shared->slots[i].stuck;
            if (!done.has_value() && !given_up && !shared->fatal)
                shared->fatal = done.error();
            shared->slots[i].phase = Phase::over;
            shared->changed.notify_all();
        });
    }

    std::size_t at_work() const {
        return static_cast<std::size_t>(
            std::count_if(run_.slots.begin(), run_.slots.end(), [](auto const& slot) {
                return slot.phase == Phase::working && !slot.asking && !slot.stuck;
            }));
    }
    std::size_t at_work_or_asking() const {
        return static_cast<std::size_t>(std::count_if(
            run_.slots.begin(), run_.slots.end(),
            [](auto const& slot) { return slot.phase == Phase::working && !slot.stuck; }));
    }

    void stop_what_must_stop(Lock& lock) {
        auto now = run_.options.clock->elapsed();
        std::vector<std::stop_source> tell;
        std::vector<std::size_t> stuck;
        for (std::size_t i = 0; i < run_.slots.size(); ++i) {
            auto& slot = run_.slots[i];
            if (slot.phase != Phase::working || slot.stuck)
                continue;
            bool late = slot.deadline && now >= *slot.deadline && !slot.timed_out;
            if (late && !slot.stop.stop_requested())
                slot.timed_out = true;
            if ((run_.stopping || slot.timed_out) && !slot.told_to_stop &&
                slot.stop.stop_possible()) {
                slot.told_to_stop = now;
                tell.push_back(slot.stop);
            }
            if (slot.told_to_stop && now - *slot.told_to_stop >= run_.options.grace) {
                slot.stuck = true;
                stuck.push_back(i);
            }
        }
        if (tell.empty() && stuck.empty())
            return;
        // What a step does when it hears of the stop may need the lock.
        lock.unlock();
        for (auto& source : tell)
            source.request_stop();
        for (auto i : stuck)
            note_stuck(i);
        lock.lock();
        if (!stuck.empty())
            run_.stopping = true;
    }

    void note_stuck(std::size_t i) {
        Value details;
        details.set("reason", fmt::format("it was told to stop and still ran after {}",
                                          format_duration(run_.options.grace)));
        (void)run_.note(Event::stuck, run_.definition(i).name, std::move(details));
    }

    void wait(Lock& lock) {
        bool timed = run_.stopping ||
                     std::any_of(run_.slots.begin(), run_.slots.end(), [](auto const& slot) {
                         return slot.deadline || slot.told_to_stop;
                     });
        if (timed) {
            run_.changed.wait_for(lock, kLook);
        } else if (!stop_.stop_requested()) {
            run_.changed.wait(lock);
        }
    }

    std::vector<std::string> stuck_steps() const {
        std::vector<std::string> stuck;
        for (std::size_t i = 0; i < run_.slots.size(); ++i) {
            if (run_.slots[i].stuck)
                stuck.push_back(run_.definition(i).name);
        }
        return stuck;
    }

    // The first step in the order of the runbook for which `match` holds.
    template <typename Match>
    StepStatus const* first(RunState const& state, Match const& match) const {
        auto found = std::find_if(state.steps.begin(), state.steps.end(), match);
        return found == state.steps.end() ? nullptr : &*found;
    }

    RunReport report(std::vector<std::string> stuck) {
        auto state = run_.snapshot();
        auto in = [](StepState wanted) {
            return [wanted](StepStatus const& step) { return step.state == wanted; };
        };
        auto const* waiting = first(state, in(StepState::waiting));
        auto is_tolerated = [&](StepStatus const& step) {
            return step.state == StepState::failed &&
                   run_.definition(index_of(step.name)).on_failure == plan::OnFailure::proceed;
        };
        auto const* tolerated = first(state, is_tolerated);
        auto const* failed = first(state, [&](StepStatus const& step) {
            return step.state == StepState::failed && !is_tolerated(step);
        });
        auto const* open = first(
            state, [&](StepStatus const& step) { return !step.settled() && !is_tolerated(step); });

        auto outcome = RunOutcome::done;
        std::optional<Error> error;
        auto of_step = [](StepStatus const& step) {
            auto cause = step.error.value_or(Error{ErrorKind::internal, "no error", {}});
            return std::move(cause).within(fmt::format("step '{}'", step.name));
        };
        auto resume_hint = fmt::format("`holdfast resume {}` goes on", state.run);
        if (!stuck.empty()) {
            outcome = RunOutcome::failed;
            error = {ErrorKind::internal,
                     fmt::format("step '{}' does not stop", join(stuck, "', '")), resume_hint};
        } else if (failed && aborts()) {
            outcome = RunOutcome::failed;
            error = of_step(*failed);
        } else if (stop_.stop_requested() && open) {
            outcome = RunOutcome::interrupted;
            error = {ErrorKind::cancelled, "stopped", resume_hint};
        } else if (waiting) {
            outcome = RunOutcome::needs_decision;
            error = {ErrorKind::partial,
                     fmt::format("step '{}' waits for the operator: {}", waiting->name,
                                 waiting->question ? waiting->question->text : ""),
                     resume_hint};
        } else if (failed) {
            outcome = RunOutcome::failed;
            error = of_step(*failed);
        } else if (tolerated) {
            outcome = RunOutcome::partial;
            error = of_step(*tolerated);
            error->kind = ErrorKind::partial;
        }
        if (outcome == RunOutcome::done && open) {
            outcome = RunOutcome::failed;
            error = {ErrorKind::internal, fmt::format("step '{}' was left behind", open->name),
                     resume_hint};
        }
        Value details;
        details.set("outcome", std::string(catalog::to_text(outcome)));
        if (error)
            details.set("error", to_value(*error));
        auto noted = run_.note(Event::finished, "", std::move(details));

        std::lock_guard lock(run_.mutex);
        run_.closed = true;
        RunReport report{run_.state, run_.questions, std::move(stuck), std::move(error)};
        // Without its end in the journal the run counts as cut off, and so it must for the caller.
        if (!noted.has_value())
            report.error = run_.fatal ? *run_.fatal : noted.error();
        return report;
    }

    std::shared_ptr<Execution> shared_;
    Execution& run_;
    std::stop_token stop_;
    std::vector<std::thread> threads_;
};

}  // namespace

RunReport schedule(std::shared_ptr<Execution> const& run, std::stop_token stop) {
    return Scheduler(run, std::move(stop)).run();
}

}  // namespace holdfast::runbook
