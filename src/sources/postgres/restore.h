#pragma once

#include "archive/source.h"

namespace holdfast::postgres {

// Brings a point of a cluster back as a data directory that PostgreSQL starts from: it replays the log
// that belongs to the backup, becomes consistent and opens for writing; no recovery file is needed.
// With a path inside the point, only those files are brought, as they are.
//
// Refused as `unsafe` before anything is written: a target with a running server, a target or a place
// of a tablespace that is not empty (an interrupted restore of the same point goes on).
//
// Until it is finished the directory carries a mark and has no global/pg_control, so nothing starts
// from a half of it. standby.signal and recovery.signal are left out: a restored cluster never follows
// the primary of the one that was backed up. As root, owners are set by name (postgres); otherwise all
// belongs to the user. Modes of directories follow the cluster's own (0700 or 0750).
//
// `before_usable` is called when all files are back and nothing can start from them yet. What it adds belongs to the
// restore: when it fails, the directory stays unfinished.
using BeforeUsable = std::function<Result<void>(std::filesystem::path const& data)>;
Result<RestoreResult> restore_data_directory(RestoreContext const& context, BeforeUsable const& before_usable = {});

// Whether a whole data directory is of the point's cluster and, as long as it was not started, of its very backup.
Result<bool> holds_point(std::filesystem::path const& directory, RecoveryPoint const& point);

}  // namespace holdfast::postgres
