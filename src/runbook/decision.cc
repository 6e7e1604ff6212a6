#include "runbook/decision.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace holdfast::runbook {

bool Question::allows(Choice choice) const {
    return std::find(choices.begin(), choices.end(), choice) != choices.end();
}

std::string_view to_text(Choice choice) {
    switch (choice) {
        case Choice::redo:
            return "redo";
        case Choice::done:
            return "done";
        case Choice::skip:
            return "skip";
        case Choice::approve:
            return "approve";
        case Choice::refuse:
            return "refuse";
    }
    return "skip";
}

std::string_view to_text(Question::About about) {
    switch (about) {
        case Question::About::interrupted:
            return "interrupted";
        case Question::About::manual:
            return "manual";
        case Question::About::approval:
            return "approval";
    }
    return "manual";
}

Result<Choice> parse_choice(std::string_view text) {
    constexpr std::array all = {Choice::redo, Choice::done, Choice::skip, Choice::approve,
                                Choice::refuse};
    for (auto choice : all) {
        if (to_text(choice) == text)
            return choice;
    }
    return fail(ErrorKind::usage, fmt::format("not a decision: '{}'", text),
                "say redo, done, skip, approve or refuse");
}

}  // namespace holdfast::runbook
