#include <algorithm>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/text.h"
#include "base/units.h"
#include "os/file.h"
#include "runbook/definition.h"
#include "runbook/execution.h"
#include "runbook/preflight.h"
#include "runbook/resolve.h"

namespace holdfast::runbook {
namespace {

// Leaves room in a record for what is around it.
constexpr std::size_t kValueBytesMax = kRecordBytesMax / 2;
constexpr Duration kBackoffMax = std::chrono::hours(1);
constexpr Duration kTimeoutMax = std::chrono::hours(24 * 365 * 10);  // far from overflow

Error too_large(std::string_view what) {
    return {ErrorKind::internal, fmt::format("{} of more than {} bytes", what, kValueBytesMax), {}};
}

// What a step sees of the run.
class Context final : public StepContext {
  public:
    Context(Execution& run, std::size_t step, Value arguments, std::uint32_t attempt,
            std::stop_token stop)
        : run_(run),
          step_(step),
          name_(run.definition(step).name),
          arguments_(std::move(arguments)),
          before_(run.snapshot()),
          attempt_(attempt),
          stop_(std::move(stop)) {}

    std::string const& run_id() const override { return before_.run; }
    std::string const& step_name() const override { return name_; }
    Value const& arguments() const override { return arguments_; }

    // Only steps that this one comes after are sure to have ended, so a copy from its start will
    // do.
    Value const* outputs_of(std::string_view step) const override {
        auto const* status = before_.find(step);
        return status && status->state == StepState::succeeded ? &status->outputs : nullptr;
    }
    std::string point_of(std::string_view dataset) const override {
        return before_.points.member_text(dataset);
    }
    std::uint32_t attempt() const override { return attempt_; }

    Result<void> record_effect(std::string_view name, Value value) override {
        if (plan::to_json(value).size() > kValueBytesMax)
            return fail(too_large("an effect"));
        Value details;
        details.set("name", std::string(name));
        details.set("value", std::move(value));
        return run_.note(Event::effect, name_, std::move(details));
    }
    Value effects() const override { return run_.status(step_).effects; }

    Result<std::filesystem::path> scratch() override {
        auto steps = run_.journal->directory() / "steps";
        auto own = steps / name_;
        for (auto const& directory : {steps, own}) {
            if (::mkdir(directory.c_str(), 0700) == 0 || errno == EEXIST)
                continue;
            return fail(errno_error(fmt::format("make directory '{}'", directory.string()), errno));
        }
        return own;
    }

    Result<Decision> ask(Question question) override {
        if (question.about == Question::About::interrupted)
            question.about = Question::About::manual;
        auto text = question.text;
        auto decision = TRY(run_.ask(step_, std::move(question), stop_));
        if (!decision) {
            unanswered = true;
            return fail(ErrorKind::cancelled, "waits for the operator: " + text);
        }
        if (decision->choice == Choice::skip)
            skipped_by = decision->by;
        if (decision->choice == Choice::skip || decision->choice == Choice::refuse) {
            auto verb = decision->choice == Choice::skip ? "skipped" : "refused";
            return fail(ErrorKind::cancelled,
                        fmt::format("{} by {}{}", verb, decision->by,
                                    decision->note.empty() ? "" : ": " + decision->note));
        }
        return std::move(*decision);
    }

    void log(std::string_view line) override { run_.log(name_, line); }
    void progress(StepProgress const& progress) override {
        if (!run_.options.observer)
            return;
        std::lock_guard lock(run_.observer_mutex);
        run_.options.observer->progress(name_, progress);
    }
    std::stop_token stop() const override { return stop_; }
    Clock& clock() override { return *run_.options.clock; }

    bool unanswered = false;
    std::string skipped_by;

  private:
    Execution& run_;
    std::size_t step_;
    std::string name_;
    Value arguments_;
    RunState before_;
    std::uint32_t attempt_;
    std::stop_token stop_;
};

Result<StepResult> run_guarded(Step& step, StepContext& context) {
    try {
        auto result = step.run(context);
        if (!result.has_value())
            return result;
        auto& outputs = result->outputs;
        if (outputs.is_null())
            outputs = Value(Value::Map{});
        for (auto const& output : outputs.members()) {
            if (output.value.is_scalar())
                continue;
            return fail(ErrorKind::internal,
                        fmt::format("output '{}' is not a scalar", output.name));
        }
        if (!outputs.is_map())
            return fail(ErrorKind::internal, "its outputs are not a map");
        if (plan::to_json(outputs).size() > kValueBytesMax)
            return fail(too_large("outputs"));
        return result;
    } catch (std::exception const& error) {
        return fail(ErrorKind::internal, fmt::format("it threw: {}", error.what()));
    }
}

// Whether trying again can help.
bool is_final(ErrorKind kind) {
    constexpr std::array kinds = {ErrorKind::usage, ErrorKind::key_refused, ErrorKind::unsafe,
                                  ErrorKind::cancelled, ErrorKind::internal};
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
}

class Worker {
  public:
    Worker(Execution& run, std::size_t step)
        : run_(run), index_(step), step_(run.definition(step)) {}

    Result<void> work() {
        bool goes_on = TRY(check_condition());
        if (!goes_on)
            return {};
        goes_on = TRY(get_approval());
        if (!goes_on)
            return {};
        for (std::uint32_t retry = 0;; ++retry) {
            auto again = TRY(attempt(retry));
            if (!again)
                return {};
        }
    }

  private:
    Result<bool> check_condition() {
        auto holds = resolve_condition(run_.snapshot(), step_);
        if (!holds.has_value()) {
            TRY(end(StepState::failed, std::move(holds).error()));
            return false;
        }
        if (*holds)
            return true;
        TRY(skip(fmt::format("condition '{}' does not hold", step_.when)));
        return false;
    }

    Result<bool> get_approval() {
        if (!step_.approve || run_.status(index_).approved)
            return true;
        auto stop = begin_attempt(std::nullopt);
        auto text = fmt::format("step '{}' needs the approval of {} of {}", step_.name,
                                step_.approve->count, join(step_.approve->teams, ", "));
        Question question{.about = Question::About::approval, .step = {}, .kind = {}, .text = text};
        auto decision = TRY(run_.ask(index_, std::move(question), stop));
        end_attempt();
        if (!decision)
            return false;
        if (decision->choice == Choice::approve)
            return true;
        if (decision->choice == Choice::skip) {
            TRY(skip(fmt::format("skipped by {}", decision->by)));
            return false;
        }
        TRY(end(StepState::failed,
                {ErrorKind::cancelled,
                 fmt::format("approval refused by {}{}", decision->by,
                             decision->note.empty() ? "" : ": " + decision->note),
                 {}}));
        return false;
    }

    // Whether there is to be another one.
    Result<bool> attempt(std::uint32_t retry) {
        auto arguments = resolve_arguments(run_.snapshot(), step_);
        if (!arguments.has_value()) {
            TRY(end(StepState::failed, std::move(arguments).error()));
            return false;
        }
        bool idempotent = is_idempotent(*run_.options.registry, step_);
        Value details;
        details.set("attempt", std::int64_t{run_.status(index_).attempts} + 1);
        details.set("kind", step_.kind);
        details.set("idempotent", idempotent);
        details.set("arguments", *arguments);
        TRY(run_.note(Event::started, step_.name, std::move(details)));

        auto stop = begin_attempt(step_.timeout);
        auto object = run_.options.registry->make(step_.kind);
        Context context(run_, index_, std::move(*arguments), run_.status(index_).attempts, stop);
        auto result = run_guarded(*object, context);
        bool timed_out = end_attempt();

        if (result.has_value()) {
            TRY(succeed(std::move(*result)));
            return false;
        }
        if (context.unanswered)
            return false;
        if (!context.skipped_by.empty()) {
            TRY(skip(fmt::format("skipped by {}", context.skipped_by)));
            return false;
        }
        auto error = std::move(result).error();
        if (!timed_out && stop.stop_requested() && error.kind == ErrorKind::cancelled) {
            TRY(end(StepState::interrupted, std::move(error)));
            return false;
        }
        if (timed_out) {
            error = {ErrorKind::unreachable,
                     fmt::format("timed out after {}: {}", format_duration(*step_.timeout),
                                 error.message),
                     "give it a longer `timeout` if it needs one"};
        }
        if (retry >= step_.retries.count || !idempotent || is_final(error.kind)) {
            TRY(end(StepState::failed, std::move(error)));
            return false;
        }
        return back_off(retry, error);
    }

    Result<bool> back_off(std::uint32_t retry, Error const& error) {
        auto wait = step_.retries.backoff;
        for (std::uint32_t i = 0; i < retry && wait < kBackoffMax; ++i)
            wait *= 2;
        wait = std::min(wait, kBackoffMax);
        Value details;
        details.set("error", to_value(error));
        details.set("retry_in_ns", std::int64_t{wait.count()});
        TRY(run_.note(Event::failed, step_.name, std::move(details)));
        run_.log(step_.name,
                 fmt::format("{}; trying again in {}", error.message, format_duration(wait)));
        auto stop = begin_attempt(std::nullopt);
        bool slept = run_.options.clock->sleep(wait, stop);
        end_attempt();
        if (slept)
            return true;
        TRY(end(StepState::interrupted,
                {ErrorKind::cancelled, "stopped before it was tried again", {}}));
        return false;
    }

    // From here to end_attempt() the scheduler can stop what runs.
    std::stop_token begin_attempt(std::optional<Duration> timeout) {
        std::lock_guard lock(run_.mutex);
        auto& slot = run_.slots[index_];
        slot.stop = std::stop_source();
        slot.timed_out = false;
        slot.told_to_stop.reset();
        if (timeout)
            slot.deadline = run_.options.clock->elapsed() + std::min(*timeout, kTimeoutMax);
        if (run_.stopping)
            slot.stop.request_stop();  // nobody listens yet
        run_.changed.notify_all();
        return slot.stop.get_token();
    }
    bool end_attempt() {
        std::lock_guard lock(run_.mutex);
        auto& slot = run_.slots[index_];
        slot.stop = std::stop_source(std::nostopstate);
        slot.deadline.reset();
        slot.told_to_stop.reset();
        return slot.timed_out;
    }

    Result<void> succeed(StepResult result) {
        Value details;
        details.set("outcome", std::string(to_text(StepState::succeeded)));
        details.set("outputs", std::move(result.outputs));
        details.set("summary", std::move(result.summary));
        return run_.note(Event::ended, step_.name, std::move(details));
    }
    Result<void> end(StepState outcome, Error const& error) {
        Value details;
        details.set("outcome", std::string(to_text(outcome)));
        details.set("error", to_value(error));
        return run_.note(Event::ended, step_.name, std::move(details));
    }
    Result<void> skip(std::string reason) {
        Value details;
        details.set("reason", std::move(reason));
        return run_.note(Event::skipped, step_.name, std::move(details));
    }

    Execution& run_;
    std::size_t index_;
    plan::Step const& step_;
};

}  // namespace

Result<void> work(Execution& run, std::size_t step) {
    return Worker(run, step).work();
}

}  // namespace holdfast::runbook
