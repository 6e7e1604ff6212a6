#pragma once

#include <optional>

#include "formats/pg_lsn.h"
#include "repo/point.h"

namespace holdfast {

// What a point of kind "postgres" says of the log that it needs.
struct BaseBackup {
    std::uint64_t system = 0;
    std::uint32_t timeline = 0;
    Lsn start, end;  // lsn_start, lsn
    std::uint64_t segment_bytes = 0;
};
// nullopt when it is no base backup, or does not say all of that.
std::optional<BaseBackup> base_backup_of(RecoveryPoint const& point);

}  // namespace holdfast
