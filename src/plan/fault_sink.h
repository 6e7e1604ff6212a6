#pragma once

#include <string>
#include <utility>
#include <vector>

#include "plan/load.h"

namespace holdfast::plan {

// Collects the faults of one plan file, and hands them out in the order of the file. A file of
// garbage has a bounded number of faults.
class FaultSink {
  public:
    explicit FaultSink(std::string file) : file_(std::move(file)) {}

    void error(Position at, std::string message, std::string hint = {}) {
        add(Severity::error, at, std::move(message), std::move(hint));
    }
    void warning(Position at, std::string message, std::string hint = {}) {
        add(Severity::warning, at, std::move(message), std::move(hint));
    }
    bool has_errors() const { return errors_ > 0; }
    std::vector<Fault> take() &&;

  private:
    static constexpr std::size_t kFaultsMax = 200;
    void add(Severity severity, Position at, std::string message, std::string hint);

    std::string file_;
    std::vector<Fault> faults_;
    std::size_t errors_ = 0, left_out_ = 0;
};

// "did you mean 'tier'?" when one of the names is near, else `otherwise`.
std::string did_you_mean(std::string_view word, std::vector<std::string> const& names,
                         std::string otherwise = {});
// The names in a sentence: "critical, standard or archive".
std::string any_of(std::vector<std::string> const& names);

}  // namespace holdfast::plan
