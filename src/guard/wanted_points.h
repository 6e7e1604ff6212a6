#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace holdfast::guard {

// Points of a dataset that are wanted before they are due. Thread-safe.
class WantedPoints {
  public:
    // One that begins now or later.
    void want() { ++wanted_; }
    // How many were wanted: a point answers those that were when it begins. Each repository's points do.
    std::uint64_t wanted() const { return wanted_; }

  private:
    std::atomic<std::uint64_t> wanted_ = 0;
};

// By the dataset's name.
using WantedPointsOf = std::map<std::string, std::unique_ptr<WantedPoints>>;

}  // namespace holdfast::guard
