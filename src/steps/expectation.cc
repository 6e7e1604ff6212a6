#include "steps/expectation.h"

#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"

namespace holdfast::steps {
namespace {

constexpr std::size_t kShownBytesMax = 200;
constexpr Duration kClockSlack = std::chrono::minutes(5);

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view spaces = " \t\r\n";
    auto const first = text.find_first_not_of(spaces);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(spaces) - first + 1);
}

// The whole text as a finite number.
std::optional<long double> number(std::string_view text) {
    text = trimmed(text);
    if (text.starts_with('+')) text.remove_prefix(1);
    long double value = 0;
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
        return std::nullopt;
    }
    return value;
}

// PostgreSQL prints booleans as t and f.
std::string_view as_boolean(std::string_view text) {
    if (text == "t" || text == "true") return "true";
    if (text == "f" || text == "false") return "false";
    return {};
}

bool equal(std::string const& value, std::string const& operand) {
    auto const a = number(value), b = number(operand);
    if (a && b) return *a == *b;
    if (!as_boolean(operand).empty() && as_boolean(operand) == as_boolean(value)) return true;
    return value == operand;
}

std::string shown(std::string_view value) {
    auto text = printable(value);
    if (text.size() <= kShownBytesMax) return text.empty() ? "an empty text" : text;
    auto end = kShownBytesMax;
    while ((static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
    return text.substr(0, end) + "…";
}

// The first value of the one row there has to be, or why there is none.
struct First {
    std::optional<std::string> value;
    std::string fault;
};
First first_of(AnswerRows const& answer) {
    if (answer.empty()) return {{}, "no row"};
    if (answer.size() > 1) return {{}, fmt::format("{} rows, where one was expected", answer.size())};
    if (answer.front().empty()) return {{}, "a row without a value"};
    return {answer.front().front(), {}};
}

}  // namespace

Result<Expectation> Expectation::parse(std::string_view text) {
    text = trimmed(text);
    auto const wrong = [&](std::string_view why) {
        return fail(ErrorKind::usage, fmt::format("expectation '{}': {}", printable(text), why),
                    "write '> 0', '= 12', '0..5', 'null' or the text itself");
    };
    if (text.empty()) return wrong("it is empty");
    Expectation result;
    result.text_ = text;
    if (text == "null" || text == "not null") {
        result.kind_ = text == "null" ? Kind::null : Kind::not_null;
        return result;
    }
    struct Sign {
        std::string_view text;
        Kind kind;
    };
    constexpr std::array signs = {Sign{">=", Kind::at_least}, Sign{"<=", Kind::at_most}, Sign{"!=", Kind::unequal},
                                  Sign{"<>", Kind::unequal},  Sign{"==", Kind::equal},   Sign{">", Kind::greater},
                                  Sign{"<", Kind::less},      Sign{"=", Kind::equal}};
    for (auto const& sign : signs) {
        if (!text.starts_with(sign.text)) continue;
        result.kind_ = sign.kind;
        auto const operand = trimmed(text.substr(sign.text.size()));
        result.operand_ = operand;
        if (sign.kind == Kind::equal || sign.kind == Kind::unequal) return result;
        result.low_ = number(operand);
        if (!result.low_) return wrong("a number has to follow");
        return result;
    }
    if (auto const dots = text.find(".."); dots != std::string_view::npos) {
        auto const low = number(text.substr(0, dots)), high = number(text.substr(dots + 2));
        if (low && high) {
            if (*low > *high) return wrong("the range is empty");
            result.kind_ = Kind::range;
            result.low_ = low;
            result.high_ = high;
            return result;
        }
    }
    result.operand_ = text;
    return result;
}

bool Expectation::holds(std::optional<std::string> const& value) const {
    if (kind_ == Kind::null) return !value;
    if (!value) return false;  // NULL is not anything else
    if (kind_ == Kind::not_null) return true;
    if (kind_ == Kind::equal) return equal(*value, operand_);
    if (kind_ == Kind::unequal) return !equal(*value, operand_);
    auto const actual = number(*value);
    if (!actual) return false;
    switch (kind_) {
        case Kind::less: return *actual < *low_;
        case Kind::at_most: return *actual <= *low_;
        case Kind::greater: return *actual > *low_;
        case Kind::at_least: return *actual >= *low_;
        case Kind::range: return *actual >= *low_ && *actual <= *high_;
        default: return false;
    }
}

Judgement Expectation::judge(AnswerRows const& answer) const {
    auto const first = first_of(answer);
    if (!first.fault.empty()) return {false, text_, first.fault};
    return {holds(first.value), text_, first.value ? shown(*first.value) : "null"};
}

Result<Time> parse_database_time(std::string_view text) {
    text = trimmed(text);
    std::string full(text);
    if (full.size() == 10) full += " 00:00:00";
    // What follows the time of day: "+00", "+05:30", "-03", "Z" or nothing.
    auto const zone = full.find_first_of("+-Zz", std::min<std::size_t>(full.size(), 11));
    if (zone == std::string::npos) {
        full += "Z";
    } else if (full[zone] != 'Z' && full[zone] != 'z' && full.size() - zone == 3) {
        full += ":00";
    }
    auto parsed = parse_rfc3339(full);
    if (!parsed) return fail(ErrorKind::usage, "'" + shown(text) + "' is not a time");
    return parsed;
}

Judgement judge_freshness(Duration within, Time reference, AnswerRows const& answer,
                          std::optional<Time>* newest) {
    Judgement judgement;
    judgement.expected = "at most " + format_duration(within) + " before " +
                         to_rfc3339(std::chrono::floor<std::chrono::seconds>(reference));
    auto const first = first_of(answer);
    if (!first.fault.empty() || !first.value) {
        judgement.actual = first.fault.empty() ? "null: there is no time at all" : first.fault;
        return judgement;
    }
    auto const time = parse_database_time(*first.value);
    if (!time) {
        judgement.actual = time.error().message;
        return judgement;
    }
    if (newest) *newest = *time;
    auto const age = reference - *time;
    judgement.holds = age <= within && age >= -kClockSlack;
    if (age >= Duration(0)) {
        judgement.actual = fmt::format("{} before: {}", format_duration(age), to_rfc3339(*time));
    } else {
        judgement.actual = fmt::format("{} after: {}", format_duration(-age), to_rfc3339(*time));
        if (!judgement.holds) judgement.actual += "; a clock is wrong";
    }
    return judgement;
}

}  // namespace holdfast::steps
