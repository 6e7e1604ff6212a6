#include "formats/pg_lsn.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <charconv>

namespace holdfast {

std::string to_text(Lsn lsn) {
    return fmt::format("{:X}/{:X}", lsn.value >> 32, lsn.value & 0xffffffff);
}

Result<Lsn> parse_lsn(std::string_view text) {
    auto slash = text.find('/');
    auto half = [](std::string_view digits, std::uint64_t& value) {
        if (digits.empty() || digits.size() > 8) return false;
        auto end = digits.data() + digits.size();
        auto parsed = std::from_chars(digits.data(), end, value, 16);
        return parsed.ec == std::errc{} && parsed.ptr == end && digits[0] != '-';
    };
    std::uint64_t high = 0, low = 0;
    if (slash == text.npos || !half(text.substr(0, slash), high) || !half(text.substr(slash + 1), low))
        return fail(ErrorKind::usage, fmt::format("'{}' is not a log position", text),
                    "a log position looks like 16/B374D848");
    return Lsn{high << 32 | low};
}

std::string wal_segment_name(std::uint32_t timeline, Lsn lsn, std::uint32_t segment_bytes) {
    assert(segment_bytes >= 1u << 20 && segment_bytes <= 1u << 30);
    std::uint64_t number = lsn.value / segment_bytes;
    std::uint64_t segments_per_id = (1ull << 32) / segment_bytes;
    return fmt::format("{:08X}{:08X}{:08X}", timeline, number / segments_per_id, number % segments_per_id);
}

bool is_wal_segment_name(std::string_view name) {
    return name.size() == 24 && std::ranges::all_of(name, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
           });
}

}  // namespace holdfast
