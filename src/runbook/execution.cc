#include "runbook/execution.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "os/file.h"
#include "os/users.h"
#include "runbook/definition.h"

namespace holdfast::runbook {
namespace {

constexpr std::uint64_t kLogBytesMax = 64 << 20;
constexpr std::size_t kLogLineBytesMax = 16 << 10;

std::vector<Choice> choices(Question::About about) {
    switch (about) {
        case Question::About::interrupted:
            return {Choice::redo, Choice::done, Choice::skip};
        case Question::About::manual:
            return {Choice::done, Choice::skip, Choice::refuse};
        case Question::About::approval:
            return {Choice::approve, Choice::skip, Choice::refuse};
    }
    return {};
}

}  // namespace

std::string operator_name() {
    return user_name(::getuid()).value_or(fmt::format("uid {}", ::getuid()));
}

Execution::Execution(EngineOptions engine_options, std::unique_ptr<Journal> run_journal,
                     RunState run_state, std::map<std::string, Decision> decisions)
    : options(std::move(engine_options)),
      journal(std::move(run_journal)),
      runbook(run_state.runbook),
      state(std::move(run_state)),
      slots(state.steps.size()),
      given(std::move(decisions)) {
    for (auto const& step : runbook.steps)
        definitions.push_back(&step);
    // Lost when it cannot be made: what counts is in the journal.
    auto file =
        open_file((journal->directory() / "log.jsonl").string(), O_WRONLY | O_CREAT | O_APPEND);
    if (file.has_value())
        log_file = std::move(*file);
}

Result<void> Execution::note(Event event, std::string const& step, Value details) {
    {
        std::lock_guard lock(mutex);
        if (closed)
            return fail(ErrorKind::cancelled, "the run has given this step up");
        if (fatal)
            return fail(*fatal);
    }
    auto record = journal->append(event, step, std::move(details));
    std::optional<StepStatus> status;
    {
        std::lock_guard lock(mutex);
        if (!record.has_value()) {
            if (record.error().kind != ErrorKind::internal)
                fatal = record.error();
            changed.notify_all();
            return fail(std::move(record).error());
        }
        TRY(apply(state, *record));
        if (auto const* found = state.find(step))
            status = *found;
        changed.notify_all();
    }
    if (options.observer && status) {
        std::lock_guard lock(observer_mutex);
        options.observer->changed(*status);
    }
    return {};
}

bool Execution::is_stuck(std::string const& step) const {
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (slots[i].stuck && definitions[i]->name == step)
            return true;
    }
    return false;
}

Result<std::optional<Decision>> Execution::ask(std::size_t step, Question question,
                                               std::stop_token stop) {
    auto const& name = definition(step).name;
    question.step = name;
    question.kind = definition(step).kind;
    question.choices = choices(question.about);
    Value details;
    details.set("about", std::string(to_text(question.about)));
    details.set("text", question.text);
    TRY(note(Event::waiting, name, std::move(details)));

    std::optional<Decision> decision;
    {
        std::lock_guard lock(mutex);
        auto found = given.find(name);
        if (found != given.end() && question.allows(found->second.choice))
            decision = found->second;
    }
    if (!decision && options.assume_yes) {
        bool approval = question.about == Question::About::approval;
        decision = Decision{approval ? Choice::approve : Choice::done, {}, "--yes", {}};
    }
    if (!decision && options.decide) {
        auto set_asking = [&](bool asking) {
            std::lock_guard lock(mutex);
            slots[step].asking = asking;
            changed.notify_all();
        };
        set_asking(true);
        {
            std::lock_guard lock(question_mutex);
            if (!stop.stop_requested())
                decision = options.decide(question, stop);
        }
        set_asking(false);
        if (decision && !question.allows(decision->choice)) {
            return fail(ErrorKind::usage, fmt::format("'{}' is no answer to this question",
                                                      to_text(decision->choice)));
        }
    }
    if (!decision) {
        std::lock_guard lock(mutex);
        questions.push_back(std::move(question));
        return std::nullopt;
    }
    if (decision->by.empty())
        decision->by = operator_name();
    TRY(note(Event::decided, name, to_value(*decision, question.about)));
    return decision;
}

void Execution::log(std::string const& step, std::string_view line) {
    line = line.substr(0, kLogLineBytesMax);
    if (options.observer) {
        std::lock_guard lock(observer_mutex);
        options.observer->line(step, line);
    }
    Value record;
    record.set("time", to_rfc3339(options.clock->now()));
    record.set("step", step);
    record.set("line", std::string(line));
    auto text = plan::to_json(record) + "\n";
    std::lock_guard lock(log_mutex);
    if (!log_file || log_bytes + text.size() > kLogBytesMax)
        return;
    log_bytes += text.size();
    (void)write_full(log_file, as_bytes(text));
}

RunState Execution::snapshot() {
    std::lock_guard lock(mutex);
    return state;
}

StepStatus Execution::status(std::size_t step) {
    std::lock_guard lock(mutex);
    return state.steps[step];
}

}  // namespace holdfast::runbook
