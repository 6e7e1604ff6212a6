#include "guard/objective_duty.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "datasets/ladder.h"

namespace holdfast::guard {
namespace {

constexpr double kWarnedAt = 0.8;
// A receiver has so long to say how far its log is.
constexpr Duration kFirstWord = std::chrono::minutes(1);

class ObjectiveDuty : public Duty {
  public:
    ObjectiveDuty(Workspace& workspace, Duration every, StreamedLogs const& logs)
        : workspace_(workspace), every_(every), logs_(logs), began_(workspace.clock().elapsed()) {}

    std::string name() const override { return "recovery point objectives"; }
    Duration every() const override { return every_; }
    std::optional<Time> last() override { return {}; }

    Result<Outcome> run(Tell const&, std::stop_token stop) override {
        auto const* plan = TRY(workspace_.plan());
        auto all = TRY(standings(workspace_, stop));
        auto now = workspace_.clock().now();
        std::vector<std::string> late;
        for (auto const& standing : all) {
            // Others in the repository are not this plan's.
            if (!standing.objective || plan->datasets.find(standing.dataset) == nullptr) continue;
            if (!standing.stored.time) {
                late.push_back(fmt::format("'{}' has no point at all", printable(standing.dataset)));
                continue;
            }
            auto newest = *standing.stored.time;
            std::string what = "newest point";
            if (auto found = logs_.find(standing.dataset); found != logs_.end() && !found->second->base_is_wanted()) {
                auto complete = found->second->complete_until();
                if (!complete && workspace_.clock().elapsed() - began_ < kFirstWord) continue;
                if (complete && *complete > newest) {
                    newest = *complete;
                    what = "end of the log";
                }
            }
            auto age = now - newest;
            if (std::chrono::duration<double>(age) >= std::chrono::duration<double>(*standing.objective) * kWarnedAt) {
                late.push_back(fmt::format("the {} of '{}' is {} old, {} is allowed", what, printable(standing.dataset),
                                           format_duration(age), format_duration(*standing.objective)));
            }
        }
        return Outcome{{}, join(late, "; ")};
    }

  private:
    Workspace& workspace_;
    Duration every_;
    StreamedLogs const& logs_;
    Duration const began_;
};

}  // namespace

std::unique_ptr<Duty> make_objective_duty(Workspace& workspace, Duration every, StreamedLogs const& logs) {
    return std::make_unique<ObjectiveDuty>(workspace, every, logs);
}

}  // namespace holdfast::guard
