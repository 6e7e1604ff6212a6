#pragma once

#include <set>

#include "datasets/run_record.h"

namespace holdfast {

// Locks again what the dataset's newest point needs (`packs` and what names them), when a quarter of the time that
// the plan's `lock` gives has passed since the last time: so three quarters of it are left as long as backups
// run. Returns until when all of it is locked; nothing where the plan locks nothing, or where it is not known. A
// failure is a warning: the point stands.
std::optional<Time> keep_locked(Workspace& workspace, std::string_view repository_name, Repository& repository,
                                std::string_view dataset, std::set<PackId> const& packs, Warn const& warn,
                                std::stop_token stop);

// What people must hear of the plan's repositories with `lock`: locks that end soon because nobody backs up (or copies), and
// that ended. Repositories that do not answer are named.
std::vector<std::string> lock_alarms(Workspace& workspace, std::stop_token stop);

}  // namespace holdfast
