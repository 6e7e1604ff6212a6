#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// "%20" as the byte it stands for. usage when a percent sign is followed by something else.
Result<std::string> decode_percent(std::string_view text);

}  // namespace holdfast
