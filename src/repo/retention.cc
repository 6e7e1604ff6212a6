#include "repo/retention.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/units.h"

namespace holdfast {
namespace {

using std::chrono::days;
using std::chrono::floor;

// Numbers that are equal for two times in the same hour, day, …
std::int64_t hour_of(Time time) { return floor<std::chrono::hours>(time).time_since_epoch().count(); }
std::int64_t day_of(Time time) { return floor<days>(time).time_since_epoch().count(); }
std::int64_t week_of(Time time) {
    // 1970-01-01 was a Thursday: weeks begin three days before it.
    auto day = day_of(time) + 3;
    return day >= 0 ? day / 7 : (day - 6) / 7;
}
std::int64_t month_of(Time time) {
    std::chrono::year_month_day date(floor<days>(time));
    return static_cast<int>(date.year()) * 12 + static_cast<std::int64_t>(static_cast<unsigned>(date.month()));
}
std::int64_t year_of(Time time) {
    return static_cast<int>(std::chrono::year_month_day(floor<days>(time)).year());
}

struct Bucket {
    char const* name;
    std::uint32_t count;
    std::int64_t (*of)(Time);
};

}  // namespace

Result<std::vector<RetentionVerdict>> judge(RetentionRules const& rules,
                                            std::span<RetentionPoint const> points, Time now) {
    if (!rules.keeps_something())
        return fail(ErrorKind::usage, "the retention keeps nothing", "say how many: daily: 7");
    std::vector<RetentionVerdict> verdicts(points.size());
    auto keep = [&](std::size_t index, std::string reason) {
        verdicts[index].keep = true;
        verdicts[index].reasons.push_back(std::move(reason));
    };

    std::vector<std::size_t> order;  // those that the rules count
    std::optional<Time> newest;
    for (std::size_t i = 0; i < points.size(); ++i) {
        auto const& point = points[i];
        verdicts[i].id = point.id;
        if (!point.hold.empty())
            keep(i, "held: " + point.hold);
        if (!point.received) {
            keep(i, "has no receipt yet");
        } else if (*point.received > now) {
            keep(i, "its receipt is in the future: a clock is or was wrong");
        } else {
            if (!newest || *point.received > *newest)
                newest = point.received;
            order.push_back(i);
        }
    }
    // Behind an unconfirmed point a backup may still run. It takes nobody's place.
    std::erase_if(order, [&](std::size_t i) {
        if (points[i].confirmed || *newest - *points[i].received > kUnconfirmedGrace)
            return false;
        keep(i, "is not confirmed yet");
        return true;
    });
    // Newest first; of two that were received at once, the one that was made later.
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) {
        if (points[a].received != points[b].received)
            return *points[a].received > *points[b].received;
        return a > b;
    });

    auto whole = std::ranges::find_if(order, [&](std::size_t i) { return points[i].whole; });
    if (whole != order.end())
        keep(*whole, "the newest whole point");
    else if (!order.empty())
        keep(order.front(), "the newest point");
    for (std::size_t rank = 0; rank < order.size(); ++rank) {
        auto i = order[rank];
        if (rules.within && *newest - *points[i].received < *rules.within)
            keep(i, "within " + format_duration(*rules.within));
        if (rank < rules.last)
            keep(i, fmt::format("last {} of {}", rank + 1, rules.last));
    }
    Bucket const buckets[] = {{"hourly", rules.hourly, hour_of},
                              {"daily", rules.daily, day_of},
                              {"weekly", rules.weekly, week_of},
                              {"monthly", rules.monthly, month_of},
                              {"yearly", rules.yearly, year_of}};
    for (auto const& bucket : buckets) {
        std::uint32_t kept = 0;
        std::optional<std::int64_t> before;
        for (auto i : order) {
            if (kept == bucket.count)
                break;
            auto number = bucket.of(*points[i].received);
            if (before && *before == number)
                continue;
            before = number;
            keep(i, fmt::format("{} {} of {}", bucket.name, ++kept, bucket.count));
        }
    }
    for (auto i : order)
        if (!verdicts[i].keep)
            verdicts[i].reasons.push_back("no rule keeps it");
    return verdicts;
}

}  // namespace holdfast
