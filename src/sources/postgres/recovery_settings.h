#pragma once

#include <string>
#include <string_view>

#include "sources/postgres/recovery_log.h"

namespace holdfast::postgres {

// What postgresql.auto.conf says of a recovery, in place of what an earlier one had left there. The log lies in
// pg_wal, so nothing is fetched: restore_command, which PostgreSQL wants, finds nothing. `to_the_end`: the target lies behind the
// last record that could stop at it.
std::string with_recovery_settings(std::string_view auto_conf, LogPlan const& plan, bool to_the_end);

// The command that finds nothing.
inline constexpr std::string_view kNoRestoreCommand = "false";

}  // namespace holdfast::postgres
