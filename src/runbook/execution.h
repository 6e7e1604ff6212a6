#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "runbook/engine.h"

// What the threads of one run share: the scheduler, and one worker for each step that is at work.
// Kept by shared pointers, because a step that does not stop outlives the scheduler.
namespace holdfast::runbook {

struct Execution {
    // A step at work.
    struct Slot {
        enum class Phase { idle, working, over };
        Phase phase = Phase::idle;
        std::stop_source stop{std::nostopstate};  // of the attempt
        std::optional<Duration> deadline = {};    // of the attempt, by Clock::elapsed()
        std::optional<Duration> told_to_stop = {};
        bool timed_out = false;
        bool asking = false;  // waits for the operator and takes nobody's place
        bool stuck = false;
    };

    Execution(EngineOptions options, std::unique_ptr<Journal> journal, RunState state,
              std::map<std::string, Decision> given);

    // Writes the record, applies it to the state, tells the observer. Fails with `cancelled` when
    // the run is closed. A journal that cannot be written stops the run.
    Result<void> note(Event event, std::string const& step, Value details);
    // Asks the operator and notes question and answer; nothing when there is no answer now. Given
    // decisions come first.
    Result<std::optional<Decision>> ask(std::size_t step, Question question, std::stop_token stop);
    void log(std::string const& step, std::string_view line);

    // A copy, under the lock.
    RunState snapshot();
    StepStatus status(std::size_t step);
    bool is_stuck(std::string const& step) const;  // under the lock
    plan::Step const& definition(std::size_t step) const { return *definitions[step]; }

    EngineOptions const options;
    std::unique_ptr<Journal> const journal;
    plan::Runbook const runbook;
    std::vector<plan::Step const*> definitions;

    std::mutex mutex;  // guards what follows
    std::condition_variable changed;
    RunState state;
    std::vector<Slot> slots;
    std::map<std::string, Decision> given;
    std::vector<Question> questions;  // without an answer
    std::optional<Error> fatal;       // the journal cannot be written
    bool stopping = false;            // nothing new begins
    bool closed = false;              // nothing more is written

    std::mutex question_mutex;  // one question at a time
    std::mutex observer_mutex;  // one call at a time
    std::mutex log_mutex;
    Fd log_file;
    std::uint64_t log_bytes = 0;
};

// Does all of one step: condition, approval, arguments, attempts. Fails only when the journal does.
Result<void> work(Execution& run, std::size_t step);

// Runs what is ready until nothing is left that can run.
RunReport schedule(std::shared_ptr<Execution> const& run, std::stop_token stop);

// The user of the operating system.
std::string operator_name();

}  // namespace holdfast::runbook
