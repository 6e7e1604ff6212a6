#include "runbook/engine.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <fmt/format.h>

#include "base/text.h"
#include "os/machine.h"
#include "runbook/definition.h"
#include "runbook/execution.h"
#include "runbook/graph.h"
#include "runbook/preflight.h"
#include "runbook/resolve.h"

namespace holdfast::runbook {
namespace {

// "20261122T103107Z-5f0c3a": sorts by time.
std::string make_run_id(Clock& clock, Random& random) {
    std::array<std::uint8_t, 3> bytes{};
    random.fill(bytes);
    return fmt::format("{}Z-{}", to_key_time(clock.now()).substr(0, 15), to_hex(bytes));
}

Value beginning(StartRequest const& request, std::map<std::string, std::string> const& parameters) {
    Value parameter_values{Value::Map{}};
    for (auto const& [name, value] : parameters)
        parameter_values.set(name, value);
    Value details;
    details.set("format", kJournalFormat);
    details.set("runbook", request.runbook.name);
    details.set("plan_hash", request.plan_hash);
    details.set("definition", to_value(request.runbook));
    details.set("parameters", std::move(parameter_values));
    details.set("points", request.points);
    details.set("attributes", request.attributes);
    details.set("user", operator_name());
    details.set("host", host_name());
    details.set("process", process_name());
    return details;
}

// The state of a run that has not begun.
Result<RunState> imagine(StartRequest const& request,
                         std::map<std::string, std::string> const& parameters) {
    Record first{0, {}, Event::begun, {}, beginning(request, parameters)};
    return replay("imagined", {first});
}

Question about_cut_off(StepStatus const& step) {
    Question question;
    question.about = Question::About::interrupted;
    question.step = step.name;
    question.kind = step.kind;
    question.effects = step.effects;
    question.started = step.started;
    question.choices = {Choice::redo, Choice::done, Choice::skip};
    if (step.error) {
        question.error = step.error->message;
        question.text = fmt::format("step '{}' ({}) failed; was it done?", step.name, step.kind);
    } else {
        question.text =
            fmt::format("step '{}' ({}) was cut off; was it done?", step.name, step.kind);
    }
    return question;
}

bool is_cut_off(StepStatus const& step) {
    return step.state == StepState::running || step.state == StepState::interrupted ||
           step.state == StepState::failed;
}

Result<void> check_decision(RunState const& state, StepStatus const& step, Question const& question,
                            Decision const& decision) {
    if (!question.allows(decision.choice)) {
        return fail(
            ErrorKind::usage,
            fmt::format("'{}' is no answer about step '{}'", to_text(decision.choice), step.name),
            "say redo, done or skip");
    }
    if (decision.choice == Choice::redo)
        return {};
    Value outputs;
    if (decision.choice == Choice::done) {
        outputs = step.effects;
        for (auto const& output : decision.outputs.members())
            outputs.set(output.name, output.value);
    }
    auto missing = missing_outputs(state, step.name, outputs);
    if (missing.empty())
        return {};
    return fail(
        ErrorKind::usage,
        fmt::format("step '{}' cannot count as {}: {}", step.name,
                    decision.choice == Choice::done ? "done" : "skipped", join(missing, ", ")),
        "say done and give these outputs, or redo it");
}

// Refuses decisions that name no step, come too late, or leave later steps without what they need.
Result<void> check_decisions(RunState const& state, ResumeRequest const& request) {
    auto decided = state;  // as it will be when all of them are taken
    for (auto const& [name, decision] : request.decisions) {
        auto* step = decided.find(name);
        if (!step) {
            std::vector<std::string> names;
            for (auto const& each : state.steps)
                names.push_back(each.name);
            auto near = nearest(name, names);
            return fail(ErrorKind::usage, fmt::format("run '{}' has no step '{}'", state.run, name),
                        near.empty() ? "" : fmt::format("did you mean '{}'?", near));
        }
        if (step->settled()) {
            return fail(ErrorKind::usage,
                        fmt::format("step '{}' {} already; nothing is asked about it", name,
                                    to_text(step->state)));
        }
        if (!is_cut_off(*step))
            continue;
        if (decision.choice == Choice::done)
            step->state = StepState::succeeded;
        if (decision.choice == Choice::skip)
            step->state = StepState::skipped;
    }
    for (auto const& [name, decision] : request.decisions) {
        auto const& step = *state.find(name);
        if (is_cut_off(step))
            TRY(check_decision(decided, step, about_cut_off(step), decision));
    }
    return {};
}

}  // namespace

Engine::Engine(EngineOptions options) : options_(std::move(options)) {
    assert(options_.registry && options_.clock && options_.random);
    options_.parallel = std::clamp(options_.parallel, 1u, 4u);
}

bool Engine::idempotent(plan::Step const& step) const {
    return is_idempotent(*options_.registry, step);
}

Result<DryRun> Engine::dry_run(StartRequest const& request, std::stop_token stop) const {
    TRY(check_runbook(request.runbook, *options_.registry));
    auto parameters = TRY(resolve_parameters(request.runbook, request.parameters));
    auto state = TRY(imagine(request, parameters));
    auto order = TRY(waves(request.runbook));
    DryRun dry;
    for (auto const& wave : order) {
        auto& planned = dry.waves.emplace_back();
        for (auto i : wave) {
            auto const& step = *(request.runbook.steps.begin() + static_cast<std::ptrdiff_t>(i));
            PlannedStep one;
            one.name = step.name;
            one.kind = step.kind;
            one.description = step.description;
            one.after = step.after;
            one.when = step.when;
            one.condition = TRY(preview_condition(state, step));
            one.arguments = TRY(preview_arguments(state, step));
            one.idempotent = idempotent(step);
            one.timeout = step.timeout;
            one.retries = step.retries;
            one.approve = step.approve;
            one.on_failure = step.on_failure;
            auto object = options_.registry->make(step.kind);
            auto what = object->describe(one.arguments);
            if (what.has_value()) {
                one.what = std::move(*what);
            } else {
                dry.problems.push_back(
                    std::move(what).error().within(fmt::format("step '{}'", step.name)));
            }
            planned.push_back(std::move(one));
        }
    }
    auto problems = preflight(state, *options_.registry, stop);
    for (auto& problem : problems) {
        bool known = std::any_of(dry.problems.begin(), dry.problems.end(), [&](Error const& other) {
            return other.message == problem.message;
        });
        if (!known)
            dry.problems.push_back(std::move(problem));
    }
    return dry;
}

Result<RunReport> Engine::start(StartRequest const& request, std::stop_token stop) {
    TRY(check_runbook(request.runbook, *options_.registry));
    auto parameters = TRY(resolve_parameters(request.runbook, request.parameters));
    auto imagined = TRY(imagine(request, parameters));
    TRY(as_one(preflight(imagined, *options_.registry, stop),
               fmt::format("runbook '{}'", request.runbook.name)));

    auto run = make_run_id(*options_.clock, *options_.random);
    auto journal = TRY(Journal::create(options_.state, run, beginning(request, parameters),
                                       {options_.clock, options_.journal_hook}));
    auto state = TRY(replay(run, journal->records()));
    if (options_.observer)
        options_.observer->began(state);
    auto execution = std::make_shared<Execution>(options_, std::move(journal), std::move(state),
                                                 std::map<std::string, Decision>());
    return schedule(execution, stop);
}

Result<RunReport> Engine::resume(ResumeRequest const& request, std::stop_token stop) {
    auto journal =
        TRY(Journal::open(options_.state, request.run, {options_.clock, options_.journal_hook}));
    auto state = TRY(replay(request.run, journal->records()));
    if (state.outcome == RunOutcome::done) {
        return fail(ErrorKind::usage, fmt::format("run '{}' is done", request.run),
                    "start the runbook anew to do it again");
    }
    TRY(check_runbook(state.runbook, *options_.registry));
    TRY(check_decisions(state, request));

    Value details;
    details.set("user", operator_name());
    details.set("host", host_name());
    details.set("process", process_name());
    auto resumed = TRY(journal->append(Event::resumed, "", std::move(details)));
    TRY(apply(state, resumed));
    if (options_.observer)
        options_.observer->began(state);

    auto questions = TRY(settle_cut_off(state, *journal, request, stop));
    std::optional<Error> error;
    auto outcome = RunOutcome::needs_decision;
    if (!questions.empty()) {
        error = Error{ErrorKind::partial,
                      fmt::format("run '{}': {}", state.run, questions.front().text),
                      "find out, then decide: redo, done or skip"};
    } else if (auto ready = as_one(preflight(state, *options_.registry, stop),
                                   fmt::format("run '{}'", state.run));
               !ready.has_value()) {
        outcome = RunOutcome::failed;
        error = std::move(ready).error();
    }
    if (error) {
        Value end;
        end.set("outcome", std::string(catalog::to_text(outcome)));
        end.set("error", to_value(*error));
        auto finished = TRY(journal->append(Event::finished, "", std::move(end)));
        TRY(apply(state, finished));
        return RunReport{std::move(state), std::move(questions), {}, std::move(error)};
    }
    auto execution = std::make_shared<Execution>(options_, std::move(journal), std::move(state),
                                                 request.decisions);
    return schedule(execution, stop);
}

// Makes every step that was cut off pending again, or settles it by the operator's decision.
// Returns what nobody has decided. Whatever is decided is in the journal at once, so that it is
// asked only once.
Result<std::vector<Question>> Engine::settle_cut_off(RunState& state, Journal& journal,
                                                     ResumeRequest const& request,
                                                     std::stop_token stop) const {
    std::vector<Question> open;
    for (auto const& step : state.runbook.steps) {
        auto& status = *state.find(step.name);
        if (!is_cut_off(status))
            continue;
        auto given = request.decisions.find(step.name);
        if (given == request.decisions.end() && idempotent(step)) {
            // Not in the journal: if we are cut off before it begins, the same is true again.
            status.state = StepState::pending;
            continue;
        }
        auto question = about_cut_off(status);
        std::optional<Decision> decision;
        if (given != request.decisions.end()) {
            decision = given->second;
        } else if (options_.decide && !stop.stop_requested()) {
            decision = options_.decide(question, stop);
        }
        if (!decision) {
            open.push_back(std::move(question));
            continue;
        }
        if (given == request.decisions.end())
            TRY(check_decision(state, status, question, *decision));
        if (decision->by.empty())
            decision->by = operator_name();
        auto record = TRY(journal.append(Event::decided, step.name,
                                         to_value(*decision, Question::About::interrupted)));
        TRY(apply(state, record));
        if (options_.observer)
            options_.observer->changed(status);
    }
    return open;
}

}  // namespace holdfast::runbook
