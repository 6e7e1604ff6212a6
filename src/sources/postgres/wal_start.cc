#include "sources/postgres/wal_start.h"

namespace holdfast::postgres {
namespace {

std::vector<Lsn> ends_of(WalTimeline const& timeline, Lsn limit) {
    std::vector<Lsn> ends;
    for (auto const& span : timeline.covered())
        if (span.end < limit.value) ends.push_back({span.end});
    return ends;
}

}  // namespace

WalStart choose_start(WalLog const& log, std::vector<TimelineBranch> const& before, std::uint32_t current) {
    auto held = [&](std::uint32_t timeline) -> WalTimeline const* {
        auto found = log.timelines.find(timeline);
        return found == log.timelines.end() || found->second.ranges.empty() ? nullptr : &found->second;
    };
    if (auto const* timeline = held(current)) return {current, ends_of(*timeline, Lsn{UINT64_MAX})};
    for (auto at = before.rbegin(); at != before.rend(); ++at) {
        auto const* timeline = held(at->timeline);
        if (!timeline) continue;
        auto ends = ends_of(*timeline, at->end);
        if (timeline->covered().back().end < at->end.value) return {at->timeline, std::move(ends)};
        // All of it (perhaps more, of a branch that was left): the next one begins where the server left it.
        return {at == before.rbegin() ? current : std::prev(at)->timeline, {at->end}};
    }
    return {current, {}};
}

}  // namespace holdfast::postgres
