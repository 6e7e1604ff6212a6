#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "steps/expectation.h"

namespace holdfast::steps {

// A question to a database and what its answer has to be: an expectation, a freshness, or both.
struct SqlCheck {
    std::string query;
    std::string expect = {};  // see Expectation; empty: none
    std::optional<Duration> fresh_within = {};
};

struct SqlVerdict {
    Judgement judgement;
    std::string value;           // the first value as text; empty when there is none
    std::optional<Time> newest;  // with fresh_within: the time that the answer holds
};

// usage when the check expects nothing or its expectation is malformed. `reference` is what freshness counts
// from.
Result<SqlVerdict> judge_answer(SqlCheck const& check, AnswerRows const& answer, Time reference);
// The same without an answer.
Result<void> check_form(SqlCheck const& check);

}  // namespace holdfast::steps
