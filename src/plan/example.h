#pragma once

#include <string_view>

namespace holdfast::plan {

// The complete example, examples/spikeformer/holdfast.yaml, as `holdfast plan example` prints it.
std::string_view example();

}  // namespace holdfast::plan
