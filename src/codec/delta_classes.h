#pragma once

#include "codec/delta_kernels.h"

namespace holdfast {

// How often each symbol occurs where each length is expected.
using DeltaCounts = std::array<std::array<std::uint32_t, kDeltaSymbols>, kDeltaLeads>;

// Which expected lengths share a code: neighbours are joined as long as that makes the whole smaller. Something was
// counted, one of `times` elements. Integer arithmetic alone: the same on every machine.
DeltaClasses group_leads(DeltaCounts const& counts, std::uint64_t times);

// What all counted elements would take, each in a code for its lead, in 1/4096 of a bit.
std::uint64_t delta_cost(DeltaCounts const& counts);

}  // namespace holdfast
