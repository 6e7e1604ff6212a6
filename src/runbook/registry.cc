#include "runbook/registry.h"

#include <cassert>
#include <fmt/format.h>

#include "base/text.h"
#include "plan/step_kinds.h"

namespace holdfast::runbook {

void StepRegistry::add(std::string kind, Factory factory) {
    [[maybe_unused]] bool added = factories_.emplace(std::move(kind), std::move(factory)).second;
    assert(added);
}

bool StepRegistry::knows(std::string_view kind) const {
    return factories_.contains(kind);
}

std::unique_ptr<Step> StepRegistry::make(std::string_view kind) const {
    auto found = factories_.find(kind);
    return found == factories_.end() ? nullptr : found->second();
}

std::vector<std::string> StepRegistry::kinds() const {
    std::vector<std::string> kinds;
    for (auto const& [kind, factory] : factories_)
        kinds.push_back(kind);
    return kinds;
}

Result<void> StepRegistry::check(plan::Runbook const& runbook) const {
    std::vector<std::string> missing;
    std::string unknown;
    for (auto const& step : runbook.steps) {
        if (knows(step.kind))
            continue;
        missing.push_back(fmt::format("'{}' ({})", step.name, step.kind));
        if (unknown.empty() && !plan::find_step_kind(step.kind))
            unknown = step.kind;
    }
    if (missing.empty())
        return {};
    auto list = join(missing, ", ");
    if (unknown.empty()) {
        return fail(ErrorKind::partial,
                    fmt::format("runbook '{}': this version cannot run {} yet", runbook.name, list),
                    "do these by hand: make them steps of kind `manual`");
    }
    auto near = nearest(unknown, kinds());
    return fail(ErrorKind::usage,
                fmt::format("runbook '{}': steps of unknown kinds: {}", runbook.name, list),
                near.empty() ? "`holdfast plan schema` lists the kinds"
                             : fmt::format("did you mean '{}'?", near));
}

}  // namespace holdfast::runbook
