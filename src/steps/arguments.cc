#include "steps/arguments.h"

#include <algorithm>

#include "base/text.h"
#include "base/units.h"
#include "runbook/step.h"

namespace holdfast::steps {

Result<std::string> required_text(Value const& arguments, std::string_view name) {
    auto text = arguments.member_text(name);
    if (text.empty()) return fail(ErrorKind::usage, "argument '" + std::string(name) + "' is empty");
    return text;
}

Result<std::vector<std::string>> required_texts(Value const& arguments, std::string_view name) {
    auto const* value = arguments.find(name);
    auto texts = value ? value->texts() : std::vector<std::string>();
    if (texts.empty()) return fail(ErrorKind::usage, "argument '" + std::string(name) + "' is empty");
    return texts;
}

Result<bool> boolean(Value const& arguments, std::string_view name, BooleanArgument argument) {
    auto const text = arguments.member_text(name);
    if (text.empty()) return argument.otherwise;
    if (text == "true" || text == "yes" || text == "on" || text == "1") return true;
    if (text == "false" || text == "no" || text == "off" || text == "0") return false;
    return fail(ErrorKind::usage,
                "argument '" + std::string(name) + "' is '" + printable(text) + "', not true or false");
}

Result<std::optional<Duration>> duration(Value const& arguments, std::string_view name) {
    auto const text = arguments.member_text(name);
    if (text.empty()) return std::optional<Duration>();
    auto const parsed = TRY(parse_duration(text).within("argument '" + std::string(name) + "'"));
    return std::optional(parsed);
}

bool is_given(Value const& arguments, std::string_view name) {
    auto const* value = arguments.find(name);
    return value && !value->is_null() && runbook::is_known(*value);
}

std::string shown_command(std::vector<std::string> const& argv) {
    std::vector<std::string> words;
    for (auto const& word : argv) {
        auto const plain = !word.empty() && std::ranges::all_of(word, [](unsigned char c) {
            return c > ' ' && c < 0x7f && std::string_view("'\"\\$`*?[](){}<>|&;#~!").find(static_cast<char>(c)) ==
                                             std::string_view::npos;
        });
        words.push_back(plain ? word : "'" + printable(word) + "'");
    }
    return join(words, " ");
}

}  // namespace holdfast::steps
