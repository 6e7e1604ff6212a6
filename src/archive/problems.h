#pragma once

#include <mutex>
#include <vector>

#include "archive/progress.h"

namespace holdfast {

// Collects what went wrong while the rest goes on: counts all, keeps the first thousand. Thread-safe.
class ProblemList {
  public:
    static constexpr std::size_t kKept = 1000;

    void add(std::string path, std::string message) {
        std::lock_guard lock(mutex_);
        ++count_;
        if (kept_.size() < kKept) kept_.push_back({std::move(path), std::move(message)});
    }
    std::uint64_t count() const {
        std::lock_guard lock(mutex_);
        return count_;
    }
    std::vector<Problem> take() {
        std::lock_guard lock(mutex_);
        return std::move(kept_);
    }

  private:
    mutable std::mutex mutex_;
    std::vector<Problem> kept_;
    std::uint64_t count_ = 0;
};

}  // namespace holdfast
