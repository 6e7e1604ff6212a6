#include "guard/back_up_duty.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "datasets/back_up.h"
#include "datasets/self.h"

namespace holdfast::guard {
namespace {

constexpr auto kTurnLookedAtEvery = std::chrono::milliseconds(200);

// What people have to know of a point that was made.
std::string concern_of(BackedUp const& done, std::vector<std::string> const& warnings) {
    std::vector<std::string> parts;
    if (done.problem_count > 0) {
        auto first = done.problems.empty() ? std::string()
                                           : fmt::format(", first {}: {}", printable(done.problems[0].path),
                                                         done.problems[0].message);
        parts.push_back(fmt::format("{} things could not be read{}", done.problem_count, first));
    }
    for (auto const& finding : done.findings) {
        if (finding.verdict == Finding::Verdict::damaged || finding.verdict == Finding::Verdict::suspicious)
            parts.push_back(fmt::format("{} is {}", printable(finding.object), name(finding.verdict)));
    }
    if (done.suspicion) parts.push_back("the point is suspect: " + done.suspicion->reason);
    parts.insert(parts.end(), warnings.begin(), warnings.end());
    return join(parts, "; ");
}

class BackUpDuty : public Duty {
  public:
    BackUpDuty(Workspace& workspace, plan::Dataset dataset, std::string repository, Duration every, BackUpTurn& turn,
               StreamedLog* log, WantedPoints* wanted)
        : workspace_(workspace), dataset_(std::move(dataset)), repository_(std::move(repository)), every_(every),
          turn_(turn), log_(log), wanted_(wanted) {}

    std::string name() const override {
        return fmt::format("backup of '{}' in '{}'", printable(dataset_.name), printable(repository_));
    }
    Duration every() const override { return every_; }

    // The repository knows best: whoever made the newest point, it counts from there.
    std::optional<Time> last() override {
        auto repository = workspace_.repository(repository_, {}, {});
        if (!repository) return {};
        auto found = (*repository)->points_of(dataset_.name, {});
        if (!found || found->points.empty()) return {};
        return found->points.back().point.time;
    }

    bool asked_for() const override { return (log_ && log_->base_is_wanted()) || (wanted_ && wanted_->wanted() > answered_); }

    Result<Outcome> run(Tell const&, std::stop_token stop) override {
        std::unique_lock turn(turn_.mutex, std::defer_lock);
        while (!turn.try_lock_for(kTurnLookedAtEvery)) {
            if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        }
        std::vector<std::string> warnings;
        auto warn = [&](std::string const& text) { warnings.push_back(text); };
        auto begun = log_ ? log_->base_begins() : 0;
        auto answers = wanted_ ? wanted_->wanted() : 0;
        auto done = TRY(back_up(workspace_, dataset_, repository_, {}, warn, stop));
        if (log_) log_->base_is_made(begun);
        answered_ = answers;
        if (auto kept = store_self(workspace_, repository_, stop); !kept)
            warnings.push_back("plan and catalog could not be stored for `rescue`: " + kept.error().message);
        auto const& point = done.point.point;
        return Outcome{fmt::format("point {}: {} files, {}, {} new, in {}", done.point.id.brief(), point.files,
                                   format_bytes(point.bytes), format_bytes(point.stored), format_duration(done.took)),
                       concern_of(done, warnings)};
    }

  private:
    Workspace& workspace_;
    plan::Dataset dataset_;
    std::string repository_;
    Duration every_;
    BackUpTurn& turn_;
    StreamedLog* const log_;
    WantedPoints* const wanted_;
    std::atomic<std::uint64_t> answered_ = 0;
};

}  // namespace

std::unique_ptr<Duty> make_back_up_duty(Workspace& workspace, plan::Dataset dataset, std::string repository, Duration every,
                                        BackUpTurn& turn, StreamedLog* log, WantedPoints* wanted) {
    return std::make_unique<BackUpDuty>(workspace, std::move(dataset), std::move(repository), every, turn, log, wanted);
}

}  // namespace holdfast::guard
