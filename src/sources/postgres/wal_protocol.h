#pragma once

#include <optional>

#include "base/time.h"
#include "formats/pg_lsn.h"
#include "sources/postgres/connection.h"

namespace holdfast::postgres {

// Physical replication: PostgreSQL documentation, "Streaming Replication Protocol". Integers of its messages are
// big-endian, its times microseconds since 2000-01-01 UTC.

// What a server says of a slot or a log that is not there (documentation, appendix A, "PostgreSQL Error Codes").
inline constexpr std::string_view kUndefinedFile = "58P01", kUndefinedObject = "42704";

// `w`: a part of the log. `k`: the server is there, and may want an answer.
struct WalMessage {
    bool is_data = false;
    Lsn start;                  // of data
    ByteView data;              // valid until the connection's next message
    Lsn server_end;             // the end of the server's log
    Time server_time;           // its clock when it sent this
    bool answer_wanted = false;
};
// `damaged` on anything else.
Result<WalMessage> parse_wal_message(ByteView message);

// `r`: how far we are. `durable` is written and flushed; what was applied we never say.
Bytes wal_status(Lsn durable, Time now, bool answer_wanted);

// Slots that outlive their connection.
struct Slot {
    bool exists = false;
    std::optional<Lsn> restart = {};  // the server keeps the log from here on; unknown before version 15
};
Result<Slot> read_slot(Connection& connection, std::string const& name, std::stop_token stop);
// Keeps the log from now on. One that exists already is a success.
Result<void> create_slot(Connection& connection, std::string const& name, std::stop_token stop);
Result<void> drop_slot(Connection& connection, std::string const& name, std::stop_token stop);

// The history file of a timeline, as the server has it; not_found when it has none.
Result<Bytes> fetch_timeline_history(Connection& connection, std::uint32_t timeline, std::stop_token stop);

// The log of `timeline` from `start` on.
std::string start_replication_command(std::string const& slot, Lsn start, std::uint32_t timeline);

// Bytes of a segment of the server's log.
Result<std::uint32_t> show_segment_bytes(Connection& connection, std::stop_token stop);
// "16MB", "1GB", "8192": a size as SHOW writes it.
Result<std::uint64_t> parse_setting_bytes(std::string_view text);

}  // namespace holdfast::postgres
