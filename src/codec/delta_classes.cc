#include "codec/delta_classes.h"

#include <algorithm>
#include <vector>

#include "codec/plane_groups.h"

namespace holdfast {
namespace {

// A class costs its table, and the time to make it when it is read: about as much as these bytes.
constexpr std::uint64_t kClassBytes = 160;

// Counts of neighbouring leads.
struct LeadRun {
    std::array<std::uint32_t, kDeltaSymbols> counts{};
    std::uint8_t first = 0;  // lead
    std::uint64_t cost = 0;  // in 1/4096 of a bit

    void measure(std::uint64_t times) {
        std::size_t low = 0, high = kDeltaSymbols - 1;
        while (low < high && counts[low] == 0) ++low;
        while (high > low && counts[high] == 0) --high;
        auto used = std::span(counts).subspan(low, high - low + 1);
        cost = entropy_cost(used) * times + ((kClassBytes + used.size() / 2) * 8 << 12);
    }
};

LeadRun joined(LeadRun const& a, LeadRun const& b, std::uint64_t times) {
    auto both = a;
    for (std::size_t s = 0; s < kDeltaSymbols; ++s) both.counts[s] += b.counts[s];
    both.measure(times);
    return both;
}

}  // namespace

DeltaClasses group_leads(DeltaCounts const& counts, std::uint64_t times) {
    std::vector<LeadRun> runs;
    for (std::size_t lead = 0; lead < kDeltaLeads; ++lead) {
        if (std::ranges::all_of(counts[lead], [](auto count) { return count == 0; })) continue;
        LeadRun run{.counts = counts[lead], .first = static_cast<std::uint8_t>(lead)};
        run.measure(times);
        runs.push_back(run);
    }
    auto gain = [&](std::size_t i) {
        return static_cast<std::int64_t>(runs[i].cost + runs[i + 1].cost) -
               static_cast<std::int64_t>(joined(runs[i], runs[i + 1], times).cost);
    };
    std::vector<std::int64_t> gains;
    for (std::size_t i = 0; i + 1 < runs.size(); ++i) gains.push_back(gain(i));
    while (!gains.empty()) {
        auto best = std::max_element(gains.begin(), gains.end()) - gains.begin();
        auto i = static_cast<std::size_t>(best);
        if (gains[i] <= 0 && runs.size() <= kDeltaClassesMax) break;
        runs[i] = joined(runs[i], runs[i + 1], times);
        runs.erase(runs.begin() + best + 1);
        gains.erase(gains.begin() + best);
        if (i > 0) gains[i - 1] = gain(i - 1);
        if (i < gains.size()) gains[i] = gain(i);
    }
    DeltaClasses classes{.count = runs.size()};
    classes.first.fill(255);
    for (std::size_t i = 0; i < runs.size(); ++i) classes.first[i] = runs[i].first;
    classes.first[0] = 0;
    return classes;
}

std::uint64_t delta_cost(DeltaCounts const& counts) {
    std::uint64_t cost = 0;
    for (auto const& row : counts) {
        cost += entropy_cost(row);
        for (unsigned s = 8; s < kDeltaSymbols; ++s) cost += std::uint64_t{row[s]} * delta_rest_of(s) << 12;
    }
    return cost;
}

}  // namespace holdfast
