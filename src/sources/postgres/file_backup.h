#pragma once

#include <functional>
#include <optional>
#include <string>

#include "os/clock.h"
#include "os/fd.h"
#include "sources/postgres/backup_writer.h"
#include "sources/postgres/cluster_files.h"
#include "sources/postgres/connection.h"

namespace holdfast::postgres {

// Where the cluster is, as its server says, and who asks.
struct FileBackupPlace {
    std::string conninfo;
    std::string data_directory;
    std::string slot;  // a replication slot of ours with a name that nobody else has
    std::uint32_t timeline = 0;
    std::uint32_t wal_segment_bytes = 0;
};

// A base backup of which we read the files ourselves, between pg_backup_start() and pg_backup_stop(), as PostgreSQL's
// documentation has it ("Making a Base Backup Using the Low Level API"): the server sends nothing, and nothing is copied
// through a connection. docs/decisions/0047-files-are-read-here.md says why this is the same backup.
class FileBackup {
  public:
    // Nothing when the backup has to come through the connection: the server is older than 15, a standby, or somewhere
    // else; its files can't be read, or the role may not begin a backup. `replication` is a connection to it.
    static Result<std::optional<FileBackup>> open(FileBackupPlace const& place, Connection const& replication,
                                                  std::stop_token stop);

    // Runs it to its end. `still_there` is called every few seconds. After an error the server ends its backup when
    // the connection goes.
    Result<BackupEnd> run(std::string const& label, BackupWriter& writer, Clock& clock,
                          std::function<Result<void>()> const& still_there, std::stop_token stop);

  private:
    FileBackup(FileBackupPlace place, Connection connection, Fd directory)
        : place_(std::move(place)), connection_(std::move(connection)), directory_(std::move(directory)) {}
    Result<std::vector<Tablespace>> tablespaces(std::stop_token stop);
    Result<void> read_tablespaces(std::vector<Tablespace> const& tablespaces, BackupWriter& writer,
                                  VisitClusterFile const& visit, std::stop_token stop);
    Result<void> add_log(BackupStart const& start, BackupEnd const& end, VisitClusterFile const& visit);

    FileBackupPlace place_;
    Connection connection_;
    Fd directory_;
};

}  // namespace holdfast::postgres
