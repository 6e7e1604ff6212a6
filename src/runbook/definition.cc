#include "runbook/definition.h"

#include <array>
#include <fmt/format.h>

#include "plan/form.h"

namespace holdfast::runbook {
namespace {

using plan::OnFailure;
using plan::Value;

Value texts(std::vector<std::string> const& items) {
    Value::List list(items.begin(), items.end());
    return Value(std::move(list));
}

Value step_value(plan::Step const& step) {
    Value value;
    value.set("name", step.name);
    value.set("kind", step.kind);
    value.set("arguments", step.arguments);
    value.set("after", texts(step.after));
    value.set("when", step.when);
    if (step.timeout)
        value.set("timeout_ns", std::int64_t{step.timeout->count()});
    value.set("retries", std::int64_t{step.retries.count});
    value.set("backoff_ns", std::int64_t{step.retries.backoff.count()});
    if (step.approve) {
        Value approve;
        approve.set("count", std::int64_t{step.approve->count});
        approve.set("teams", texts(step.approve->teams));
        value.set("approve", std::move(approve));
    }
    if (step.idempotent)
        value.set("idempotent", *step.idempotent);
    value.set("on_failure", std::string(plan::to_text(step.on_failure)));
    value.set("description", step.description);
    return value;
}

Error damaged(std::string_view what) {
    return {ErrorKind::damaged, fmt::format("runbook in the journal: {}", what), {}};
}

Result<std::int64_t> integer(Value const& value, std::string_view key) {
    auto const* member = value.find(key);
    if (!member || !member->integer() || *member->integer() < 0)
        return fail(damaged(key));
    return *member->integer();
}

Result<plan::Step> step_from(Value const& value) {
    plan::Step step;
    step.name = value.member_text("name");
    step.kind = value.member_text("kind");
    if (step.name.empty() || step.kind.empty())
        return fail(damaged("a step without name or kind"));
    if (auto const* arguments = value.find("arguments"))
        step.arguments = *arguments;
    if (auto const* after = value.find("after"))
        step.after = after->texts();
    step.when = value.member_text("when");
    if (value.find("timeout_ns")) {
        auto timeout = TRY(integer(value, "timeout_ns"));
        step.timeout = Duration(timeout);
    }
    auto retries = TRY(integer(value, "retries"));
    step.retries.count = static_cast<std::uint32_t>(retries);
    auto backoff = TRY(integer(value, "backoff_ns"));
    step.retries.backoff = Duration(backoff);
    if (auto const* approve = value.find("approve")) {
        auto count = TRY(integer(*approve, "count"));
        step.approve.emplace();
        step.approve->count = static_cast<std::uint32_t>(count);
        if (auto const* teams = approve->find("teams"))
            step.approve->teams = teams->texts();
    }
    if (auto const* idempotent = value.find("idempotent")) {
        if (!idempotent->boolean())
            return fail(damaged("idempotent"));
        step.idempotent = *idempotent->boolean();
    }
    auto on_failure = value.member_text("on_failure");
    bool known = false;
    for (auto each : {OnFailure::stop, OnFailure::proceed, OnFailure::abort}) {
        if (plan::to_text(each) != on_failure)
            continue;
        step.on_failure = each;
        known = true;
    }
    if (!known)
        return fail(damaged("on_failure"));
    step.description = value.member_text("description");
    return step;
}

}  // namespace

Value to_value(plan::Runbook const& runbook) {
    Value value;
    value.set("name", runbook.name);
    value.set("description", runbook.description);
    Value::List parameters, steps;
    for (auto const& parameter : runbook.parameters) {
        Value one;
        one.set("name", parameter.name);
        if (parameter.fallback)
            one.set("default", *parameter.fallback);
        one.set("description", parameter.description);
        parameters.push_back(std::move(one));
    }
    for (auto const& step : runbook.steps)
        steps.push_back(step_value(step));
    value.set("parameters", std::move(parameters));
    value.set("steps", std::move(steps));
    return value;
}

Result<plan::Runbook> runbook_from(Value const& value) {
    plan::Runbook runbook;
    runbook.name = value.member_text("name");
    runbook.description = value.member_text("description");
    if (auto const* parameters = value.find("parameters")) {
        for (auto const& one : parameters->items()) {
            plan::Parameter parameter;
            parameter.name = one.member_text("name");
            if (auto const* fallback = one.find("default"))
                parameter.fallback = fallback->scalar();
            parameter.description = one.member_text("description");
            runbook.parameters.add(std::move(parameter));
        }
    }
    auto const* steps = value.find("steps");
    if (!steps || !steps->is_list())
        return fail(damaged("no steps"));
    for (auto const& one : steps->items()) {
        auto step = TRY(step_from(one));
        if (runbook.steps.contains(step.name))
            return fail(damaged("a step twice"));
        runbook.steps.add(std::move(step));
    }
    return runbook;
}

Value to_value(Error const& error) {
    Value value;
    value.set("kind", std::string(name(error.kind)));
    value.set("message", error.message);
    if (!error.hint.empty())
        value.set("hint", error.hint);
    return value;
}

Value to_value(Decision const& decision, Question::About about) {
    Value value;
    value.set("about", std::string(to_text(about)));
    value.set("choice", std::string(to_text(decision.choice)));
    value.set("by", decision.by);
    if (!decision.note.empty())
        value.set("note", decision.note);
    if (!decision.outputs.is_null())
        value.set("outputs", decision.outputs);
    return value;
}

Error error_from(Value const& value) {
    Error error{ErrorKind::internal, value.member_text("message"), value.member_text("hint")};
    constexpr std::array kinds = {ErrorKind::internal,     ErrorKind::usage,
                                  ErrorKind::partial,      ErrorKind::not_found,
                                  ErrorKind::key_refused,  ErrorKind::damaged,
                                  ErrorKind::check_failed, ErrorKind::objective_missed,
                                  ErrorKind::unreachable,  ErrorKind::unsafe,
                                  ErrorKind::no_space,     ErrorKind::exists,
                                  ErrorKind::cancelled,    ErrorKind::io};
    for (auto kind : kinds) {
        if (name(kind) == value.member_text("kind"))
            error.kind = kind;
    }
    return error;
}

}  // namespace holdfast::runbook
