#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace holdfast::steps {

// What a query answered, as text; nothing is NULL.
using AnswerRow = std::vector<std::optional<std::string>>;
using AnswerRows = std::vector<AnswerRow>;

// What was expected, what was found, and whether it agrees; for journals, reports and messages.
struct Judgement {
    bool holds = false;
    std::string expected;
    std::string actual;
};

// What the first value of a one-row answer has to be:
//     > 5   >= 5   < 5   <= 5    numbers
//     = x   != x                 numbers as numbers ("12.0" is "= 12"), everything else as text
//     0..5                       a number from 0 to 5, both included
//     null   not null
//     text                       this very text
class Expectation {
  public:
    // `usage` when it cannot be what was meant: an order without a number, an empty range, nothing.
    static Result<Expectation> parse(std::string_view text);

    Judgement judge(AnswerRows const& answer) const;
    std::string const& text() const { return text_; }

  private:
    enum class Kind { less, at_most, equal, unequal, at_least, greater, range, null, not_null };
    Expectation() = default;
    bool holds(std::optional<std::string> const& value) const;

    Kind kind_ = Kind::equal;
    std::string text_;     // as written
    std::string operand_;  // equal, unequal
    std::optional<long double> low_, high_;
};

// Whether the time in the first value of a one-row answer is at most `within` before `reference` (the outage,
// or now). `newest` gets that time when there is one. A time without zone counts as UTC. A time that is more
// than five minutes after the reference does not hold: then some clock is wrong and nothing is known.
Judgement judge_freshness(Duration within, Time reference, AnswerRows const& answer,
                          std::optional<Time>* newest = nullptr);

// A time as PostgreSQL prints it with DateStyle ISO: "2026-11-22 10:31:07.25+00", "2026-11-22". Refuses
// 'infinity' and everything else.
Result<Time> parse_database_time(std::string_view text);

}  // namespace holdfast::steps
