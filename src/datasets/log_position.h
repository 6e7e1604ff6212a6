#pragma once

#include "datasets/workspace.h"

namespace holdfast {

// Up to when a cluster's log is whole, kept in the state for whoever asks in another process: only its receiver knows of a
// server that has nothing to say. Best effort: without it, the log counts as far as its last object says.
class KeptLogPosition {
  public:
    KeptLogPosition(Workspace const& workspace, Repository const& repository, std::string_view dataset);
    // All that the server had written by `complete` is durable. Written every ten seconds at most.
    void hear(Time complete);

  private:
    std::string path_;
    Clock& clock_;
    std::optional<Duration> kept_;
};

// Up to which moment the log that goes on from a base backup is known to be stored, without a gap. nullopt when no log goes
// on from it, a part is missing, or a later timeline may have left the base backup's before it ended. Goes by names, and
// reads the head of the last object. Any key will do.
Result<std::optional<Time>> log_complete_until(Workspace const& workspace, Repository& repository, RecoveryPoint const& base,
                                               std::stop_token stop);

}  // namespace holdfast
