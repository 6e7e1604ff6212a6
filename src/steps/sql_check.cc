#include "steps/sql_check.h"

namespace holdfast::steps {

Result<void> check_form(SqlCheck const& check) {
    if (check.query.empty()) return fail(ErrorKind::usage, "there is no query");
    if (check.expect.empty() && !check.fresh_within) {
        return fail(ErrorKind::usage, "the answer of '" + check.query + "' may be anything",
                    "say what it must be: expect or fresh_within");
    }
    if (!check.expect.empty()) TRY(Expectation::parse(check.expect));
    return {};
}

Result<SqlVerdict> judge_answer(SqlCheck const& check, AnswerRows const& answer, Time reference) {
    TRY(check_form(check));
    SqlVerdict verdict;
    verdict.judgement.holds = true;
    if (!answer.empty() && !answer.front().empty()) verdict.value = answer.front().front().value_or("");
    auto const add = [&](Judgement const& part) {
        auto& whole = verdict.judgement;
        whole.holds = whole.holds && part.holds;
        whole.expected += (whole.expected.empty() ? "" : " and ") + part.expected;
        if (whole.actual != part.actual) whole.actual += (whole.actual.empty() ? "" : "; ") + part.actual;
    };
    if (!check.expect.empty()) {
        auto const expectation = TRY(Expectation::parse(check.expect));
        add(expectation.judge(answer));
    }
    if (check.fresh_within) {
        add(judge_freshness(*check.fresh_within, reference, answer, &verdict.newest));
    }
    return verdict;
}

}  // namespace holdfast::steps
