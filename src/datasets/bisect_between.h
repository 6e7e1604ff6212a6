#pragma once

#include <cassert>
#include <cstddef>

#include "base/result.h"

namespace holdfast {

// Neighbours `held` and `failed`, unless the probes were used up before.
struct Between {
    std::size_t held = 0;
    std::size_t failed = 0;
    bool exact() const { return failed - held == 1; }
};

// Between `held`, at which something is known to hold, and `failed`, at which it does not: two neighbours of which the same is
// known. Asks `holds(i)` for numbers between them, as few as it can: ⌈log₂(failed − held)⌉ times, and no more than
// `probes` (which is what is left of them afterwards).
template <typename Holds>
Result<Between> bisect_between(Between known, std::size_t& probes, Holds&& holds) {
    assert(known.held < known.failed);
    while (!known.exact() && probes > 0) {
        --probes;
        auto middle = known.held + (known.failed - known.held) / 2;
        bool held = TRY(holds(middle));
        (held ? known.held : known.failed) = middle;
    }
    return known;
}

}  // namespace holdfast
