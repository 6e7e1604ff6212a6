#pragma once

#include "repo/emergency_kit.h"
#include "repo/escrow.h"

namespace holdfast {

// A page for one holder of a share, to print and to lock away: one HTML file that needs nothing else. It has the
// share as text to type and as a QR code, what it belongs to, and what to do with it. Secret: the caller wipes
// it.
Result<std::string> escrow_sheet(EmergencyKit const& kit, EscrowShare const& share, std::size_t shares);

// The emergency kit as such a page, with the repository's address as a QR code (unless it is longer than one
// holds). As free of secrets as the text.
std::string emergency_kit_html(EmergencyKit const& kit);

}  // namespace holdfast
