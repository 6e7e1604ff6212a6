#include "runbook/graph.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/text.h"

namespace holdfast::runbook {

Result<std::vector<std::vector<std::size_t>>> waves(plan::Runbook const& runbook) {
    std::vector<plan::Step const*> left;
    for (auto const& step : runbook.steps) {
        for (auto const& before : step.after) {
            if (runbook.steps.contains(before))
                continue;
            return fail(
                ErrorKind::usage,
                fmt::format("runbook '{}': step '{}' comes after '{}', which does not exist",
                            runbook.name, step.name, before));
        }
        left.push_back(&step);
    }
    if (left.empty()) {
        return fail(ErrorKind::usage, fmt::format("runbook '{}' has no steps", runbook.name));
    }
    auto const* first = &*runbook.steps.begin();
    std::vector<std::vector<std::size_t>> waves;
    std::set<std::string> behind;
    while (!left.empty()) {
        auto ready = [&](plan::Step const* step) {
            return std::all_of(step->after.begin(), step->after.end(),
                               [&](std::string const& name) { return behind.contains(name); });
        };
        std::vector<plan::Step const*> now, later;
        for (auto const* step : left)
            (ready(step) ? now : later).push_back(step);
        if (now.empty()) {
            std::vector<std::string> names;
            for (auto const* step : later)
                names.push_back(step->name);
            return fail(ErrorKind::usage, fmt::format("runbook '{}': steps wait for each other: {}",
                                                      runbook.name, join(names, ", ")));
        }
        auto& wave = waves.emplace_back();
        for (auto const* step : now) {
            behind.insert(step->name);
            wave.push_back(static_cast<std::size_t>(step - first));
        }
        left = std::move(later);
    }
    return waves;
}

}  // namespace holdfast::runbook
