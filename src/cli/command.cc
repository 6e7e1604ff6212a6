#include "cli/command.h"

#include <charconv>

#include "base/units.h"

namespace holdfast::cli {

std::optional<std::string> Invocation::value(std::string_view option) const {
    auto found = values_.find(std::string(option));
    if (found == values_.end() || found->second.empty()) return std::nullopt;
    return found->second.back();
}

std::vector<std::string> Invocation::all(std::string_view option) const {
    auto found = values_.find(std::string(option));
    return found == values_.end() ? std::vector<std::string>() : found->second;
}

Result<std::optional<Duration>> Invocation::duration(std::string_view option) const {
    auto text = value(option);
    if (!text) return std::optional<Duration>();
    auto parsed = TRY(parse_duration(*text).within("--" + std::string(option)));
    return std::optional(parsed);
}

Result<std::optional<Time>> Invocation::time(std::string_view option) const {
    auto text = value(option);
    if (!text) return std::optional<Time>();
    auto parsed = TRY(parse_rfc3339(*text).within("--" + std::string(option)));
    return std::optional(parsed);
}

Result<std::optional<std::uint64_t>> Invocation::number(std::string_view option) const {
    auto text = value(option);
    if (!text) return std::optional<std::uint64_t>();
    std::uint64_t number = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), number);
    if (error != std::errc() || end != text->data() + text->size()) {
        return fail(ErrorKind::usage, "--" + std::string(option) + ": not a number: '" + *text + "'");
    }
    return std::optional(number);
}

std::string Invocation::argument(std::string_view name) const {
    auto all = arguments(name);
    return all.empty() ? std::string() : all.front();
}

std::vector<std::string> Invocation::arguments(std::string_view name) const { return all(name); }

}  // namespace holdfast::cli
