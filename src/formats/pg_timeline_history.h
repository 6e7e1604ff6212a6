#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/pg_lsn.h"

namespace holdfast {

// A timeline's history file ("00000003.history"): for each timeline before it, oldest first, where the
// next one left it: "1\t0/3000148\treason". `#` begins a comment. (access/transam/timeline.c)
struct TimelineBranch {
    std::uint32_t timeline = 0;
    Lsn end;  // it is followed up to here
    bool operator==(TimelineBranch const&) const = default;
};
// Of timeline `timeline`'s file. `damaged` unless timelines and positions ascend and stay below it.
Result<std::vector<TimelineBranch>> parse_timeline_history(std::string_view text, std::uint32_t timeline);

// "00000003.history"
std::string timeline_history_name(std::uint32_t timeline);

}  // namespace holdfast
