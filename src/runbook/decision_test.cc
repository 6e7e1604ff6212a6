#include "runbook/decision.h"

#include <gtest/gtest.h>

#include "runbook/registry.h"

namespace holdfast::runbook {
namespace {

TEST(Decision, ChoicesRoundTrip) {
    for (auto text : {"redo", "done", "skip", "approve", "refuse"}) {
        auto choice = parse_choice(text);
        ASSERT_TRUE(choice.has_value()) << text;
        EXPECT_EQ(to_text(*choice), text);
    }
    EXPECT_EQ(parse_choice("again").error().kind, ErrorKind::usage);
}

}  // namespace
}  // namespace holdfast::runbook
