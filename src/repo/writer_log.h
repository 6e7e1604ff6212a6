#pragma once

#include <map>
#include <tuple>
#include <vector>

#include "base/time.h"
#include "repo/envelope.h"
#include "repo/point.h"
#include "store/store.h"

namespace holdfast {

// Where a log ends, or ended when somebody looked: its last entry's number and the hash of that
// object.
struct LogHead {
    std::uint64_t n = 0;
    Hash32 hash{};
    bool operator==(LogHead const&) const = default;
};
using LogHeads = std::map<BundleId, LogHead>;

// That the log of `writer` had this entry: what shows a rollback when it is not true any more.
struct LogClaim {
    BundleId writer;
    LogHead head;
    auto operator<=>(LogClaim const& other) const {
        return std::tie(writer, head.n, head.hash) <=>
               std::tie(other.writer, other.head.n, other.head.hash);
    }
    bool operator==(LogClaim const&) const = default;
};

enum class LogAction : std::uint8_t {
    made,     // the point is acknowledged: it must be there until it is dropped
    dropped,  // by an admin: its absence is right
};

// An entry of a writer's own log: log/<writer>/<n, 12 digits>. Entries are numbered from 1 and each
// names the hash of the one before, so nothing can be taken out, put in or changed unseen; and each
// names where the other logs ended, so a store that shows an old state contradicts itself.
struct LogEntry {
    std::uint64_t n = 0;
    Hash32 previous{};  // SHA-256 of the object n - 1; zeros for the first
    LogAction action = LogAction::made;
    PointId point;
    DatasetTag dataset;
    Time point_time;  // with id and dataset: the point's key
    Time time;        // of writing, by the writer's clock
    LogHeads seen;    // the other writers' heads
    bool operator==(LogEntry const&) const = default;
};

inline constexpr std::string_view kLogPrefix = "log/";
std::string log_prefix(BundleId const& writer);  // "log/<writer>/"
std::string log_key(BundleId const& writer, std::uint64_t n);
Bytes seal_log_entry(LogEntry const& entry, KeyBundle const& keys, Random& random);
// Opens the object found under `key`: number and signer must be the key's.
Result<LogEntry> open_log_entry(std::string_view key, ByteView object, KeyBundle const& keys,
                                CertificateLookup const& certificates);

// A log as the store shows it.
struct WriterLog {
    struct Item {
        Hash32 hash{};                  // of the object, readable or not
        std::optional<LogEntry> entry;  // nothing: the object is damaged
        Roles roles = 0;                // of the writer
    };
    std::uint64_t last = 0;               // the highest number listed
    std::map<std::uint64_t, Item> items;  // those that were read
};

// All logs, or their ends.
struct Logs {
    std::map<BundleId, WriterLog> writers;
    std::vector<DamagedPoint> damaged;  // entries that are damaged, missing or do not follow

    // The last entry of each log that is what it should be: a damaged one is not worth remembering.
    LogHeads heads() const;
    // What shows that the store went back in time: for each head that is remembered, or that an
    // entry of another log saw, the log must still have that entry. With a sentence for people.
    // `witness` is who remembers, in that sentence.
    std::map<LogClaim, std::string> contradictions(LogHeads const& remembered,
                                                   std::string_view witness = "this machine") const;
};

// Reads the logs, each from the number in `since` on (that entry included; none: from the first),
// and checks every chain. `previous` is what an earlier call returned: its items are not read
// again. Damaged entries do not make it fail, a store that does not answer does.
Result<Logs> read_logs(Store& store, KeyBundle const& keys, CertificateLookup const& certificates,
                       LogHeads const& since, Logs const* previous, std::stop_token stop);

// Appends to `keys`' own log behind `logs` (what read_logs() returned). The put of a number that
// exists fails with `exists`: another process with this bundle was first; read again and repeat.
// Returns the new head.
struct LogNote {
    LogAction action = LogAction::made;
    PointId point;
    DatasetTag dataset;
    Time point_time;
    Time time;
};
Result<LogHead> append_to_log(Store& store, KeyBundle const& keys, Random& random, Logs const& logs,
                              LogNote const& note, std::stop_token stop);

}  // namespace holdfast
