#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/time.h"

namespace holdfast::guard {

// What the duties of a dataset whose log is streamed tell each other. Thread-safe.
class StreamedLog {
  public:
    // The receiver: the log can't be followed from the base backups that there are; one is needed that begins now or later.
    void want_base() {
        std::lock_guard lock(mutex_);
        ++wanted_;
    }
    bool base_is_wanted() const {
        std::lock_guard lock(mutex_);
        return wanted_ > made_;
    }
    // The base backups: what has been wanted when one begins, and that it is whole.
    std::uint64_t base_begins() const {
        std::lock_guard lock(mutex_);
        return wanted_;
    }
    void base_is_made(std::uint64_t begun) {
        std::lock_guard lock(mutex_);
        made_ = std::max(made_, begun);
    }

    // All that the server had written by `time` is durable.
    void complete(Time time) {
        std::lock_guard lock(mutex_);
        complete_ = time;
    }
    // nullopt: nothing was heard since the guard began.
    std::optional<Time> complete_until() const {
        std::lock_guard lock(mutex_);
        return complete_;
    }

  private:
    mutable std::mutex mutex_;
    std::uint64_t wanted_ = 0, made_ = 0;
    std::optional<Time> complete_;
};

// By the dataset's name.
using StreamedLogs = std::map<std::string, std::unique_ptr<StreamedLog>>;

}  // namespace holdfast::guard
