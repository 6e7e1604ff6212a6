#pragma once

#include "archive/source.h"
#include "datasets/point_reference.h"
#include "datasets/run_record.h"
#include "sources/postgres/recovery_log.h"

namespace holdfast {

struct RestorePointOptions {
    std::string path;  // inside the point; "" all of it
    std::filesystem::path target;
    RestoreOptions restore;
    std::map<std::string, std::string> tablespaces;
    // Validate what lies at the target afterwards (formats, checksums).
    bool validate = true;
    // PostgreSQL: the log that brings the point to another moment (moment.h).
    std::optional<postgres::LogPlan> log = {};
};

struct RestoredPoint {
    RestoreResult result;
    std::vector<Finding> findings;
    bool verified = false;  // nothing damaged, no problems, validation found nothing wrong
    Duration took{};
    std::optional<postgres::PlacedLog> log = {};  // that was brought with it
};

// Brings a point back. Notes rung `restored` in the catalog when all of it came back whole; needs no
// catalog (`warn` hears when it is not there).
Result<RestoredPoint> restore_point(Workspace& workspace, PointReference const& point,
                                    RestorePointOptions const& options, ProgressCallback const& progress,
                                    Warn const& warn,
                                    std::stop_token stop);

struct ComparePointOptions {
    bool special_bits = true;  // whether it was restored with setuid, setgid and capabilities of files
    std::map<std::string, std::string> tablespaces = {};  // as it was restored: see RestorePointOptions
    bool with_log = false;  // it was restored with log behind it: pg_wal and the settings are not the point's
};

// Compares a restored tree with the point, byte for byte and with its metadata: the differences that
// count, at most 1,000 of them. For postgres the cluster must not have been started; its tablespaces are
// compared where they lie now, what a restore leaves out or makes anew on purpose is passed over
// (standby.signal, recovery.signal, links of tablespaces and their map), and so are times, which mean
// nothing to a database, and owners unless this is root.
Result<std::vector<std::string>> compare_with_point(Workspace& workspace, PointReference const& point,
                                                    std::filesystem::path const& target,
                                                    ComparePointOptions const& options, std::stop_token stop);

}  // namespace holdfast
