#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/value.h"

namespace holdfast::plan {

// `${name}` in a step's arguments or condition: a parameter of its runbook. `${step.output}`: what an
// earlier step left. `$${` is a literal `${`.
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
Result<Value> fill(Value const& value, Lookup const& lookup);

// Whether a filled-in condition holds: "a == b", "a != b", or one word that is neither empty nor
// "false", "no", "off" or "0". Refuses anything else.
Result<bool> condition_holds(std::string_view text);

}  // namespace holdfast::plan
