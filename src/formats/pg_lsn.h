#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast {

// A position in PostgreSQL's write-ahead log: a byte offset from the beginning of its history.
struct Lsn {
    std::uint64_t value = 0;
    auto operator<=>(Lsn const&) const = default;
};

// "16/B374D848": two hexadecimal halves of 32 bits, as PostgreSQL writes it.
std::string to_text(Lsn lsn);
// `usage` on anything else; both halves have 1 to 8 digits.
Result<Lsn> parse_lsn(std::string_view text);

// The name of the segment that holds `lsn`: timeline, then the segment's number in two parts
// ("000000010000000000000002"). `segment_bytes` is a power of two from 1 MiB to 1 GiB.
std::string wal_segment_name(std::uint32_t timeline, Lsn lsn, std::uint32_t segment_bytes);
// 24 upper-case hexadecimal digits.
bool is_wal_segment_name(std::string_view name);

}  // namespace holdfast
