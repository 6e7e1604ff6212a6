#pragma once

#include "archive/source.h"

namespace holdfast::postgres {

struct CaptureOptions {
    // The log is streamed, too: its replication slot is made first when it is missing, so that the log goes on
    // from this backup whenever its receiver begins.
    bool keep_log = false;
};

// Takes a base backup of the cluster that `conninfo` leads to, straight into the repository, with the
// log that makes it consistent. Needs a role with REPLICATION, one free wal sender and one free
// replication slot (temporary: it is gone with the connection, however that ends). On the cluster's own host,
// where the role may, we read the files ourselves (file_backup.h); else the server sends them.
//
// The point's time is the moment, by our clock, at which the last file before the backup's stop came
// in: what was committed before it is in the point (apart from what clocks of two machines differ).
// The server's own time can't be asked on a replication connection.
//
// Attributes of the point: system_identifier, timeline, lsn_start, lsn (the stop: where the restored
// cluster becomes consistent), server_version, wal_segment_bytes, checksums ("on", "off"), connection,
// read ("files", "connection"), unread (bytes of files that are
// still what the last backup read), from_standby ("yes", "no"), data_directory_mode, and tablespace.<oid> = location for each.
//
// `unsafe` when earlier points of the dataset are of another system (exit 10), or a repository lies
// inside the cluster. Pages that fail their checksum are problems; the backup goes on.
Result<Capture> capture_base_backup(std::string const& conninfo, CaptureOptions const& options,
                                    CaptureContext const& context);

}  // namespace holdfast::postgres
