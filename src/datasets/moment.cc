#include "datasets/moment.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "base/text.h"
#include "sources/postgres/same_system.h"

namespace holdfast {
namespace {

using postgres::LogPlan;
using postgres::RecoveryTarget;
using Kind = RecoveryTarget::Kind;

// What stands behind the last '@'; nullopt where a point is meant and no moment.
struct Asked {
    std::string dataset;
    RecoveryTarget target;
};
Result<std::optional<Asked>> parse_moment(std::string_view text) {
    std::optional<Asked> none;
    auto at = text.rfind('@');
    if (at == std::string_view::npos) return none;
    Asked asked{std::string(text.substr(0, at)), {}};
    auto what = text.substr(at + 1);
    auto behind = [&](std::string_view word) { return what.starts_with(word) ? what.substr(word.size()) : ""; };
    if (what == "latest") return std::optional(asked);
    if (auto lsn = behind("lsn:"); !lsn.empty()) {
        asked.target.kind = Kind::lsn;
        asked.target.lsn = TRY(parse_lsn(lsn));
    } else if (auto number = behind("xid:"); !number.empty()) {
        asked.target.kind = Kind::transaction;
        auto parsed = std::from_chars(number.data(), number.data() + number.size(), asked.target.transaction);
        if (parsed.ec != std::errc{} || parsed.ptr != number.data() + number.size())
            return fail(ErrorKind::usage, fmt::format("'{}' is no transaction's number", printable(number)));
    } else if (auto label = behind("name:"); !label.empty()) {
        asked.target.kind = Kind::name;
        asked.target.name = label;
    } else if (auto time = parse_rfc3339(what)) {
        asked.target.kind = Kind::time;
        asked.target.time = *time;
    } else {
        return none;  // find_point() says what is wrong with it
    }
    return std::optional(std::move(asked));
}

std::string attribute(PointInfo const& info, std::string const& name) {
    auto found = info.point.attributes.find(name);
    return found == info.point.attributes.end() ? std::string() : found->second;
}

template <typename T>
std::optional<T> number_of(std::string_view text) {
    T value = 0;
    auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != text.data() + text.size()) return std::nullopt;
    return value;
}

// A base backup, and where it stands in the log.
struct Base {
    PointInfo info;
    std::uint32_t timeline = 0;
    Lsn end;
    std::uint32_t segment_bytes = 0;
};
std::optional<Base> base_of(PointInfo const& info) {
    auto timeline = number_of<std::uint32_t>(attribute(info, "timeline"));
    auto lsn = parse_lsn(attribute(info, "lsn"));
    auto segment = number_of<std::uint32_t>(attribute(info, "wal_segment_bytes"));
    if (!timeline || !lsn || !segment || *segment < 1u << 20) return std::nullopt;
    return Base{info, *timeline, *lsn, *segment};
}

class Finder {
  public:
    Finder(Repository& repository, std::string dataset, MomentOptions const& options, std::stop_token stop)
        : repository_(repository), dataset_(std::move(dataset)), options_(options), stop_(std::move(stop)) {}

    // False: there is no log of this dataset.
    Result<bool> open() {
        auto list = TRY(repository_.points_of(dataset_, stop_));
        for (auto const& info : list.points)
            if (auto base = base_of(info)) bases_.push_back(std::move(*base));
        damaged_ = std::move(list.damaged);
        if (bases_.empty()) return false;
        auto system = number_of<std::uint64_t>(attribute(bases_.back().info, "system_identifier"));
        if (!system) return false;
        auto stream = postgres::cluster_log(repository_.keys(), dataset_, *system);
        log_ = TRY(list_wal(repository_, stream, stop_));
        return std::ranges::any_of(log_.timelines, [](auto const& entry) { return !entry.second.ranges.empty(); });
    }

    // nullopt: there is no log behind the point that would be taken.
    Result<std::optional<Moment>> find(RecoveryTarget target) {
        TRY(read_course());
        target_ = std::move(target);
        auto candidates = candidates_on_course();
        if (target_.kind == Kind::transaction || target_.kind == Kind::name) return search(candidates);
        for (auto const& base : candidates) {
            if (target_.kind == Kind::time && base.info.point.time > target_.time) continue;
            if (target_.kind == Kind::lsn && base.end > target_.lsn) continue;
            return reach(base);
        }
        if (target_.kind == Kind::lsn)
            return fail(ErrorKind::not_found, fmt::format("'{}': no base backup ended before {}", printable(dataset_), to_text(target_)),
                        "holdfast points " + dataset_ + " shows where each ended");
        return std::optional<Moment>();
    }

    // Oldest first.
    Result<std::vector<Moment>> stretches(bool has_log) {
        if (has_log) TRY(read_course());
        auto system = bases_.empty() ? std::string() : attribute(bases_.back().info, "system_identifier");
        auto bases = has_log ? candidates_on_course() : bases_;
        if (has_log) std::ranges::reverse(bases);
        std::vector<Moment> found;
        for (auto const& base : bases) {
            if (attribute(base.info, "system_identifier") != system) continue;
            auto& moment = found.emplace_back(Moment{.point = {{}, base.info, {}}, .log = {}, .time = base.info.point.time});
            if (!has_log) continue;
            auto plan = plan_from(base);
            if (plan.reach.end > base.end) moment.log = std::move(plan);
        }
        return found;
    }

    std::vector<DamagedPoint> const& damaged() const { return damaged_; }

  private:
    Result<void> read_course() {
        std::set<std::uint32_t> known;
        for (auto const& [number, timeline] : log_.timelines)
            if (!timeline.ranges.empty()) known.insert(number);
        for (auto const& base : bases_) known.insert(base.timeline);
        auto wanted = *known.rbegin();
        if (options_.timeline == "current") {
            wanted = bases_.back().timeline;
        } else if (options_.timeline != "latest") {
            auto number = number_of<std::uint32_t>(options_.timeline);
            if (!number) return fail(ErrorKind::usage, fmt::format("'{}' is no timeline", printable(options_.timeline)),
                                     "write latest, current, or its number");
            wanted = *number;
            if (!known.contains(wanted))
                return fail(ErrorKind::not_found, fmt::format("the repository knows no timeline {} of '{}'", wanted, printable(dataset_)),
                            "holdfast wal list " + dataset_ + " shows them");
        }
        for (auto const& [number, timeline] : log_.timelines) {
            if (timeline.histories.empty()) continue;
            auto content = read_wal_history(repository_, log_, number, stop_);
            // Of others only the number counts: nothing is recovered along them.
            if (!content && number == wanted) return fail(std::move(content).error());
            histories_[number] = content ? std::move(*content) : Bytes();
        }
        std::vector<TimelineBranch> before;
        if (auto own = histories_.find(wanted); own != histories_.end())
            before = TRY(parse_timeline_history(as_text(own->second), wanted));
        course_ = postgres::course_of(wanted, before);
        return {};
    }

    std::size_t part_of(Base const& base) const {
        for (std::size_t i = 0; i < course_.size(); ++i)
            if (course_[i].timeline == base.timeline && base.end <= course_[i].end) return i;
        return course_.size();
    }

    // Newest first.
    std::vector<Base> candidates_on_course() const {
        std::vector<Base> found;
        for (auto base = bases_.rbegin(); base != bases_.rend(); ++base) {
            if (!options_.point.empty() && base->info.id.hex() != options_.point) continue;
            if (part_of(*base) < course_.size()) found.push_back(*base);
        }
        std::ranges::stable_sort(found, [](Base const& a, Base const& b) { return a.end > b.end; });
        return found;
    }

    LogPlan plan_from(Base const& base) const {
        LogPlan plan{.log = log_, .course = course_, .part = part_of(base), .from = base.end, .reach = {},
                     .segment_bytes = base.segment_bytes, .target = target_, .histories = histories_};
        plan.reach = postgres::reach_of(log_, course_, plan.part, base.end, base.segment_bytes);
        return plan;
    }

    // The server's clock when it had written no more than the log has.
    Result<Time> known_time(LogPlan const& plan) const {
        Time known{};
        auto const& timeline = log_.timelines.at(plan.course[plan.reach.part].timeline);
        std::optional<Error> failed;
        for (auto const& range : timeline.ranges) {
            if (range.first >= plan.reach.end.value || range.end < plan.reach.end.value) continue;
            auto time = wal_known_time(repository_, wal_key(log_.stream, range), stop_);
            if (time) known = std::max(known, *time);
            else failed = std::move(time).error();
        }
        if (known == Time{} && failed) return fail(std::move(*failed));
        return known;
    }

    std::string how_far(LogPlan const& plan, Time known) const {
        auto commit = postgres::last_commit(repository_, plan, stop_);
        return fmt::format("the log of '{}' ends at {}, written by {}{}", printable(dataset_), to_text(plan.reach.end),
                           to_rfc3339(known), commit ? "; the last commit in it is of " + to_rfc3339(*commit) : "");
    }

    Result<std::optional<Moment>> reach(Base const& base) const {
        auto plan = plan_from(base);
        bool latest = target_.kind == Kind::latest;
        bool there = plan.reach.end > base.end;
        if (!there && !plan.reach.gap && latest) return std::optional<Moment>();
        auto missing = [&] {
            return fail(ErrorKind::damaged,
                        fmt::format("the log of '{}' is missing from {} to {}: {} can't be reached", printable(dataset_),
                                    to_text(plan.reach.end), to_text(plan.reach.beyond), to_text(target_)),
                        fmt::format("the last moment that can: {}@lsn:{}", dataset_, to_text(plan.reach.end)));
        };
        Moment moment{.point = {{}, base.info, {}}, .log = {}, .time = base.info.point.time};
        if (!there) {
            if (plan.reach.gap) return missing();
            // The newest point before that time: nothing is known of what came behind it.
            if (target_.kind == Kind::time) return std::optional<Moment>();
            if (target_.lsn > base.end)
                return fail(ErrorKind::not_found, fmt::format("the repository has no log of '{}' behind {}", printable(dataset_), to_text(base.end)));
            return std::optional(std::move(moment));
        }
        auto known = TRY(known_time(plan));
        // While a receiver catches up, its log says less than the commits in it.
        bool catching_up = latest || (target_.kind == Kind::time && target_.time > known);
        if (auto commit = catching_up ? postgres::last_commit(repository_, plan, stop_) : std::nullopt)
            known = std::max(known, *commit);
        moment.time = known;
        if (latest && plan.reach.gap) return missing();
        if (target_.kind == Kind::time) {
            bool beyond = target_.time > known;
            if (beyond && plan.reach.gap) return missing();
            if (beyond) return fail(ErrorKind::not_found, fmt::format("{} is beyond the log: {}", to_text(target_), how_far(plan, known)),
                                    fmt::format("the last moment that can be reached: {}@latest", dataset_));
            moment.time = target_.time;
        }
        if (target_.kind == Kind::lsn && target_.lsn > plan.reach.end) {
            if (plan.reach.gap) return missing();
            return fail(ErrorKind::not_found, fmt::format("{} is beyond the log: {}", to_text(target_), how_far(plan, known)),
                        fmt::format("the last moment that can be reached: {}@latest", dataset_));
        }
        moment.log = std::move(plan);
        return std::optional(std::move(moment));
    }

    // Transactions and restore points are found by reading: from each base backup to the next, newest first.
    Result<std::optional<Moment>> search(std::vector<Base> const& candidates) const {
        std::optional<Lsn> until;
        std::optional<Error> failed;
        for (auto const& base : candidates) {
            auto plan = plan_from(base);
            auto whole = plan;
            if (until && *until < plan.reach.end) {
                plan.reach.end = *until;
                while (plan.reach.part > plan.part && plan.course[plan.reach.part].begin >= *until) --plan.reach.part;
            }
            until = base.end;
            if (plan.reach.end <= base.end) continue;
            auto found = postgres::search_log(repository_, plan, stop_);
            if (!found && found.error().kind != ErrorKind::damaged) return fail(std::move(found).error());
            if (!found && !failed) failed = std::move(found).error();
            if (!found || !found->reached) continue;
            Moment moment{.point = {{}, base.info, {}}, .log = std::move(whole), .time = base.info.point.time};
            if (found->last_commit) moment.time = *found->last_commit;
            return std::optional(std::move(moment));
        }
        if (failed) return fail(std::move(*failed));
        return fail(ErrorKind::not_found, fmt::format("the log of '{}' holds no {} behind a base backup", printable(dataset_), to_text(target_)));
    }

    Repository& repository_;
    std::string const dataset_;
    MomentOptions const& options_;
    std::stop_token stop_;
    std::vector<Base> bases_;  // oldest first
    std::vector<DamagedPoint> damaged_;
    WalLog log_;
    RecoveryTarget target_;
    std::vector<postgres::LogPart> course_;
    std::map<std::uint32_t, Bytes> histories_;
};

// Ids, NAME~2: a point.
bool means_a_point(std::string_view text, PointReference const& point) {
    return text.find('@') == std::string_view::npos && text != point.info.point.dataset;
}

}  // namespace

Result<Moment> find_moment(Workspace& workspace, std::string_view text, MomentOptions const& options,
                           std::stop_token stop) {
    auto asked = TRY(parse_moment(text).within(fmt::format("'{}'", printable(text))));
    bool needs_log = asked && asked->target.kind != Kind::latest && asked->target.kind != Kind::time;
    auto by_point = needs_log ? asked->dataset + "@latest" : std::string(text);
    auto point = TRY(find_point(workspace, options.point.empty() ? by_point : options.point, {}, stop));
    Moment moment{.point = point, .log = {}, .time = point.info.point.time};
    bool plain = point.info.point.kind != "postgres" || means_a_point(text, point);
    if (plain && needs_log)
        return fail(ErrorKind::usage, fmt::format("'{}': only a PostgreSQL cluster has a log", printable(text)));
    if (plain) return moment;

    auto* repository = TRY(workspace.repository(point.repository, Role::reader, stop));
    Finder finder(*repository, point.info.point.dataset, options, stop);
    bool has_log = TRY(finder.open());
    if (!has_log && needs_log)
        return fail(ErrorKind::not_found, fmt::format("the repository has no log of '{}'", printable(point.info.point.dataset)),
                    "holdfast wal receive brings it from now on");
    if (!has_log) return moment;
    auto found = TRY(finder.find(asked ? asked->target : RecoveryTarget{}));
    if (!found) return moment;
    found->point.repository = point.repository;
    if (options.point.empty())
        found->point.newer_damaged = find_newer_damaged(*repository, finder.damaged(), found->point.info,
                                                        asked && asked->target.kind == Kind::time
                                                            ? std::optional(asked->target.time) : std::nullopt);
    return std::move(*found);
}

Result<std::vector<Moment>> find_stretches(Workspace& workspace, std::string const& dataset, MomentOptions const& options,
                                           std::stop_token stop) {
    auto point = TRY(find_point(workspace, dataset + "@latest", {}, stop));
    if (point.info.point.kind != "postgres")
        return fail(ErrorKind::usage, fmt::format("'{}' is no PostgreSQL cluster", printable(dataset)));
    auto* repository = TRY(workspace.repository(point.repository, Role::reader, stop));
    Finder finder(*repository, point.info.point.dataset, options, stop);
    bool has_log = TRY(finder.open());
    auto found = TRY(finder.stretches(has_log));
    for (auto& moment : found) moment.point.repository = point.repository;
    if (found.empty())
        return fail(ErrorKind::not_found, fmt::format("'{}' has no base backup on this timeline", printable(dataset)),
                    "holdfast wal list " + dataset + " shows its timelines");
    return found;
}

}  // namespace holdfast
