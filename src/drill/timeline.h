#pragma once

#include <string>

#include "drill/evidence.h"

namespace holdfast::drill {

// When each step ran, as one <svg> for an HTML page: a row for each step, bars on a common axis that starts at
// the outage when that is near enough to be drawn. Styled by the page (classes tl-*). Empty when no step ran.
std::string timeline_svg(Evidence const& evidence);

}  // namespace holdfast::drill
