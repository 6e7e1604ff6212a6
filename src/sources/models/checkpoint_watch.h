#pragma once

#include <set>

#include "sources/models/checkpoint_sets.h"
#include "sources/models/models_source.h"

namespace holdfast {

// Which checkpoints have come and no capture was asked for yet.
class CheckpointWatch {
  public:
    struct Look {
        std::vector<std::string> come;  // directories of sets that are whole and have changed since the last look that named them
        // When another look may see more although nothing changes meanwhile: a set settles. Nothing when none does.
        std::optional<Duration> again_in;
    };

    // What did not change since `captured` is in a point, or will be: when the newest one of the dataset began.
    CheckpointWatch(ModelsOptions options, Time captured)
        : options_(std::move(options)), filter_(options_.exclude), captured_(captured) {}

    Look look(Time now);

  private:
    ModelsOptions options_;
    PathFilter filter_;
    Time captured_;
    std::optional<CheckpointSets> last_;
    std::set<std::string> owed_;  // directories of sets that changed and were not whole yet
};

}  // namespace holdfast
