#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// A QR code (ISO/IEC 18004, error correction M) as an SVG element, one unit a module, without a size of its own.
// usage for more text than one holds (2,331 bytes). The caller wipes it when the text is a secret.
Result<std::string> qr_svg(std::string_view text);

}  // namespace holdfast
