#include "codec/plane_groups.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "codec/plane_kernels.h"

namespace holdfast {
namespace {

constexpr unsigned kFraction = 12;
// Runs of blocks before any are joined; each has this many blocks at least.
constexpr std::size_t kRunsMax = 16;
constexpr std::size_t kRunBlocksMin = 8;
// A group costs its table, and the time to make it when it is read: about as much as these bytes.
constexpr std::uint64_t kGroupBytes = 60;
// What the numbers of the groups cost a block.
constexpr std::uint64_t kNumberBits = 4;

// log2 of 1 to 2^31 in 1/4096, from a table of the first 9 bits below the highest one.
std::uint64_t log2_fixed(std::uint32_t x) {
    static std::array<std::uint16_t, 513> const table = [] {
        std::array<std::uint16_t, 513> made;
        for (std::size_t i = 0; i <= 512; ++i) {
            made[i] = static_cast<std::uint16_t>(std::lround(std::log2(1.0 + static_cast<double>(i) / 512.0) * 4096.0));
        }
        return made;
    }();
    auto top = static_cast<unsigned>(std::bit_width(x) - 1);
    auto rest = x - (std::uint32_t{1} << top);
    auto index = top >= 9 ? rest >> (top - 9) : rest << (9 - top);
    return (std::uint64_t{top} << kFraction) + table[index];
}

// Counts with the bytes between which all of them lie.
struct Run {
    ByteCounts counts{};
    unsigned first = 255, last = 0;
    std::uint32_t total = 0;
    std::uint64_t cost = 0;

    void measure() {
        first = 255, last = 0, total = 0;
        for (unsigned s = 0; s < 256; ++s) {
            if (counts[s] == 0) continue;
            first = std::min(first, s);
            last = s;
            total += counts[s];
        }
        cost = cost_of([this](unsigned s) { return counts[s]; }, first, last, total);
    }
    template <typename Counts>
    static std::uint64_t cost_of(Counts const& counts, unsigned first, unsigned last, std::uint32_t total) {
        auto whole = std::uint64_t{total} * log2_fixed(total);
        std::uint64_t known = 0;
        for (unsigned s = first; s <= last; ++s) {
            auto count = counts(s);
            if (count > 0) known += std::uint64_t{count} * log2_fixed(count);
        }
        auto table = (kGroupBytes + (last - first + 2) / 2) * 8;
        return (whole > known ? whole - known : 0) + (table << kFraction);
    }
};

std::uint64_t joined_cost(Run const& a, Run const& b) {
    return Run::cost_of([&](unsigned s) { return a.counts[s] + b.counts[s]; }, std::min(a.first, b.first),
                        std::max(a.last, b.last), a.total + b.total);
}

}  // namespace

std::uint64_t entropy_cost(std::span<std::uint32_t const> counts) {
    std::uint64_t total = 0, known = 0;
    for (auto count : counts) {
        total += count;
        if (count > 0) known += std::uint64_t{count} * log2_fixed(count);
    }
    auto whole = total == 0 ? 0 : total * log2_fixed(static_cast<std::uint32_t>(total));
    return whole > known ? whole - known : 0;
}

void group_blocks(std::span<std::uint32_t const> sums, std::uint8_t const* plane, PlaneGroups& groups) {
    // Counting sort by the sum in steps of 16: a sixteenth of a byte in the mean.
    constexpr std::size_t kKeys = kPlaneBlock * 255 / 16 + 1;
    static thread_local std::vector<std::uint32_t> starts, order, runs_of;
    starts.assign(kKeys + 1, 0);
    std::size_t blocks = 0;
    for (auto sum : sums) {
        if (sum == kNoBlock) continue;
        ++starts[sum / 16 + 1];
        ++blocks;
    }
    for (std::size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
    order.resize(blocks);
    std::uint32_t place = 0;
    for (auto sum : sums) {
        if (sum != kNoBlock) order[starts[sum / 16]++] = place++;
    }

    auto run_count = std::clamp<std::size_t>(blocks / kRunBlocksMin, 1, kRunsMax);
    std::vector<Run> runs(blocks == 0 ? 0 : run_count);
    runs_of.resize(blocks);
    for (std::size_t i = 0; i < runs.size(); ++i) {
        ByteCounter counter;
        for (auto at = i * blocks / run_count; at < (i + 1) * blocks / run_count; ++at) {
            counter.add({plane + std::size_t{order[at]} * kPlaneBlock, kPlaneBlock});
            runs_of[order[at]] = static_cast<std::uint32_t>(i);
        }
        runs[i].counts = counter.total();
        runs[i].measure();
    }

    // Each run is the group of the first run that it was joined to.
    std::vector<std::size_t> alive, leader(runs.size());
    for (std::size_t i = 0; i < runs.size(); ++i) alive.push_back(i), leader[i] = i;
    auto gain = [&](std::size_t i) {
        auto const& a = runs[alive[i]];
        auto const& b = runs[alive[i + 1]];
        return static_cast<std::int64_t>(a.cost + b.cost) - static_cast<std::int64_t>(joined_cost(a, b));
    };
    std::vector<std::int64_t> gains;
    for (std::size_t i = 0; i + 1 < alive.size(); ++i) gains.push_back(gain(i));
    auto join_at = [&](std::size_t i) {
        auto& a = runs[alive[i]];
        auto const& b = runs[alive[i + 1]];
        for (std::size_t s = b.first; s <= b.last; ++s) a.counts[s] += b.counts[s];
        a.measure();
        leader[alive[i + 1]] = alive[i];
        alive.erase(alive.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        gains.erase(gains.begin() + static_cast<std::ptrdiff_t>(i));
        if (i > 0) gains[i - 1] = gain(i - 1);
        if (i + 1 < alive.size()) gains[i] = gain(i);
    };
    while (!gains.empty()) {
        auto best = std::max_element(gains.begin(), gains.end());
        if (*best <= 0 && alive.size() <= kPlaneGroupsMax) break;
        join_at(static_cast<std::size_t>(best - gains.begin()));
    }
    // All in one group need no numbers: unless several win more than those cost.
    bool const all = blocks == sums.size();
    if (all && alive.size() > 1) {
        std::uint64_t apart = (kNumberBits * blocks) << kFraction;
        Run whole;
        for (auto i : alive) {
            apart += runs[i].cost;
            for (std::size_t s = 0; s < 256; ++s) whole.counts[s] += runs[i].counts[s];
        }
        whole.measure();
        if (whole.cost <= apart) {
            for (std::size_t i = alive.size(); i-- > 1;) leader[alive[i]] = alive[0];
            runs[alive[0]] = whole;
            alive.resize(1);
        }
    }

    std::vector<std::uint8_t> number(runs.size());
    groups.count = alive.size();
    groups.counts.clear();
    for (std::size_t i = 0; i < alive.size(); ++i) {
        number[alive[i]] = static_cast<std::uint8_t>(i);
        groups.counts.push_back(runs[alive[i]].counts);
    }
    // Leaders stand before those that they lead.
    for (std::size_t i = 0; i < runs.size(); ++i) {
        if (leader[i] != i) number[i] = number[leader[i]];
    }
    groups.of_block.resize(sums.size());
    place = 0;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        groups.of_block[i] = sums[i] == kNoBlock ? kZeroBlock : number[runs_of[place++]];
    }
}

}  // namespace holdfast
