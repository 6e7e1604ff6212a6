#include "runbook/resolve.h"

#include <fmt/format.h>

#include "base/text.h"
#include "runbook/step.h"

namespace holdfast::runbook {
namespace {

using plan::Placeholder;

Result<std::string> parameter(RunState const& state, Placeholder const& placeholder) {
    auto found = state.parameters.find(placeholder.name);
    if (found != state.parameters.end())
        return found->second;
    return fail(ErrorKind::usage, fmt::format("no parameter '{}'", placeholder.name));
}

Value const* output(RunState const& state, Placeholder const& placeholder) {
    auto const* step = state.find(placeholder.name);
    return step && step->state == StepState::succeeded ? step->outputs.find(placeholder.output)
                                                       : nullptr;
}

// Every placeholder in the texts of a tree.
void find_placeholders(Value const& value, std::vector<Placeholder>& found) {
    if (auto const* text = value.text()) {
        auto inside = plan::placeholders(*text);
        if (inside.has_value())
            found.insert(found.end(), inside->begin(), inside->end());
    }
    for (auto const& item : value.items())
        find_placeholders(item, found);
    for (auto const& member : value.members())
        find_placeholders(member.value, found);
}

}  // namespace

bool is_known(Value const& value) {
    std::vector<Placeholder> found;
    find_placeholders(value, found);
    return found.empty();
}

Result<std::map<std::string, std::string>> resolve_parameters(
    plan::Runbook const& runbook, std::map<std::string, std::string> const& given) {
    std::vector<std::string> known, faults;
    std::map<std::string, std::string> values;
    for (auto const& parameter : runbook.parameters) {
        known.push_back(parameter.name);
        auto found = given.find(parameter.name);
        if (found != given.end()) {
            values.emplace(parameter.name, found->second);
        } else if (parameter.fallback) {
            values.emplace(parameter.name, *parameter.fallback);
        } else {
            faults.push_back(fmt::format("parameter '{}' is not given", parameter.name));
        }
    }
    for (auto const& [name, value] : given) {
        if (runbook.parameters.contains(name))
            continue;
        auto near = nearest(name, known);
        faults.push_back(
            fmt::format("it has no parameter '{}'{}", name,
                        near.empty() ? "" : fmt::format(" (did you mean '{}'?)", near)));
    }
    if (faults.empty())
        return values;
    return fail(ErrorKind::usage,
                fmt::format("runbook '{}': {}", runbook.name, join(faults, "; ")),
                known.empty() ? "it has no parameters"
                              : fmt::format("--set NAME=VALUE gives one; its parameters: {}", join(known, ", ")));
}

Result<Value> resolve_arguments(RunState const& state, plan::Step const& step) {
    return plan::fill_tree(
        step.arguments, [&](Placeholder const& placeholder) -> Result<std::string> {
            if (placeholder.output.empty())
                return parameter(state, placeholder);
            if (auto const* value = output(state, placeholder))
                return value->scalar();
            auto const* other = state.find(placeholder.name);
            return fail(
                ErrorKind::usage,
                fmt::format("'${{{}.{}}}': step '{}' {} and left no '{}'", placeholder.name,
                            placeholder.output, placeholder.name,
                            other ? to_text(other->state) : "does not exist", placeholder.output));
        });
}

Result<Value> preview_arguments(RunState const& state, plan::Step const& step) {
    return plan::fill_tree(
        step.arguments, [&](Placeholder const& placeholder) -> Result<std::string> {
            if (placeholder.output.empty())
                return parameter(state, placeholder);
            if (auto const* value = output(state, placeholder))
                return value->scalar();
            return fmt::format("${{{}.{}}}", placeholder.name, placeholder.output);
        });
}

Result<bool> resolve_condition(RunState const& state, plan::Step const& step) {
    if (step.when.empty())
        return true;
    auto condition = TRY(plan::parse_condition(step.when).within("when"));
    return plan::holds(condition, [&](Placeholder const& placeholder) -> Result<std::string> {
        if (placeholder.output.empty())
            return parameter(state, placeholder);
        auto const* value = output(state, placeholder);
        return value ? value->scalar() : std::string();
    });
}

Result<std::optional<bool>> preview_condition(RunState const& state, plan::Step const& step) {
    auto found = TRY(plan::placeholders(step.when).within("when"));
    for (auto const& placeholder : found) {
        if (placeholder.output.empty())
            continue;
        auto const* other = state.find(placeholder.name);
        if (!other || !other->settled())
            return std::nullopt;
    }
    bool holds = TRY(resolve_condition(state, step));
    return std::optional(holds);
}

std::vector<std::string> missing_outputs(RunState const& state, std::string_view step,
                                         Value const& outputs) {
    std::vector<std::string> missing;
    for (auto const& other : state.runbook.steps) {
        auto const* status = state.find(other.name);
        if (other.name == step || (status && status->settled()))
            continue;
        std::vector<Placeholder> found;
        find_placeholders(other.arguments, found);
        for (auto const& placeholder : found) {
            if (placeholder.name != step || placeholder.output.empty())
                continue;
            if (outputs.find(placeholder.output))
                continue;
            missing.push_back(fmt::format("'{}' needs '${{{}.{}}}'", other.name, placeholder.name,
                                          placeholder.output));
        }
    }
    return missing;
}

}  // namespace holdfast::runbook
