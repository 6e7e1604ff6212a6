#include "plan/placeholder.h"

#include <fmt/format.h>

#include "plan/form.h"

namespace holdfast::plan {
namespace {

Result<Placeholder> parse(std::string_view inside) {
    auto dot = inside.find('.');
    Placeholder placeholder{.name = std::string(inside.substr(0, dot)), .output = {}};
    if (dot != std::string_view::npos)
        placeholder.output = inside.substr(dot + 1);
    bool good = matches(Form::name, placeholder.name) &&
                (dot == std::string_view::npos || matches(Form::name, placeholder.output));
    if (!good) {
        return fail(ErrorKind::usage, fmt::format("'${{{}}}' is not a placeholder", inside),
                    "write ${parameter} or ${step.output}; a literal ${ is written $${");
    }
    return placeholder;
}

// Calls `literal` with each stretch of text and `placeholder` with each placeholder, in order.
Result<void> scan(std::string_view text, auto const& literal, auto const& placeholder) {
    for (;;) {
        auto at = text.find("${");
        if (at == std::string_view::npos) {
            literal(text);
            return {};
        }
        if (at > 0 && text[at - 1] == '$') {
            literal(text.substr(0, at - 1));
            literal("${");
            text.remove_prefix(at + 2);
            continue;
        }
        literal(text.substr(0, at));
        auto end = text.find('}', at);
        if (end == std::string_view::npos) {
            return fail(ErrorKind::usage, fmt::format("'{}' has no closing '}}'", text.substr(at)),
                        "a literal ${ is written $${");
        }
        auto parsed = TRY(parse(text.substr(at + 2, end - at - 2)));
        TRY(placeholder(parsed));
        text.remove_prefix(end + 1);
    }
}

std::string_view trim(std::string_view text) {
    while (text.starts_with(' '))
        text.remove_prefix(1);
    while (text.ends_with(' '))
        text.remove_suffix(1);
    return text;
}

}  // namespace

Result<std::vector<Placeholder>> placeholders(std::string_view text) {
    std::vector<Placeholder> found;
    TRY(scan(
        text, [](std::string_view) {},
        [&](Placeholder const& placeholder) -> Result<void> {
            found.push_back(placeholder);
            return {};
        }));
    return found;
}

Result<std::string> fill(std::string_view text, Lookup const& lookup) {
    std::string filled;
    TRY(scan(
        text, [&](std::string_view literal) { filled += literal; },
        [&](Placeholder const& placeholder) -> Result<void> {
            auto value = TRY(lookup(placeholder));
            filled += value;
            return {};
        }));
    return filled;
}

Result<Value> fill_tree(Value const& value, Lookup const& lookup) {
    if (auto const* text = value.text()) {
        auto filled = TRY(fill(*text, lookup));
        return Value(std::move(filled));
    }
    if (value.is_list()) {
        Value::List list;
        for (auto const& item : value.items()) {
            auto filled = TRY(fill_tree(item, lookup));
            list.push_back(std::move(filled));
        }
        return Value(std::move(list));
    }
    if (value.is_map()) {
        Value::Map map;
        for (auto const& member : value.members()) {
            auto filled = TRY(fill_tree(member.value, lookup));
            map.push_back({member.name, std::move(filled)});
        }
        return Value(std::move(map));
    }
    return value;
}

Result<Condition> parse_condition(std::string_view text) {
    for (auto [sign, equal] : {std::pair("==", true), std::pair("!=", false)}) {
        auto at = text.find(sign);
        if (at == std::string_view::npos)
            continue;
        Condition condition{std::string(trim(text.substr(0, at))),
                            std::string(trim(text.substr(at + 2))), equal};
        if (condition.right.find("==") == std::string::npos &&
            condition.right.find("!=") == std::string::npos) {
            return condition;
        }
    }
    auto word = trim(text);
    if (word.empty() || word.find_first_of(" =<>") != std::string_view::npos) {
        return fail(ErrorKind::usage, fmt::format("'{}' is not a condition", text),
                    "write ${name} == value, ${name} != value, or ${name}");
    }
    return Condition{std::string(word), {}, std::nullopt};
}

Result<bool> holds(Condition const& condition, Lookup const& lookup) {
    auto left = TRY(fill(condition.left, lookup));
    if (!condition.equal)
        return !left.empty() && left != "false" && left != "no" && left != "off" && left != "0";
    auto right = TRY(fill(condition.right, lookup));
    return (left == right) == *condition.equal;
}

}  // namespace holdfast::plan
