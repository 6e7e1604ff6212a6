#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "formats/pg_lsn.h"

namespace holdfast {

// The file backup_label of a base backup: where recovery has to begin. PostgreSQL documentation,
// "Making a Base Backup Using the Low Level API", and read_backup_label() in xlogrecovery.c.
struct PgBackupLabel {
    Lsn start;                // redo point: recovery begins here
    std::string start_segment;
    Lsn checkpoint;
    std::string method;       // "streamed"
    bool from_standby = false;
    std::string start_time;   // as the server writes it, in its log_timezone
    std::string label;
    std::uint32_t timeline = 0;
};
// `damaged` unless start, checkpoint and timeline are there and well-formed; lines that are not known
// are passed over (PostgreSQL adds some with time).
Result<PgBackupLabel> parse_pg_backup_label(std::string_view text);

// The file tablespace_map: oid → location, one a line; newline, carriage return and backslash in a
// location are preceded by a backslash. `damaged` on malformed lines and repeated oids.
Result<std::map<std::uint32_t, std::string>> parse_pg_tablespace_map(std::string_view text);
std::string format_pg_tablespace_map(std::map<std::uint32_t, std::string> const& locations);

}  // namespace holdfast
