#include "datasets/forget.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "datasets/approvals.h"
#include "datasets/point_reference.h"
#include "repo/approval.h"
#include "repo/hold.h"

namespace holdfast {
namespace {

RetentionRules rules_of(plan::Retention const& retention) {
    return {.within = retention.within,
            .last = retention.last,
            .hourly = retention.hourly,
            .daily = retention.daily,
            .weekly = retention.weekly,
            .monthly = retention.monthly,
            .yearly = retention.yearly};
}

class Forgetting {
  public:
    Forgetting(Workspace& workspace, Repository& repository, ForgetOptions const& options, std::stop_token stop)
        : workspace_(workspace), repository_(repository), options_(options), stop_(std::move(stop)) {}

    Result<ForgetReport> run() {
        list_ = TRY(repository_.points(stop_));
        holds_ = TRY(list_holds(repository_, stop_));
        std::map<std::string, std::vector<PointInfo const*>> datasets;
        for (auto const& info : list_.points) datasets[info.point.dataset].push_back(&info);
        if (!options_.points.empty()) {
            TRY(choose_named(datasets));
        } else {
            TRY(choose_by_rules(datasets));
        }
        TRY(withhold());
        for (auto const& verdict : report_.points) ++(verdict.keep ? report_.kept : report_.forgotten);
        if (!options_.dry_run && !drops_.empty()) TRY(repository_.drop(drops_, stop_));
        return std::move(report_);
    }

  private:
    // Where others have to agree, what they did not agree to stays, and they are asked.
    Result<void> withhold() {
        auto permission = TRY(Permission::load(repository_, Deletion::points, stop_));
        std::set<std::string> held_back;
        for (auto const& point : drops_)
            if (!permission.allows(point.id.hex())) held_back.insert(point.id.hex());
        if (held_back.empty()) return {};
        if (!options_.dry_run) report_.requests = TRY(permission.ask(held_back, stop_));
        std::erase_if(drops_, [&](PointKey const& point) { return held_back.contains(point.id.hex()); });
        for (auto& verdict : report_.points) {
            if (!held_back.contains(verdict.id.hex())) continue;
            verdict.keep = true;
            verdict.reasons = {"others have to approve"};
            ++report_.withheld;
        }
        return {};
    }

    // The rules for a dataset: nothing when none speak of it.
    Result<std::optional<RetentionRules>> rules_for(std::string const& dataset) const {
        if (options_.rules) return options_.rules;
        if (!workspace_.has_plan()) {
            return fail(ErrorKind::usage, "there is no plan that says what to keep",
                        "name it with --plan FILE, or say it: --keep-daily 7 --keep-weekly 4, or name points");
        }
        auto const* plan = TRY(workspace_.plan());
        auto const* found = plan->datasets.find(dataset);
        auto const* retention = found == nullptr ? nullptr : plan->retention.find(found->tier);
        if (retention == nullptr) return std::optional<RetentionRules>();
        return std::optional(rules_of(*retention));
    }

    std::string hold_of(PointInfo const& info) const {
        for (auto const& hold : holds_) {
            if (hold.holds(info.id, info.point.dataset)) {
                return fmt::format("{} (hold {})", hold.text(), hold.hex().substr(0, 8));
            }
        }
        return "";
    }

    // Points of one dataset, in the order of their list.
    Result<std::vector<RetentionVerdict>> judge_dataset(RetentionRules const& rules,
                                                        std::vector<PointInfo const*> const& infos) const {
        std::vector<RetentionPoint> points;
        for (auto const* info : infos) {
            points.push_back({.id = info->id,
                              .received = info->received,
                              .confirmed = info->confirmed,
                              .whole = info->point.unreadable == 0,
                              .hold = hold_of(*info)});
        }
        return judge(rules, points, workspace_.clock().now());
    }

    void drop(PointInfo const& info) {
        drops_.push_back({dataset_tag(repository_.keys(), info.point.dataset), info.point.time, info.id});
    }

    void note(PointInfo const& info, bool keep, std::vector<std::string> reasons) {
        if (!keep) drop(info);
        report_.points.push_back({.id = info.id,
                                  .dataset = info.point.dataset,
                                  .time = info.point.time,
                                  .received = info.received,
                                  .bytes = info.point.bytes,
                                  .keep = keep,
                                  .reasons = std::move(reasons)});
    }

    Result<void> choose_by_rules(std::map<std::string, std::vector<PointInfo const*>> const& datasets) {
        for (auto const& name : options_.datasets) {
            if (datasets.contains(name)) continue;
            std::vector<std::string> names;
            for (auto const& [known, infos] : datasets) names.push_back(known);
            auto near = nearest(name, names);
            return fail(ErrorKind::not_found, fmt::format("no recovery point of '{}'", printable(name)),
                        near.empty() ? "holdfast points lists them" : "did you mean '" + near + "'?");
        }
        for (auto const& [dataset, infos] : datasets) {
            if (!options_.datasets.empty() &&
                std::ranges::find(options_.datasets, dataset) == options_.datasets.end()) {
                continue;
            }
            auto rules = TRY(rules_for(dataset));
            if (!rules) {
                report_.untouched.push_back(dataset);
                continue;
            }
            auto verdicts =
                TRY(judge_dataset(*rules, infos).within(fmt::format("dataset '{}'", printable(dataset))));
            if (std::ranges::none_of(verdicts, &RetentionVerdict::keep)) {
                return fail(ErrorKind::unsafe,
                            fmt::format("the retention would leave no point of '{}'", printable(dataset)));
            }
            for (std::size_t i = 0; i < infos.size(); ++i) {
                note(*infos[i], verdicts[i].keep, std::move(verdicts[i].reasons));
            }
        }
        return {};
    }

    // The damaged point whose id begins so.
    std::optional<PointKey> find_damaged(std::string_view prefix) const {
        std::optional<PointKey> found;
        for (auto const& damaged : list_.damaged) {
            auto key = parse_point_key(damaged.key);
            if (!key || !key->id.hex().starts_with(prefix)) continue;
            if (found && found->id != key->id) return {};
            found = *key;
        }
        return found;
    }

    Result<void> choose_named(std::map<std::string, std::vector<PointInfo const*>> const& datasets) {
        std::set<PointId> chosen;
        for (auto const& text : options_.points) {
            std::vector<PointInfo const*> found;
            for (auto const& info : list_.points) {
                if (text.size() >= kPrefixDigitsMin && info.id.hex().starts_with(text)) found.push_back(&info);
            }
            if (found.size() > 1) {
                return fail(ErrorKind::usage,
                            fmt::format("'{}' begins the ids of {} points", printable(text), found.size()),
                            "write more digits of the id");
            }
            if (found.empty()) {
                auto damaged = text.size() >= kPrefixDigitsMin ? find_damaged(text) : std::nullopt;
                if (!damaged) {
                    return fail(ErrorKind::not_found,
                                fmt::format("no recovery point has an id that begins with '{}'", printable(text)),
                                "forget takes ids, nothing that moves as points are made: holdfast points "
                                "lists them");
                }
                if (!chosen.insert(damaged->id).second) continue;
                drops_.push_back(*damaged);
                report_.points.push_back({.id = damaged->id,
                                          .dataset = "",
                                          .time = damaged->time,
                                          .received = {},
                                          .bytes = 0,
                                          .keep = false,
                                          .reasons = {"named; it is damaged"}});
                continue;
            }
            auto const& info = *found.front();
            if (!chosen.insert(info.id).second) continue;
            if (auto hold = hold_of(info); !hold.empty()) {
                return fail(ErrorKind::unsafe, fmt::format("point {} is held: {}", info.id.brief(), hold),
                            "holdfast hold remove lifts a hold");
            }
            TRY(check_append_only(info, datasets.at(info.point.dataset)));
            note(info, false, {"named"});
        }
        for (auto const& [dataset, infos] : datasets) {
            auto all = std::ranges::all_of(infos, [&](auto const* info) { return chosen.contains(info->id); });
            if (all && !options_.even_the_last) {
                return fail(ErrorKind::unsafe, fmt::format("no point of '{}' would be left", printable(dataset)),
                            "--even-the-last forgets it all the same");
            }
        }
        return {};
    }

    Result<void> check_append_only(PointInfo const& info, std::vector<PointInfo const*> const& infos) const {
        if (!workspace_.has_plan()) return {};
        auto const* plan = TRY(workspace_.plan());
        auto const* dataset = plan->datasets.find(info.point.dataset);
        if (dataset == nullptr || !dataset->append_only) return {};
        auto refuse = [&](std::string why) {
            return fail(ErrorKind::unsafe,
                        fmt::format("point {}: '{}' is append-only, and {}", info.id.brief(),
                                    printable(info.point.dataset), why),
                        "it can be forgotten when its retention ends");
        };
        auto const* retention = plan->retention.find(dataset->tier);
        if (retention == nullptr) return refuse("its tier has no retention");
        for (auto const& verdict : TRY(judge_dataset(rules_of(*retention), infos))) {
            if (verdict.id == info.id && verdict.keep) return refuse(verdict.reasons.front() + " keeps it");
        }
        return {};
    }

    Workspace& workspace_;
    Repository& repository_;
    ForgetOptions const& options_;
    std::stop_token const stop_;
    PointList list_;
    std::vector<Hold> holds_;
    std::vector<PointKey> drops_;
    ForgetReport report_;
};

}  // namespace

Result<ForgetReport> forget_points(Workspace& workspace, std::string_view name, ForgetOptions const& options,
                                   std::stop_token stop) {
    auto* repository = TRY(workspace.repository(name, Role::admin, stop));
    if (!options.dry_run) TRY(check_planned_approvals(workspace, name, *repository, stop));
    return Forgetting(workspace, *repository, options, stop)
        .run()
        .within(fmt::format("forget in '{}'", printable(name)));
}

}  // namespace holdfast
