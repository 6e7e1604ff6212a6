#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/value.h"

namespace holdfast::plan {

// `${name}` in a step's arguments or condition: a parameter of its runbook. `${step.output}`: what
// an earlier step left. `$${` is a literal `${`.
struct Placeholder {
    std::string name;    // the parameter, or the step
    std::string output;  // empty for a parameter
};

// In the order of the text. Refuses an unclosed or empty placeholder.
Result<std::vector<Placeholder>> placeholders(std::string_view text);

using Lookup = std::function<Result<std::string>(Placeholder const&)>;
// The text with every placeholder replaced, once: what is filled in is not looked at again.
Result<std::string> fill(std::string_view text, Lookup const& lookup);
// The same for every text of a tree.
Result<Value> fill_tree(Value const& value, Lookup const& lookup);

// `when` of a step: "a == b", "a != b", or one word that must be neither empty nor "false", "no",
// "off" or "0". Parsed before it is filled in, so that no value can change what it asks.
struct Condition {
    std::string left, right;
    std::optional<bool> equal;  // whether they must be; none: only `left` is looked at
};
Result<Condition> parse_condition(std::string_view text);
Result<bool> holds(Condition const& condition, Lookup const& lookup);

}  // namespace holdfast::plan
