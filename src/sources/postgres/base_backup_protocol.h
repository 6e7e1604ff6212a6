#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "formats/pg_lsn.h"
#include "sources/postgres/connection.h"

namespace holdfast::postgres {

// The replication commands around a base backup: PostgreSQL documentation, "Streaming Replication
// Protocol", of each version. 15 is tested; 12 to 14, 16 and 17 are written from those documents.
//
// |                    | 12               | 13, 14                | 15, 16, 17                        |
// |--------------------|------------------|-----------------------|-----------------------------------|
// | options            | bare keywords    | bare keywords         | parenthesised list                |
// | archives           | one copy each    | one copy each         | one copy, messages `n` and `d`    |
// | manifest           | none             | one more copy         | message `m`, then `d`             |
// | progress           | by size          | by size               | message `p`                       |
// | end of archive     | client's matter  | client's matter       | two zero blocks                   |

struct Tablespace {
    std::uint32_t oid = 0;  // 0: the data directory itself
    std::string location;   // on the server; empty for the data directory
    std::uint64_t bytes = 0;  // estimated by the server when the backup begins
};

struct BackupStart {
    Lsn lsn;
    std::uint32_t timeline = 0;
    std::vector<Tablespace> tablespaces;
};
struct BackupEnd {
    Lsn lsn;
    std::uint32_t timeline = 0;
    // The server reported page checksum failures of its own (after everything was sent).
    bool checksum_failures = false;
};

struct BackupOptions {
    std::string label;
    bool fast_checkpoint = true;
};

std::string base_backup_command(int server_version, BackupOptions const& options);
// A temporary physical slot that keeps the log from now on until the connection ends.
std::string create_slot_command(int server_version, std::string const& slot);

struct SystemIdentity {
    std::uint64_t system_identifier = 0;
    std::uint32_t timeline = 0;
    Lsn position;
};
Result<SystemIdentity> identify_system(Connection& connection, std::stop_token stop);

// Receives a base backup as it passes. Archives come one after another; the manifest comes last.
class BackupHandler {
  public:
    virtual ~BackupHandler() = default;
    virtual Result<void> start(BackupStart const& start) = 0;
    virtual Result<void> archive_begin(Tablespace const& tablespace) = 0;
    virtual Result<void> archive_data(ByteView bytes) = 0;
    virtual Result<void> archive_end() = 0;
    virtual Result<void> manifest_data(ByteView bytes) = 0;
};

// Runs BASE_BACKUP to its end. `unreachable` when the server or the connection gives up, `damaged` when
// it sends what the protocol does not allow. A server that reports page checksum failures after all was
// sent is a success with `checksum_failures`.
Result<BackupEnd> run_base_backup(Connection& connection, BackupOptions const& options,
                                  BackupHandler& handler, std::stop_token stop);

}  // namespace holdfast::postgres
