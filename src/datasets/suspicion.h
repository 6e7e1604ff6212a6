#pragma once

#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/repository.h"

namespace holdfast {

// A point that has it is suspect: why, for people.
inline constexpr char kSuspectAttribute[] = "suspect";

// Why a point that is about to be published is suspect.
struct Suspicion {
    std::string reason;
    bool fresh = true;  // off: the points before it were so already, and nobody has cleared them
    std::vector<PointId> clean;  // points before it that are not suspect, newest first: what must be kept
};

// Holds what the capture found to have changed (see archive/anomaly.h) against the dataset's last points. A
// suspicion stays with all later points until somebody removes the hold that it placed: an encrypted tree
// does not look odd any more once it stays encrypted. Nothing when there is no reason to doubt, or the kind
// of dataset does not tell its changes.
Result<std::optional<Suspicion>> find_suspicion(Repository& repository, RecoveryPoint const& point,
                                                std::stop_token stop);
// Keeps the clean points whatever the retention says. Before the suspect one is published: a crash in between
// leaves a hold too many, never one too few.
Result<void> hold_clean_points(Repository& repository, std::string_view dataset, Suspicion const& suspicion,
                               std::stop_token stop);

}  // namespace holdfast
