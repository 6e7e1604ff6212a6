#include "datasets/ladder.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/units.h"
#include "datasets/log_position.h"

namespace holdfast {
namespace {

constexpr double kAtRisk = 0.8;  // of the objective

Standing::Rung rung_of(catalog::RungStatus const& status) {
    auto id = PointId::from_hex(status.point.id);
    return {.point = id ? std::optional(*id) : std::nullopt,
            .time = status.point.time,
            .reached = status.reached};
}

void fill_rungs(Standing& standing, std::vector<catalog::RungStatus> const& ladder) {
    for (auto const& status : ladder) {
        switch (status.rung) {
            case catalog::Rung::stored: standing.stored = rung_of(status); break;
            case catalog::Rung::hashed: standing.hashed = rung_of(status); break;
            case catalog::Rung::restored: standing.restored = rung_of(status); break;
            case catalog::Rung::validated: standing.validated = rung_of(status); break;
        }
    }
}

// The newest point that is known to come back.
Standing::Rung const* newest_proven(Standing const& standing) {
    Standing::Rung const* newest = nullptr;
    for (auto const* rung : {&standing.hashed, &standing.restored, &standing.validated})
        if (rung->time && (!newest || *rung->time > *newest->time)) newest = rung;
    return newest;
}

void hold_against_objective(Standing& standing, Time now) {
    auto const* newest_point = newest_proven(standing);
    auto proven = newest_point ? newest_point->time : std::nullopt;
    if (proven && standing.log) proven = std::max(*proven, *standing.log);
    if (proven) standing.achieved = std::max(Duration(0), now - *proven);
    if (!standing.objective) {
        standing.state = Standing::State::unknown;
        standing.reason = "no objective is stated";
    } else if (!standing.stored.point) {
        standing.state = Standing::State::missed;
        standing.reason = "there is no recovery point";
    } else if (!standing.achieved) {
        standing.state = Standing::State::missed;
        standing.reason = "no point is verified yet: holdfast verify --data";
    } else if (*standing.achieved > *standing.objective) {
        standing.state = Standing::State::missed;
        auto newest = now - *standing.stored.time;
        standing.reason = standing.log ? fmt::format("the log is stored up to {} ago", format_duration(*standing.achieved))
                          : newest > *standing.objective
                              ? fmt::format("the newest point is {} old", format_duration(newest))
                              : "newer points are not verified: holdfast verify --data";
    } else if (*standing.achieved > standing.objective.value() * kAtRisk) {
        standing.state = Standing::State::at_risk;
        standing.reason = "more than 80 % of the objective is used up";
    } else {
        standing.state = Standing::State::met;
    }
}

}  // namespace

std::string_view name(Standing::State state) {
    switch (state) {
        case Standing::State::met: return "met";
        case Standing::State::at_risk: return "at-risk";
        case Standing::State::missed: return "missed";
        case Standing::State::unknown: return "unknown";
    }
    return "unknown";
}

Result<std::vector<Standing>> standings(Workspace& workspace, std::stop_token stop) {
    auto* catalog = TRY(workspace.catalog());
    auto name = TRY(workspace.default_repository());
    auto* repository = TRY(workspace.repository(name, {}, stop));
    auto list = TRY(repository->points(stop));

    // The repository says which points stand; the catalog, what was proven of them.
    std::vector<catalog::Point> points;
    std::map<std::string, std::uint64_t> counts;
    std::map<std::string, std::string> kinds;
    for (auto const& info : list.points) {
        points.push_back(catalog_point(*repository, info));
        ++counts[info.point.dataset];
        kinds[info.point.dataset] = info.point.kind;
    }
    auto id = repository->id().hex();
    TRY(catalog->replace_points(id, points));
    for (auto const& point : points) {
        auto reached = TRY(catalog->rungs(id, point.id));
        if (reached.empty()) TRY(catalog->reach(id, point.id, catalog::Rung::stored, ""));
    }

    std::vector<Standing> standings;
    std::set<std::string> named;
    auto add = [&](Standing standing) -> Result<void> {
        named.insert(standing.dataset);
        standing.points = counts[standing.dataset];
        auto ladder = TRY(catalog->ladder(standing.dataset, id));
        fill_rungs(standing, ladder);
        if (auto const* proven = newest_proven(standing); proven && proven->point) {
            auto found = std::ranges::find(list.points, *proven->point, &PointInfo::id);
            if (found != list.points.end())
                standing.log = TRY(log_complete_until(workspace, *repository, found->point, stop));
        }
        hold_against_objective(standing, workspace.clock().now());
        standings.push_back(std::move(standing));
        return {};
    };
    if (workspace.has_plan()) {
        auto const* plan = TRY(workspace.plan());
        for (auto const& dataset : plan->datasets) {
            TRY(add({.dataset = dataset.name,
                     .tier = dataset.tier,
                     .kind = std::string(plan::to_text(dataset.kind)),
                     .objective = plan->rpo(dataset),
                     .interval = plan->interval(dataset)}));
        }
    }
    for (auto const& [dataset, kind] : kinds) {
        if (!named.contains(dataset)) TRY(add({.dataset = dataset, .tier = "", .kind = kind}));
    }
    return standings;
}

}  // namespace holdfast
