#include "guard/watch_duty.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "datasets/source_factory.h"
#include "os/tree_watch.h"
#include "sources/models/checkpoint_watch.h"

namespace holdfast::guard {
namespace {

// A watch that ended with an error (its directory is on a disk that is not there) is begun again after this at the latest.
constexpr Duration kWatchAgainMax = std::chrono::minutes(1);
// Looked at although nothing was heard: of what other machines do to a network file system there are no events.
constexpr Duration kLookedAtEvery = std::chrono::minutes(1);
// A training that writes thousands of files is looked at so often, and never for more than a tenth of the time.
constexpr Duration kLookPause = std::chrono::milliseconds(200);
constexpr int kLookShare = 10;

class WatchDuty : public Duty {
  public:
    WatchDuty(Workspace& workspace, plan::Dataset dataset, WantedPoints& wanted)
        : workspace_(workspace), dataset_(std::move(dataset)), wanted_(wanted), made_(workspace.clock().now()) {}

    std::string name() const override { return fmt::format("watch of '{}'", printable(dataset_.name)); }
    Duration every() const override { return kWatchAgainMax; }
    std::optional<Time> last() override { return {}; }

    Result<Outcome> run(Tell const& tell, std::stop_token stop) override {
        auto const options = models_options(dataset_);
        PathFilter const filter(options.exclude);
        // Before the first look: what comes in between is heard.
        auto tree = TRY(TreeWatch::open(options.paths, [&](std::string const& directory) { return filter.excludes(directory); }));
        auto captured = TRY(last_capture(stop));
        CheckpointWatch checkpoints(options, captured);
        // What was wrong is over.
        tell({.text = fmt::format("watches {}", printable(join(options.paths, ", ")))});
        auto& clock = workspace_.clock();
        while (!stop.stop_requested()) {
            auto const begun = clock.elapsed();
            auto look = checkpoints.look(clock.now());
            if (!look.come.empty()) {
                wanted_.want();
                auto const more = look.come.size() > 1 ? fmt::format(" (and {} more)", look.come.size() - 1) : "";
                tell({.text = fmt::format("'{}' is all there{}", printable(look.come.front()), more)});
            }
            if (!clock.sleep(std::max(kLookPause, kLookShare * (clock.elapsed() - begun)), stop)) break;
            TRY(hear(tree, std::min(look.again_in.value_or(kLookedAtEvery), kLookedAtEvery), stop));
        }
        // It ends well only when it is stopped: what is wrong still is.
        return fail(ErrorKind::cancelled, "stopped");
    }

  private:
    static Result<void> hear(TreeWatch& tree, Duration at_most, std::stop_token stop) {
        auto changed = tree.wait(at_most, stop);
        if (!changed) return fail(std::move(changed.error()));
        return {};
    }

    // When the oldest of the repositories' newest points began. A first one is due anyway, and does not begin before the guard.
    Result<Time> last_capture(std::stop_token stop) {
        auto oldest = made_;
        for (auto const& name : TRY(workspace_.targets(dataset_))) {
            auto* repository = TRY(workspace_.repository(name, Role::writer, stop));
            auto found = TRY(repository->points_of(dataset_.name, stop));
            if (!found.points.empty()) oldest = std::min(oldest, found.points.back().point.started);
        }
        return oldest;
    }

    Workspace& workspace_;
    plan::Dataset dataset_;
    WantedPoints& wanted_;
    Time const made_;
};

}  // namespace

std::unique_ptr<Duty> make_watch_duty(Workspace& workspace, plan::Dataset dataset, WantedPoints& wanted) {
    return std::make_unique<WatchDuty>(workspace, std::move(dataset), wanted);
}

}  // namespace holdfast::guard
