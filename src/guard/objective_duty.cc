#include "guard/objective_duty.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "datasets/ladder.h"

namespace holdfast::guard {
namespace {

constexpr double kWarnedAt = 0.8;

class ObjectiveDuty : public Duty {
  public:
    ObjectiveDuty(Workspace& workspace, Duration every) : workspace_(workspace), every_(every) {}

    std::string name() const override { return "recovery point objectives"; }
    Duration every() const override { return every_; }
    std::optional<Time> last() override { return {}; }

    Result<Outcome> run(std::stop_token stop) override {
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
            auto age = now - *standing.stored.time;
            if (std::chrono::duration<double>(age) >= std::chrono::duration<double>(*standing.objective) * kWarnedAt) {
                late.push_back(fmt::format("the newest point of '{}' is {} old, {} is allowed", printable(standing.dataset),
                                           format_duration(age), format_duration(*standing.objective)));
            }
        }
        return Outcome{{}, join(late, "; ")};
    }

  private:
    Workspace& workspace_;
    Duration every_;
};

}  // namespace

std::unique_ptr<Duty> make_objective_duty(Workspace& workspace, Duration every) {
    return std::make_unique<ObjectiveDuty>(workspace, every);
}

}  // namespace holdfast::guard
