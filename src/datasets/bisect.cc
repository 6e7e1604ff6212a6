#include "datasets/bisect.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "datasets/bisect_between.h"
#include "datasets/moment_cluster.h"

namespace holdfast {
namespace {

using postgres::LogPlan;
using postgres::RecoveryTarget;

// Commits that are kept in memory; of more, every second, fourth, … one is kept, and the rest is read again when it counts.
constexpr std::size_t kCommitsMax = 1 << 17;

struct Commit {
    Lsn start;  // of its record
    Time time;
    std::uint32_t transaction = 0;
};
struct CommitSample {
    std::vector<Commit> commits;  // in the order of the log, the last one always among them
    std::size_t stride = 1;
    bool whole = false;  // the log was read as far as it was asked for
};

// The commits behind `after` up to the first record that begins at `until` or later, which counts.
Result<CommitSample> sample_commits(Repository& repository, LogPlan plan, Lsn after, Lsn until, std::stop_token stop) {
    CommitSample sample;
    std::size_t number = 0;
    std::optional<Commit> last;
    auto on_commit = [&](WalRecord const& record, WalTransactionEnd const& end) {
        if (record.start <= after) return;
        last = Commit{record.start, end.time, end.transaction};
        if (number++ % sample.stride != 0) return;
        sample.commits.push_back(*last);
        if (sample.commits.size() < kCommitsMax) return;
        for (std::size_t i = 0; i < kCommitsMax / 2; ++i) sample.commits[i] = sample.commits[2 * i];
        sample.commits.resize(kCommitsMax / 2);
        sample.stride *= 2;
    };
    plan.target = {.kind = RecoveryTarget::Kind::lsn, .time = {}, .lsn = until, .transaction = 0, .name = {}};
    auto found = TRY(postgres::search_log(repository, plan, stop, on_commit));
    sample.whole = found.reached;
    if (last && sample.commits.back().start != last->start) sample.commits.push_back(*last);
    return sample;
}

class Bisection {
  public:
    Bisection(Workspace& workspace, BisectOptions const& options, std::function<void(BisectProbe const&)> const& on_probe,
              ProgressCallback const& progress, Warn const& warn, std::stop_token stop)
        : workspace_(workspace), options_(options), on_probe_(on_probe), progress_(progress), warn_(warn), stop_(std::move(stop)),
          left_(std::max<std::size_t>(options.probes, 2)) {}

    Result<Bisected> run() {
        stretches_ = TRY(find_stretches(workspace_, options_.dataset, {.timeline = options_.timeline}, stop_));
        auto const& last = stretches_.back();
        if (last.log && last.log->reach.gap)
            warn_(fmt::format("the log of '{}' is missing from {} on: only what lies before is looked at", printable(options_.dataset),
                              to_text(last.log->reach.end)));
        TRY(look_at_the_ends());
        TRY(between_bases());
        if (done_.between.empty()) TRY(between_commits());
        done_.probes = used_;
        return std::move(done_);
    }

  private:
    // What a base backup alone brings back or, where log follows it, what that brings to where the backup ended.
    BisectState state_of_base(std::size_t i) const {
        auto const& moment = stretches_[i];
        return {.point = moment.point, .moment = moment.point.info.id.brief(), .time = moment.point.info.point.time,
                .lsn = moment.log ? moment.log->from : Lsn{}, .transaction = {}};
    }
    Result<bool> probe_base(std::size_t i) {
        auto moment = stretches_[i];
        if (moment.log) stay_at(*moment.log, moment.log->from);
        return probe(std::move(moment), state_of_base(i));
    }
    Result<bool> probe_commit(std::size_t base, Commit const& commit) {
        auto moment = stretches_[base];
        stay_at(*moment.log, commit.start);
        return probe(std::move(moment), state_of(base, commit));
    }
    Result<bool> probe_newest() {
        if (!stretches_.back().log) return probe_base(stretches_.size() - 1);
        auto moment = stretches_.back();
        moment.log->then = LogPlan::Then::stay;
        BisectState state{.point = moment.point, .moment = options_.dataset + "@latest", .time = moment.point.info.point.time,
                          .lsn = moment.log->reach.end, .transaction = {}};
        auto* repository = TRY(workspace_.repository(moment.point.repository, Role::reader, stop_));
        if (auto time = postgres::last_commit(*repository, *moment.log, stop_)) state.time = *time;
        return probe(std::move(moment), std::move(state));
    }
    BisectState state_of(std::size_t base, Commit const& commit) const {
        return {.point = stretches_[base].point, .moment = fmt::format("{}@lsn:{}", options_.dataset, to_text(commit.start)),
                .time = commit.time, .lsn = commit.start, .transaction = commit.transaction};
    }
    static void stay_at(LogPlan& plan, Lsn lsn) {
        plan.then = LogPlan::Then::stay;
        plan.target = {.kind = RecoveryTarget::Kind::lsn, .time = {}, .lsn = lsn, .transaction = 0, .name = {}};
    }

    Result<bool> probe(Moment moment, BisectState state) {
        auto begun = workspace_.clock().elapsed();
        auto what = state.moment;
        auto cluster = TRY(MomentCluster::start(workspace_, std::move(moment), {.scratch = options_.scratch}, progress_, warn_, stop_)
                               .within(fmt::format("look at {}", what)));
        auto answer = TRY(ask(cluster->cluster(), options_.check, stop_).within(fmt::format("at {}", what)));
        cluster.reset();
        BisectProbe probed{std::move(state), std::move(answer), ++used_, workspace_.clock().elapsed() - begun};
        if (on_probe_) on_probe_(probed);
        bool held = probed.answer.held;
        if (held) {
            done_.held = std::move(probed.state);
        } else {
            done_.failed = std::move(probed.state);
            done_.answer = std::move(probed.answer);
        }
        return held;
    }

    // The newest first: whoever mistyped the check learns it there.
    Result<void> look_at_the_ends() {
        bool log_at_end = stretches_.back().log.has_value();
        bool holds = TRY(probe_newest());
        --left_;
        if (holds)
            return fail(ErrorKind::not_found, fmt::format("the check holds at the newest moment of '{}', {}", printable(options_.dataset),
                                                          to_rfc3339(done_.held.time)),
                        "it did not cease to hold, or holds again");
        failed_ = log_at_end ? stretches_.size() : stretches_.size() - 1;
        bool only_one = failed_ == 0;
        if (!only_one) {
            holds = TRY(probe_base(0));
            --left_;
        }
        if (holds) return {};
        auto said = done_.answer.said.empty() ? "" : ": " + printable(done_.answer.said);
        return fail(ErrorKind::not_found, fmt::format("the check fails at the oldest moment of '{}' already, {}{}", printable(options_.dataset),
                                                      to_rfc3339(done_.failed.time), said),
                    "no moment is known at which it held; look at the check");
    }

    Result<void> between_bases() {
        auto found = TRY(bisect_between({held_, failed_}, left_, [this](std::size_t i) { return probe_base(i); }));
        held_ = found.held;
        failed_ = found.failed;
        if (!found.exact()) done_.between = used_up();
        else if (!stretches_[held_].log) done_.between = "the repository has no log between these base backups";
        return {};
    }

    Result<void> between_commits() {
        auto const& plan = *stretches_[held_].log;
        auto* repository = TRY(workspace_.repository(stretches_[held_].point.repository, Role::reader, stop_));
        bool to_the_end = failed_ == stretches_.size();
        // A record that begins where the backup ended is behind it.
        Lsn after{plan.from.value - 1};
        auto until = to_the_end ? plan.reach.end : end_of_base(failed_);
        for (;;) {
            auto sample = TRY(sample_commits(*repository, plan, after, until, stop_));
            auto const& commits = sample.commits;
            // The state with the last of them is known to fail, unless log is missing behind it.
            bool missing = !to_the_end && !sample.whole;
            if (commits.empty() && !missing) return fail(ErrorKind::check_failed, "the check gave two answers for the same data",
                                                         "it must depend on the data alone: not on the clock, or on chance");
            // Number 0 is what is known to hold, i the i-th commit, and one more what lies behind the missing log.
            Between known{0, commits.size() + (missing ? 1 : 0)};
            auto found = TRY(bisect_between(known, left_, [&](std::size_t i) { return probe_commit(held_, commits[i - 1]); }));
            if (found.held > 0) done_.held = state_of(held_, commits[found.held - 1]);
            if (found.failed <= commits.size()) done_.failed = state_of(held_, commits[found.failed - 1]);
            if (!found.exact()) {
                done_.between = used_up();
                return {};
            }
            if (found.failed > commits.size()) {
                done_.between = fmt::format("the log is missing from {} on", to_text(plan.reach.end));
                return {};
            }
            if (sample.stride == 1) return {};
            if (found.held > 0) after = commits[found.held - 1].start;
            until = commits[found.failed - 1].start;
            to_the_end = true;  // of this part, which is there
        }
    }

    Lsn end_of_base(std::size_t i) const {
        auto const& info = stretches_[i].point.info;
        auto found = info.point.attributes.find("lsn");
        return found == info.point.attributes.end() ? Lsn{} : parse_lsn(found->second).value_or(Lsn{});
    }
    std::string used_up() const { return fmt::format("all {} probes are used up", used_); }

    Workspace& workspace_;
    BisectOptions const& options_;
    std::function<void(BisectProbe const&)> const& on_probe_;
    ProgressCallback const& progress_;
    Warn const& warn_;
    std::stop_token stop_;
    std::size_t left_;  // probes
    std::size_t used_ = 0;
    std::vector<Moment> stretches_;
    // Of stretches: at the base of the first the check holds, at that of the second (or the log's end) it does not.
    std::size_t held_ = 0, failed_ = 0;
    Bisected done_;
};

}  // namespace

Result<Bisected> bisect(Workspace& workspace, BisectOptions const& options, std::function<void(BisectProbe const&)> const& on_probe,
                        ProgressCallback const& progress, Warn const& warn, std::stop_token stop) {
    return Bisection(workspace, options, on_probe, progress, warn, std::move(stop)).run();
}

}  // namespace holdfast
