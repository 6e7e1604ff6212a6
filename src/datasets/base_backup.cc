#include "datasets/base_backup.h"

#include <bit>
#include <charconv>

namespace holdfast {
namespace {

std::string text_of(RecoveryPoint const& point, std::string const& name) {
    auto found = point.attributes.find(name);
    return found == point.attributes.end() ? std::string() : found->second;
}

std::optional<std::uint64_t> count_of(RecoveryPoint const& point, std::string const& name) {
    auto const text = text_of(point, name);
    std::uint64_t number = 0;
    auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
    bool const whole = parsed.ec == std::errc{} && parsed.ptr == text.data() + text.size();
    return whole ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<BaseBackup> base_backup_of(RecoveryPoint const& point) {
    if (point.kind != "postgres") return std::nullopt;
    auto system = count_of(point, "system_identifier"), timeline = count_of(point, "timeline");
    auto segment = count_of(point, "wal_segment_bytes");
    auto start = parse_lsn(text_of(point, "lsn_start")), end = parse_lsn(text_of(point, "lsn"));
    if (!system || !timeline || *timeline == 0 || *timeline > UINT32_MAX || !start || !end) return std::nullopt;
    if (!segment || !std::has_single_bit(*segment)) return std::nullopt;
    return BaseBackup{*system, static_cast<std::uint32_t>(*timeline), *start, *end, *segment};
}

}  // namespace holdfast
