#include "mount/point_table.h"

#include <fmt/format.h>

#include "base/text.h"
#include "mount/point_names.h"

namespace holdfast {
namespace {

constexpr Duration kFresh = std::chrono::seconds(5);

}  // namespace

Result<std::shared_ptr<MountedPoint>> open_mounted_point(PointInfo info, std::string name, Fetch& fetch,
                                                         std::stop_token stop) {
    auto point = std::make_shared<MountedPoint>();
    point->root = TRY(TreeReader(fetch, info.point.tree).find("", stop));
    point->info = std::move(info);
    point->name = std::move(name);
    return point;
}

PointTable::PointTable(List list, Fetch& fetch, Clock& clock, Warn warn)
    : list_(std::move(list)), fetch_(fetch), clock_(clock), warn_(std::move(warn)) {}

Result<std::shared_ptr<PointSnapshot const>> PointTable::now(std::stop_token stop) {
    std::lock_guard lock(mutex_);
    if (snapshot_ && clock_.elapsed() - refreshed_ < kFresh) return snapshot_;
    if (auto done = refresh(stop); !done) {
        if (!snapshot_) return fail(std::move(done.error()));
        warn_("the list of points is an old one: " + done.error().message);
    }
    refreshed_ = clock_.elapsed();
    return snapshot_;
}

Result<void> PointTable::refresh(std::stop_token stop) {
    auto list = TRY(list_(stop));
    for (auto const& damaged : list.damaged) {
        warn_(fmt::format("damaged point {}: {}", damaged.key, damaged.error.message));
    }
    std::map<std::string, std::vector<PointInfo const*>> by_dataset;
    for (auto const& info : list.points) by_dataset[info.point.dataset].push_back(&info);

    auto snapshot = std::make_shared<PointSnapshot>();
    std::map<PointId, std::shared_ptr<MountedPoint>> points;
    for (auto const& [dataset, infos] : by_dataset) {
        auto& shown = snapshot->datasets[directory_name(dataset)];
        shown.latest.clear();
        for (auto const& [name, info] : point_names(infos)) {
            auto known = points_.find(info->id);
            auto point = known == points_.end() ? nullptr : known->second;
            if (!point) {
                auto opened = open_mounted_point(*info, name, fetch_, stop);
                if (!opened && opened.error().kind == ErrorKind::cancelled) return fail(std::move(opened.error()));
                if (!opened) {
                    warn_(fmt::format("point {} of '{}' is left out: {}", info->id.brief(), printable(dataset),
                                      opened.error().message));
                    continue;
                }
                point = std::move(*opened);
            }
            points[info->id] = point;
            shown.points.emplace(name, point);
            if (info == infos.back()) shown.latest = name;
        }
        // The newest one may be damaged: then the next older one is the latest that can be looked into.
        if (shown.latest.empty() && !shown.points.empty()) shown.latest = shown.points.rbegin()->first;
    }
    points_ = std::move(points);
    snapshot_ = std::move(snapshot);
    return {};
}

}  // namespace holdfast
