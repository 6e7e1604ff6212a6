#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/clock.h"
#include "plan/value.h"
#include "runbook/decision.h"

namespace holdfast::runbook {

using plan::Value;

// What a step leaves when it succeeded.
struct StepResult {
    // A map of names to scalars: later steps write ${step.name}. Goes into the journal: no secrets,
    // text in UTF-8 (names of files through printable()).
    Value outputs = {};
    // One line for people: "1,204 files, 3.1 GiB in 12 s".
    std::string summary = {};
};

// How far a step has come; totals are 0 while they are unknown.
struct StepProgress {
    std::string what;  // "restoring"
    std::uint64_t done = 0;
    std::uint64_t total = 0;
    bool bytes = true;  // what is counted: bytes, else items
};

// What a step is given while it runs. All of it is thread-safe and stays valid until run() returns.
class StepContext {
  public:
    virtual ~StepContext() = default;

    // The run's id, and the step's name in the runbook.
    virtual std::string const& run_id() const = 0;
    virtual std::string const& step_name() const = 0;
    // The step's arguments with every placeholder filled in. Secrets are references still: fetch
    // them with plan::resolve() and never give them to anything below.
    virtual Value const& arguments() const = 0;
    // What an earlier step left; null when there is no such step or it has not succeeded.
    virtual Value const* outputs_of(std::string_view step) const = 0;
    // The recovery point that was chosen for a dataset when the run began: hexadecimal, empty when
    // none was. A resumed run keeps its points.
    virtual std::string point_of(std::string_view dataset) const = 0;

    // 1 for the first attempt of the first run; retries and resumes count on.
    virtual std::uint32_t attempt() const = 0;
    // Announces an effect: call it BEFORE the effect it names and go on only when it succeeded. It
    // is durable then, and a later attempt finds it in effects(). Example: a step that creates a
    // database records its name first, so that the next attempt knows which half-made one is its
    // own. No secrets. The same name again replaces the value. Fails with `cancelled` when the
    // engine has given the step up; then stop.
    virtual Result<void> record_effect(std::string_view name, Value value) = 0;
    // A map of what was recorded by this and all earlier attempts.
    virtual Value effects() const = 0;

    // A directory of the step's own, 0700, which survives until the run is removed. Made on demand.
    virtual Result<std::filesystem::path> scratch() = 0;

    // Asks the operator. Fails with ErrorKind::cancelled when nobody can be asked now: pass that
    // error on, the step then waits for a decision and runs again on resume (so ask before any
    // effect).
    virtual Result<Decision> ask(Question question) = 0;

    // A line for the operator and the run's log (not the journal): best effort. No secrets.
    virtual void log(std::string_view line) = 0;
    virtual void progress(StepProgress const& progress) = 0;

    // Requested on Ctrl-C, on timeout, and when another step aborts the runbook: leave things so
    // that they can be resumed and return `cancelled` soon.
    virtual std::stop_token stop() const = 0;
    virtual Clock& clock() = 0;
};

// A kind of step. One object serves one attempt; its factory captures whatever it needs from the
// world. describe() and preflight() may see `${step.output}` where the value is only known later
// (see is_known()), and everything optional may be absent.
class Step {
  public:
    virtual ~Step() = default;

    // Whether it may be run again after it was cut off anywhere, without asking. The plan can
    // override.
    virtual bool idempotent() const = 0;

    // Exactly what run() would do, for `--dry-run`: "scale deployment 'api' to 0 replicas". One or
    // more lines. Touches nothing and asks nobody.
    virtual Result<std::string> describe(Value const& arguments) const = 0;

    // Finds out whether run() can work, before anything of the runbook has run: arguments,
    // programs, servers, keys. Changes nothing. May be called more than once.
    virtual Result<void> preflight(Value const& arguments, std::stop_token stop) = 0;

    // Does it. A failure leaves things so that the step can be attempted again (if it is
    // idempotent) or so that an operator can tell what is done (if it is not). The error's kind
    // decides about retries: `usage`, `key_refused`, `unsafe`, `cancelled` and `internal` are
    // final.
    virtual Result<StepResult> run(StepContext& context) = 0;
};

// False for text in which a placeholder is still to be filled in.
bool is_known(Value const& value);

}  // namespace holdfast::runbook
