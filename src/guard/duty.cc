#include "guard/duty.h"

#include <algorithm>

namespace holdfast::guard {

Time next_due(std::optional<Time> began, Duration every, unsigned failures, Time now) {
    if (!began || *began > now) return now;
    auto wait = every;
    if (failures > 0) wait = std::min(every, kRetryFirst * (1 << std::min(failures - 1, 16U)));
    return *began + wait;
}

}  // namespace holdfast::guard
