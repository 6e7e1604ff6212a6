#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "plan/value.h"

namespace holdfast::steps {

using plan::Value;

// The arguments of a step, as the plan gives them. The plan has checked their names and types, but a
// placeholder may have put anything in their place since.

// usage when it is missing or empty.
Result<std::string> required_text(Value const& arguments, std::string_view name);
// The list's texts; usage when there is none.
Result<std::vector<std::string>> required_texts(Value const& arguments, std::string_view name);
// "true"/"yes"/"on"/"1", "false"/"no"/"off"/"0"; `otherwise` when it is missing; usage for anything else.
struct BooleanArgument {
    bool otherwise = false;
};
Result<bool> boolean(Value const& arguments, std::string_view name, BooleanArgument argument = {});
// `otherwise` when it is missing; usage when it is no duration.
Result<std::optional<Duration>> duration(Value const& arguments, std::string_view name);
// Whether the argument is there and known already: no placeholder is left in it.
bool is_given(Value const& arguments, std::string_view name);

// For people: 'pg_ctlcluster' '15' 'main', each in quotes where it needs them.
std::string shown_command(std::vector<std::string> const& argv);

}  // namespace holdfast::steps
