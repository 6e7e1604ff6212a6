#pragma once

#include <string>
#include <string_view>

namespace holdfast::drill {

// Text as it may stand in HTML or SVG, also within quotes.
std::string escape_html(std::string_view text);

}  // namespace holdfast::drill
