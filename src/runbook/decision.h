#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "plan/value.h"

namespace holdfast::runbook {

// What an operator can answer.
enum class Choice {
    redo,     // interrupted or failed: run the step again
    done,     // interrupted or failed: it is done; manual: the operator has done it
    skip,     // go on without it, as if its condition did not hold
    approve,  // the step may begin
    refuse,   // manual, approval: the step fails
};

// What an operator is asked.
struct Question {
    enum class About {
        interrupted,  // a step that is not idempotent was cut off or failed: is it done or not?
        manual,       // something that a person has to do
        approval,     // may the step begin?
    };
    About about = About::manual;
    std::string step;
    std::string kind;
    std::string text;                  // what to do or to find out
    plan::Value effects = {};          // interrupted: what the step announced before it was cut off
    std::string error = {};            // interrupted: how it failed; empty when it was cut off
    std::optional<Time> started = {};  // interrupted: when
    std::vector<Choice> choices = {};  // that make sense here; filled in by the engine for steps

    bool allows(Choice choice) const;
};

struct Decision {
    Choice choice = Choice::skip;
    std::string by = {};    // the user of the operating system; filled in when empty
    std::string note = {};  // goes into the journal
    // With `done`: what the step would have left, for the steps that use it.
    plan::Value outputs = {};
};

// Asks the operator, on a terminal for instance; nothing when there is no answer. Called from any
// thread, one at a time; returns soon when `stop` is requested.
using Decide = std::function<std::optional<Decision>(Question const&, std::stop_token stop)>;

std::string_view to_text(Choice choice);
std::string_view to_text(Question::About about);
// "redo", "done", "skip", "approve", "refuse".
Result<Choice> parse_choice(std::string_view text);

}  // namespace holdfast::runbook
