#include "steps/stand_in.h"

namespace holdfast::steps {

Result<void> tell_stand_in(PointReference const& point, StepWorld const& world, runbook::StepContext& context) {
    auto const warnings = stand_in_warnings(point);
    if (warnings.empty()) return {};
    warn_of_stand_in(point, world.warn);
    runbook::Value::List lines;
    for (auto const& warning : warnings) lines.push_back(runbook::Value(warning));
    return context.record_effect(kStandIn, runbook::Value(std::move(lines)));
}

}  // namespace holdfast::steps
