#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"

namespace holdfast::steps {

struct Recipient {
    std::string name;  // for people; may be empty
    std::string address;
};

// The mail addresses of people and teams, each once, in their order. A team without an address of its own is
// its lead and its members. `usage` names everybody who is not known or has no address: a message that reaches
// only some must not look sent.
Result<std::vector<Recipient>> recipients(Plan const& plan, std::span<std::string const> names);

}  // namespace holdfast::steps
