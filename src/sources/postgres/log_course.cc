#include "sources/postgres/log_course.h"

#include <algorithm>

namespace holdfast::postgres {
namespace {

std::uint64_t floor_to(std::uint64_t value, std::uint64_t step) { return value / step * step; }

WalTimeline const* timeline_of(WalLog const& log, std::uint32_t number) {
    auto found = log.timelines.find(number);
    return found == log.timelines.end() ? nullptr : &found->second;
}

}  // namespace

std::vector<LogPart> course_of(std::uint32_t timeline, std::vector<TimelineBranch> const& before) {
    std::vector<LogPart> course;
    Lsn begin;
    for (auto const& branch : before) {
        course.push_back({branch.timeline, begin, branch.end});
        begin = branch.end;
    }
    course.push_back({timeline, begin});
    return course;
}

LogReach reach_of(WalLog const& log, std::vector<LogPart> const& course, std::size_t part, Lsn from,
                  std::uint32_t segment_bytes) {
    LogReach reach{from, part};
    auto position = floor_to(from.value, segment_bytes);
    for (auto at = part; at < course.size(); ++at) {
        auto const* timeline = timeline_of(log, course[at].timeline);
        auto end = timeline ? timeline->contiguous_from(position) : position;
        // A timeline that is not followed beyond where the last one was left adds nothing.
        if (end <= position || end <= course[at].begin.value) break;
        reach.part = at;
        reach.end = std::max(from, Lsn{std::min(end, course[at].end.value)});
        if (end < course[at].end.value) break;
        position = floor_to(course[at].end.value, segment_bytes);
    }
    for (auto at = reach.part; at < course.size() && !reach.gap; ++at) {
        auto const* timeline = timeline_of(log, course[at].timeline);
        if (!timeline) continue;
        for (auto const& span : timeline->covered()) {
            auto first = std::max(span.first, course[at].begin.value);
            bool counts = std::min(span.end, course[at].end.value) > std::max(first, reach.end.value);
            if (!counts || reach.gap) continue;
            reach.gap = true;
            reach.beyond = Lsn{std::max(first, reach.end.value)};
        }
    }
    return reach;
}

std::vector<LogUnit> units_of(std::vector<LogPart> const& course, std::size_t part, Lsn from, LogReach const& reach,
                              std::uint32_t segment_bytes) {
    std::vector<LogUnit> units;
    auto const step = std::min<std::uint64_t>(segment_bytes, kWalObjectRawMax);
    for (auto first = floor_to(from.value, segment_bytes); first < reach.end.value; first += step) {
        auto segment = floor_to(first, segment_bytes);
        auto which = part;
        while (which < reach.part && floor_to(course[which + 1].begin.value, segment_bytes) <= segment) ++which;
        units.push_back({course[which].timeline, {first}, {std::min(first + step, reach.end.value)}, {segment}});
    }
    return units;
}

}  // namespace holdfast::postgres
