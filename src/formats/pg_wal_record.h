#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "formats/pg_lsn.h"

namespace holdfast {

// A record of PostgreSQL's write-ahead log (access/xlogrecord.h): a header of 24 bytes, then headers of
// what it carries, then that, the main data last.
//
// | offset | field                       | offset | field                                         |
// |-------:|-----------------------------|-------:|-----------------------------------------------|
// |      0 | u32 length, header included |     16 | u8  info: what the resource manager does      |
// |      4 | u32 transaction id          |     17 | u8  resource manager                          |
// |      8 | u64 record before           |     20 | u32 CRC-32C of bytes 24 … end, then 0 … 19    |
struct WalRecord {
    static constexpr std::size_t kHeaderBytes = 24;
    static constexpr std::uint8_t kXlog = 0, kTransaction = 1;  // resource managers

    int major = 0;     // of the server that wrote it
    Lsn start;
    Lsn end;           // one behind its last byte; the next one begins at or behind it
    std::uint32_t transaction = 0;
    Lsn previous;
    std::uint8_t info = 0;
    std::uint8_t manager = 0;
    ByteView body;     // behind the header; valid as long as the caller's bytes
};

// The fields of `bytes`, which are one whole record (at least a header: asserted). `damaged` when the
// CRC does not fit.
Result<WalRecord> parse_wal_record(ByteView bytes, Lsn start, int major);

// A block of a relation that a record changed. `fork`: 0 main, 1 free space map, 2 visibility map, 3 init.
struct WalBlock {
    std::uint32_t tablespace = 0;
    std::uint32_t database = 0;
    std::uint32_t relation = 0;
    std::uint8_t fork = 0;
    std::uint32_t block = 0;
    bool whole_image = false;  // the record carries the block itself
    bool operator==(WalBlock const&) const = default;
};
struct WalContent {
    std::vector<WalBlock> blocks;
    ByteView main;  // the main data
};
// What a record carries. `damaged` when its headers do not add up to it.
Result<WalContent> parse_wal_content(WalRecord const& record);

// The end of a transaction: xl_xact_commit and xl_xact_abort, also those of prepared ones.
struct WalTransactionEnd {
    std::uint32_t transaction = 0;  // of a prepared one: that which was prepared
    Time time;                      // by the server's clock
    bool committed = false;
};
// nullopt for other records.
Result<std::optional<WalTransactionEnd>> transaction_end(WalRecord const& record);

// What pg_create_restore_point() writes.
struct WalRestorePoint {
    std::string name;
    Time time;
};
Result<std::optional<WalRestorePoint>> restore_point(WalRecord const& record);

// Behind it the rest of the segment is empty.
bool is_wal_switch(WalRecord const& record);

// A TimestampTz of the server: microseconds since 2000-01-01 UTC. `damaged` beyond the years of Time.
Result<Time> parse_pg_timestamp(std::int64_t microseconds);
std::int64_t to_pg_timestamp(Time time);

}  // namespace holdfast
