#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"
#include "runbook/step.h"

namespace holdfast::runbook {

// The kinds of steps that this program can run.
class StepRegistry {
  public:
    using Factory = std::function<std::unique_ptr<Step>()>;

    // Adds a kind, once. What the factory captures must outlive every run.
    void add(std::string kind, Factory factory);
    bool knows(std::string_view kind) const;
    // Null for a kind that is not known. Thread-safe.
    std::unique_ptr<Step> make(std::string_view kind) const;
    // Sorted.
    std::vector<std::string> kinds() const;

    // Names every step whose kind cannot be run: `partial` (exit 3) when the plan knows all of
    // those kinds and only this version lacks them, else `usage` with the nearest known kind.
    Result<void> check(plan::Runbook const& runbook) const;

  private:
    std::map<std::string, Factory, std::less<>> factories_;
};

}  // namespace holdfast::runbook
