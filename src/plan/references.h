#pragma once

#include "plan/fault_sink.h"
#include "plan/plan.h"

namespace holdfast::plan {

// Checks what the form of each value cannot show: that names meet what they name, that nothing goes
// in circles, that the keys of an entry fit together.
void check_references(Plan const& plan, Positions const& positions, FaultSink& faults);

// When the plan was last reviewed; nothing when it does not say, or says it wrong.
std::optional<Time> review_time(Review const& review);

// The part of it that is about the steps of runbooks.
void check_runbooks(Plan const& plan, Positions const& positions, FaultSink& faults);

}  // namespace holdfast::plan
