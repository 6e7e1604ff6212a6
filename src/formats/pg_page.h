#pragma once

#include <cstdint>
#include <string_view>

#include "base/bytes.h"
#include "formats/pg_lsn.h"

namespace holdfast {

// PostgreSQL data pages, layout version 4 (8.3 and later): PostgreSQL documentation, "Database Page
// Layout", and src/include/storage/bufpage.h. Numbers are in the byte order of the server's machine;
// only little-endian ones are read here (pg_control of another machine is refused before).
inline constexpr std::size_t kPgPageBytes = 8192;

struct PgPageHeader {
    Lsn lsn;                      // end of the log record that changed the page last
    std::uint16_t checksum = 0;   // 0: written without checksums
    std::uint16_t flags = 0;
    std::uint16_t lower = 0;      // end of the line pointers
    std::uint16_t upper = 0;      // start of the tuples; 0: the page was never set up
    std::uint16_t special = 0;    // start of the special space
    std::uint16_t page_size = 0;  // 8192
    std::uint8_t layout = 0;      // 4
};

// `page` has kPgPageBytes (asserted), here and below.
PgPageHeader read_pg_page_header(ByteView page);

// The checksum that the page should carry as block `block` of its relation fork (counted over all
// segments). Algorithm of src/include/storage/checksum_impl.h: the page as 64 rows of 32 words of 32
// bits, each column folded by a variant of FNV-1a (multiply by 16777619, xor with the input shifted
// right by 17) from its own seed, two more rounds of zero, columns xored together, xored with the
// block number, and reduced to 1 … 65535. The checksum field itself counts as zero.
std::uint16_t pg_page_checksum(ByteView page, std::uint32_t block);

// The same without vector instructions: for tests.
std::uint16_t pg_page_checksum_portable(ByteView page, std::uint32_t block);

// Whether every byte is zero: a page that was allocated and never written.
bool is_new_pg_page(ByteView page);

enum class PgPageState {
    sound,
    fresh,         // all zero
    bad_checksum,  // the checksum is not that of the bytes
    bad_header,    // offsets that PostgreSQL itself would refuse ("invalid page in block")
};
std::string_view name(PgPageState state);

struct PgPageCheckOptions {
    bool checksums = true;  // whether the cluster has them
};
// What PostgreSQL's PageIsVerified() decides, without its side effects. A page without a usable header
// is new only when all of it is zero.
PgPageState check_pg_page(ByteView page, std::uint32_t block, PgPageCheckOptions options);

}  // namespace holdfast
