#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "formats/pg_lsn.h"

namespace holdfast {

// A page of PostgreSQL's write-ahead log has 8 KiB and begins with a header (access/xlog_internal.h,
// XLogPageHeaderData; little-endian, as compiled for 64-bit machines):
//
// | offset | field                                | offset | only on the first page of a segment |
// |-------:|--------------------------------------|-------:|-------------------------------------|
// |      0 | u16 magic: the format's version      |     24 | u64 system identifier               |
// |      2 | u16 flags                            |     32 | u32 bytes of a segment              |
// |      4 | u32 timeline, when it was written    |     36 | u32 bytes of a page                 |
// |      8 | u64 position of the page             |        |                                     |
// |     16 | u32 bytes left of a record that      |        |                                     |
// |        |     began before                     |        |                                     |
struct WalPageHeader {
    static constexpr std::uint16_t kContinues = 1;    // begins with the rest of a record
    static constexpr std::uint16_t kLong = 2;         // has the fields of a first page
    static constexpr std::uint16_t kOverwrites = 8;   // the record before was given up unfinished

    std::uint16_t magic = 0;
    std::uint16_t flags = 0;
    std::uint32_t timeline = 0;
    Lsn position;
    std::uint32_t remaining = 0;
    std::uint64_t system_identifier = 0;  // of a long header, else 0
    std::uint32_t segment_bytes = 0;      // likewise

    bool has(std::uint16_t flag) const { return (flags & flag) != 0; }
    std::size_t size() const { return has(kLong) ? 40 : 24; }
};
inline constexpr std::size_t kWalPageBytes = 8192;

// The major version that writes pages with this magic: 12 to 17; nullopt for all others.
std::optional<int> wal_major(std::uint16_t magic);

// `damaged` on what no server of versions 12 to 17 writes at the beginning of a page, an empty page
// (zeros) included.
Result<WalPageHeader> parse_wal_page_header(ByteView page);

}  // namespace holdfast
