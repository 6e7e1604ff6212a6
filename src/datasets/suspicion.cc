#include "datasets/suspicion.h"

#include <algorithm>
#include <fmt/format.h>

#include "archive/anomaly.h"
#include "base/text.h"
#include "repo/hold.h"

namespace holdfast {
namespace {

// Points whose changes are what is usual.
constexpr std::size_t kHistoryMax = 30;
// Points that one hold names: the newest. Older ones are far enough from the trouble.
constexpr std::size_t kHeldMax = 100;

bool is_suspect(PointInfo const& info) { return info.point.attributes.contains(kSuspectAttribute); }

// Whether a hold that a suspicion placed still keeps one of these points.
Result<bool> is_held(Repository& repository, std::vector<PointInfo> const& points, std::stop_token stop) {
    auto holds = TRY(list_holds(repository, stop));
    return std::ranges::any_of(holds, [&](Hold const& hold) {
        return hold.kind == Hold::Kind::suspicion && !hold.points.empty() &&
               std::ranges::any_of(points, [&](PointInfo const& info) {
                   return std::ranges::find(hold.points, info.id) != hold.points.end();
               });
    });
}

}  // namespace

Result<std::optional<Suspicion>> find_suspicion(Repository& repository, RecoveryPoint const& point,
                                                std::stop_token stop) {
    auto changes = point.attributes.find(kChangesAttribute);
    if (changes == point.attributes.end()) return std::optional<Suspicion>();
    auto now = TRY(decode_change_profile(changes->second));
    auto list = TRY(repository.points_of(point.dataset, stop));

    Suspicion suspicion;
    std::vector<ChangeProfile> history;
    for (auto info = list.points.rbegin(); info != list.points.rend(); ++info) {
        if (is_suspect(*info)) continue;
        if (suspicion.clean.size() < kHeldMax) suspicion.clean.push_back(info->id);
        auto told = info->point.attributes.find(kChangesAttribute);
        if (told == info->point.attributes.end() || history.size() >= kHistoryMax) continue;
        // One that can't be read tells nothing; the others still do.
        if (auto profile = decode_change_profile(told->second)) history.push_back(std::move(*profile));
    }
    if (!list.points.empty() && is_suspect(list.points.back())) {
        auto held = TRY(is_held(repository, list.points, stop));
        if (held) {
            suspicion.reason = list.points.back().point.attributes.at(kSuspectAttribute);
            suspicion.fresh = false;
            return std::optional(std::move(suspicion));
        }
    }
    auto reason = judge_changes(now, history);
    if (!reason) return std::optional<Suspicion>();
    suspicion.reason = std::move(*reason);
    return std::optional(std::move(suspicion));
}

Result<void> hold_clean_points(Repository& repository, std::string_view dataset, Suspicion const& suspicion,
                               std::stop_token stop) {
    if (suspicion.clean.empty()) return {};
    Hold hold;
    hold.kind = Hold::Kind::suspicion;
    hold.reason = fmt::format("'{}' changed as it never did: {}", printable(dataset), suspicion.reason);
    hold.points = suspicion.clean;
    TRY(place_hold(repository, std::move(hold), stop));
    return {};
}

}  // namespace holdfast
