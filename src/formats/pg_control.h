#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "formats/pg_lsn.h"

namespace holdfast {

// What is needed of PostgreSQL's global/pg_control, versions 12 to 17 (formats 1201, 1300 and 1700:
// src/include/catalog/pg_control.h of each). All that is read here lies at the same offsets in the
// three, as compiled for 64-bit machines.
//
// | offset | field                                  | offset | field                         |
// |-------:|----------------------------------------|-------:|-------------------------------|
// |      0 | u64 system identifier                  |    172 | i32 wal_level                 |
// |      8 | u32 format                             |    180 | i32 max_connections           |
// |     12 | u32 catalog version                    |    184 | i32 max_worker_processes      |
// |     16 | u32 state                              |    188 | i32 max_wal_senders           |
// |     24 | i64 time of the last update, Unix      |    192 | i32 max_prepared_transactions |
// |     32 | u64 latest checkpoint                  |    196 | i32 max_locks_per_transaction |
// |     40 | u64 its redo point                     |    200 | u8  track_commit_timestamp    |
// |     48 | u32 its timeline                       |    216 | u32 block size                |
// |    136 | u64 minimum recovery point             |    220 | u32 blocks in a segment       |
// |    144 | u32 its timeline                       |    228 | u32 log segment size          |
// |    152 | u64 backup start                       |    252 | u32 checksum version, 0: none |
// |    168 | u8  backup end required                |    288 | u32 CRC-32C of 0 … 287        |
struct PgControl {
    enum class State : std::uint32_t {
        startup = 0,
        shut_down = 1,
        shut_down_in_recovery = 2,
        shutting_down = 3,
        crash_recovery = 4,
        archive_recovery = 5,
        production = 6,
    };
    std::uint64_t system_identifier = 0;
    std::uint32_t format = 0;
    std::uint32_t catalog_version = 0;
    State state = State::startup;
    std::int64_t time = 0;  // seconds since 1970, by the server's clock
    Lsn checkpoint;
    Lsn redo;
    std::uint32_t timeline = 0;
    Lsn minimum_recovery;   // 0: none
    Lsn backup_start;       // 0: not recovering from a backup
    std::uint32_t wal_level = 0;  // 0 minimal, 1 replica, 2 logical
    // A hot standby, and recovery of prepared transactions, need at least these.
    std::uint32_t max_connections = 0;
    std::uint32_t max_worker_processes = 0;
    std::uint32_t max_wal_senders = 0;
    std::uint32_t max_prepared_transactions = 0;
    std::uint32_t max_locks_per_transaction = 0;
    bool track_commit_timestamp = false;
    std::uint32_t segment_blocks = 0;   // blocks in one file of a relation: 131072
    std::uint32_t wal_segment_bytes = 0;
    std::uint32_t checksum_version = 0; // 0: pages carry no checksums

    bool checksums() const { return checksum_version != 0; }
};
std::string_view name(PgControl::State state);

// `damaged` when it is short, its CRC does not fit, or a number is out of range; `usage` for a format
// that is not known here, a machine of other byte order, or a block size other than 8 KiB.
Result<PgControl> parse_pg_control(ByteView bytes);

// The major version that a data directory's PG_VERSION states: "15\n". `damaged` on anything else.
Result<int> parse_pg_version_file(std::string_view text);

}  // namespace holdfast
