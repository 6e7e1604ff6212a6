#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "archive/progress.h"
#include "formats/pg_wal_record.h"
#include "repo/repository.h"
#include "sources/postgres/log_course.h"

namespace holdfast::postgres {

// Where a recovery ends.
struct RecoveryTarget {
    enum class Kind {
        latest,       // with the log
        time,         // before the first transaction that ended later, by the server's clock
        lsn,          // behind the first record that begins there or later
        transaction,  // behind the end of that transaction
        name,         // behind the restore point of that name
    };
    Kind kind = Kind::latest;
    Time time = {};
    Lsn lsn = {};
    std::uint32_t transaction = 0;
    std::string name = {};
};
// "the end of the log", "2026-11-27T10:00:00Z", "lsn:16/B374D848", "xid:725", "name:before lunch"
std::string to_text(RecoveryTarget const& target);

// Which log brings a base backup to its target.
struct LogPlan {
    WalLog log;
    std::vector<LogPart> course;
    std::size_t part = 0;  // of the course: where the backup was made
    Lsn from;              // where the backup ended
    LogReach reach;
    std::uint32_t segment_bytes = 0;
    RecoveryTarget target;
    // What the cluster does there: it opens for writing on a new timeline, or stays as it is and can only be read.
    enum class Then { promote, stay } then = Then::promote;
    // History files of all timelines that are known: the promoted cluster takes a number that none of them has.
    std::map<std::uint32_t, Bytes> histories;

    std::uint64_t bytes() const { return reach.end.value - from.value / segment_bytes * segment_bytes; }
};

// What recovery will find in the log that is there.
struct LogFindings {
    bool reached = false;            // the target; never so for `latest`
    Lsn end;                         // of the last whole record that was looked at
    std::optional<Time> last_commit; // before the target, or the end
};
// Is told of each transaction that committed behind the backup and not behind the target, in the order of the log.
using OnCommit = std::function<void(WalRecord const& record, WalTransactionEnd const& end)>;
// Reads the log from the backup on until the target is found, or to its end, and checks every record. `damaged`
// names the last position that can be reached.
Result<LogFindings> search_log(Repository& repository, LogPlan const& plan, std::stop_token stop, OnCommit const& on_commit = {});

// The last transaction that committed in the last MiBs of the log, for messages.
std::optional<Time> last_commit(Repository& repository, LogPlan const& plan, std::stop_token stop);

struct PlacedLog {
    LogFindings found;
    std::uint64_t segments = 0;
    std::uint64_t bytes = 0;
};
// Brings the log into a restored data directory, which must not be startable yet, and tells PostgreSQL what to recover
// to: segments and history files into pg_wal, settings into postgresql.auto.conf, recovery.signal (standby.signal, when it shall stay). The last segment is
// filled up with zeros. Everything is durable when it returns. It may be repeated. `damaged` as search_log();
// not_found when the target is not in the log; no_space.
Result<PlacedLog> place_log(Repository& repository, LogPlan const& plan, std::filesystem::path const& data,
                            ProgressCallback const& progress, std::stop_token stop);

}  // namespace holdfast::postgres
