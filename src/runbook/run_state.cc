#include "runbook/run_state.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <span>

#include "runbook/definition.h"

namespace holdfast::runbook {
namespace {

Error damaged(Record const& record, std::string_view why) {
    return {ErrorKind::damaged, fmt::format("record {}: {}", record.sequence, why), {}};
}

Value member(Value const& map, std::string_view key) {
    auto const* found = map.find(key);
    return found ? *found : Value();
}

template <typename T, std::size_t count>
std::optional<T> word(std::string_view text, std::array<T, count> const& values) {
    auto found = std::find_if(values.begin(), values.end(), [&](T each) {
        using catalog::to_text;
        return to_text(each) == text;
    });
    return found == values.end() ? std::nullopt : std::optional(*found);
}

Result<void> begin(RunState& state, Record const& record) {
    auto const& details = record.details;
    auto const* format = details.find("format");
    if (!format || !format->integer())
        return fail(damaged(record, "no format"));
    if (*format->integer() > kJournalFormat) {
        return fail(ErrorKind::usage,
                    fmt::format("run '{}' is of a newer format ({}, this program knows {})",
                                state.run, *format->integer(), kJournalFormat),
                    "use the newer holdfast");
    }
    state.runbook = TRY(runbook_from(member(details, "definition")));
    state.plan_hash = details.member_text("plan_hash");
    auto parameters = member(details, "parameters");
    for (auto const& each : parameters.members()) {
        state.parameters.emplace(each.name, each.value.scalar());
    }
    state.points = member(details, "points");
    state.attributes = member(details, "attributes");
    state.user = details.member_text("user");
    state.host = details.member_text("host");
    state.begun = record.time;
    for (auto const& step : state.runbook.steps) {
        StepStatus status;
        status.name = step.name;
        status.kind = step.kind;
        state.steps.push_back(std::move(status));
    }
    return {};
}

Result<void> end_step(StepStatus& step, Record const& record) {
    constexpr std::array ends = {StepState::succeeded, StepState::failed, StepState::interrupted};
    auto outcome = record.details.member_text("outcome");
    auto found = std::find_if(ends.begin(), ends.end(),
                              [&](StepState each) { return to_text(each) == outcome; });
    if (found == ends.end())
        return fail(damaged(record, "no outcome"));
    step.state = *found;
    step.ended = record.time;
    step.summary = record.details.member_text("summary");
    step.error.reset();
    if (step.state == StepState::succeeded) {
        step.outputs = member(record.details, "outputs");
    } else {
        step.error = error_from(member(record.details, "error"));
    }
    return {};
}

Result<void> decide(StepStatus& step, Record const& record) {
    auto choice = parse_choice(record.details.member_text("choice"));
    if (!choice.has_value())
        return fail(damaged(record, choice.error().message));
    Decision decision{*choice, record.details.member_text("by"), record.details.member_text("note"),
                      member(record.details, "outputs")};
    auto about = record.details.member_text("about");
    if (about == to_text(Question::About::approval)) {
        step.approved = *choice == Choice::approve;
        step.state = StepState::pending;
    } else if (about == to_text(Question::About::interrupted)) {
        step.question.reset();
        if (*choice == Choice::redo)
            step.state = StepState::pending;
        if (*choice == Choice::skip) {
            step.state = StepState::skipped;
            step.reason = fmt::format("skipped by {}", decision.by);
        }
        if (*choice == Choice::done) {
            step.state = StepState::succeeded;
            // What it announced is the best guess at what it would have left.
            step.outputs = step.effects;
            for (auto const& output : decision.outputs.members()) {
                step.outputs.set(output.name, output.value);
            }
            step.summary = fmt::format("marked as done by {}", decision.by);
        }
        if (step.settled())
            step.ended = record.time;
    } else {
        // The step asked and goes on.
        step.state = StepState::running;
    }
    step.decision = std::move(decision);
    return {};
}

Result<void> apply_to(StepStatus& step, Record const& record) {
    auto const& details = record.details;
    switch (record.event) {
        case Event::started:
            step.state = StepState::running;
            ++step.attempts;
            step.started = record.time;
            step.ended.reset();
            step.arguments = member(details, "arguments");
            return {};
        case Event::effect:
            step.effects.set(details.member_text("name"), member(details, "value"));
            return {};
        case Event::failed:
            step.state = StepState::failed;
            step.error = error_from(member(details, "error"));
            step.ended = record.time;
            return {};
        case Event::ended:
            return end_step(step, record);
        case Event::skipped:
            step.state = StepState::skipped;
            step.reason = details.member_text("reason");
            step.ended = record.time;
            return {};
        case Event::blocked:
            step.state = StepState::blocked;
            step.reason = details.member_text("reason");
            return {};
        case Event::waiting: {
            step.state = StepState::waiting;
            Question question;
            question.step = step.name;
            question.kind = step.kind;
            question.text = details.member_text("text");
            if (details.member_text("about") == to_text(Question::About::approval)) {
                question.about = Question::About::approval;
            }
            step.question = std::move(question);
            return {};
        }
        case Event::decided:
            return decide(step, record);
        case Event::stuck:
            return {};
        default:
            return fail(damaged(record, "an event of the run in a step"));
    }
}

// What only waited can begin again: nothing of it was done.
Result<void> resume(RunState& state) {
    ++state.resumed;
    state.outcome = RunOutcome::running;
    state.ended.reset();
    state.error.reset();
    for (auto& step : state.steps) {
        if (step.state != StepState::blocked && step.state != StepState::waiting)
            continue;
        step.state = StepState::pending;
        step.question.reset();
    }
    return {};
}

Result<void> finish(RunState& state, Record const& record) {
    constexpr std::array outcomes = {RunOutcome::done, RunOutcome::partial, RunOutcome::failed,
                                     RunOutcome::interrupted, RunOutcome::needs_decision};
    auto outcome = word(record.details.member_text("outcome"), outcomes);
    if (!outcome)
        return fail(damaged(record, "no outcome"));
    state.outcome = *outcome;
    state.ended = record.time;
    state.error.reset();
    if (auto const* error = record.details.find("error"))
        state.error = error_from(*error);
    return {};
}

}  // namespace

std::string_view to_text(StepState state) {
    switch (state) {
        case StepState::pending:
            return "pending";
        case StepState::running:
            return "running";
        case StepState::succeeded:
            return "succeeded";
        case StepState::failed:
            return "failed";
        case StepState::interrupted:
            return "interrupted";
        case StepState::skipped:
            return "skipped";
        case StepState::blocked:
            return "blocked";
        case StepState::waiting:
            return "waiting";
    }
    return "pending";
}

StepStatus* RunState::find(std::string_view step) {
    auto found = std::find_if(steps.begin(), steps.end(),
                              [&](StepStatus const& status) { return status.name == step; });
    return found == steps.end() ? nullptr : &*found;
}

StepStatus const* RunState::find(std::string_view step) const {
    return const_cast<RunState*>(this)->find(step);
}

Result<void> apply(RunState& state, Record const& record) {
    switch (record.event) {
        case Event::begun:
            return fail(damaged(record, "a second beginning"));
        case Event::resumed:
            return resume(state);
        case Event::finished:
            return finish(state, record);
        default:
            break;
    }
    auto* step = state.find(record.step);
    if (!step)
        return fail(damaged(record, fmt::format("no step '{}'", record.step)));
    return apply_to(*step, record);
}

Result<RunState> replay(std::string const& run, std::vector<Record> const& records) {
    RunState state;
    state.run = run;
    auto what = fmt::format("journal of run '{}'", run);
    if (records.empty() || records.front().event != Event::begun) {
        return fail(ErrorKind::damaged, what + ": it has no beginning");
    }
    TRY(begin(state, records.front()).within(what));
    for (auto const& record : std::span(records).subspan(1)) {
        TRY(apply(state, record).within(what));
    }
    return state;
}

}  // namespace holdfast::runbook
