#include "formats/pg_backup_label.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "base/text.h"

namespace holdfast {
namespace {

// Far more than any real file of the kind.
constexpr std::size_t kFileBytesMax = 1 << 20;

std::optional<std::uint32_t> parse_u32(std::string_view text) {
    std::uint32_t value = 0;
    auto end = text.data() + text.size();
    auto parsed = std::from_chars(text.data(), end, value);
    if (text.empty() || parsed.ec != std::errc{} || parsed.ptr != end) return std::nullopt;
    return value;
}

std::unexpected<Error> label_damaged(std::string_view what) {
    return fail(ErrorKind::damaged, fmt::format("backup_label: {}", what));
}

// "0/2000028 (file 000000010000000000000002)"
bool parse_start(std::string_view value, PgBackupLabel& label) {
    auto space = value.find(' ');
    auto lsn = parse_lsn(value.substr(0, space));
    if (!lsn || space == value.npos) return false;
    auto rest = value.substr(space + 1);
    if (!rest.starts_with("(file ") || !rest.ends_with(")")) return false;
    rest = rest.substr(6, rest.size() - 7);
    if (!is_wal_segment_name(rest)) return false;
    label.start = *lsn;
    label.start_segment = rest;
    return true;
}

}  // namespace

Result<PgBackupLabel> parse_pg_backup_label(std::string_view text) {
    if (text.size() > kFileBytesMax) return label_damaged("it is too long");
    PgBackupLabel label;
    bool has_start = false, has_checkpoint = false, has_timeline = false;
    for (auto const& line : split(text, '\n')) {
        auto colon = line.find(": ");
        if (colon == line.npos) continue;
        auto key = std::string_view(line).substr(0, colon);
        auto value = std::string_view(line).substr(colon + 2);
        if (key == "START WAL LOCATION") {
            if (has_start || !parse_start(value, label)) return label_damaged("malformed start of the log");
            has_start = true;
        } else if (key == "CHECKPOINT LOCATION") {
            auto lsn = parse_lsn(value);
            if (has_checkpoint || !lsn) return label_damaged("malformed checkpoint position");
            label.checkpoint = *lsn;
            has_checkpoint = true;
        } else if (key == "START TIMELINE") {
            auto timeline = parse_u32(value);
            if (has_timeline || !timeline || *timeline == 0) return label_damaged("malformed timeline");
            label.timeline = *timeline;
            has_timeline = true;
        } else if (key == "BACKUP METHOD") {
            label.method = value;
        } else if (key == "BACKUP FROM") {
            label.from_standby = value == "standby";
        } else if (key == "START TIME") {
            label.start_time = value;
        } else if (key == "LABEL") {
            label.label = value;
        }
    }
    if (!has_start) return label_damaged("it states no start of the log");
    if (!has_checkpoint) return label_damaged("it states no checkpoint");
    if (!has_timeline) return label_damaged("it states no timeline");
    return label;
}

Result<std::map<std::uint32_t, std::string>> parse_pg_tablespace_map(std::string_view text) {
    auto malformed = [] { return fail(ErrorKind::damaged, "tablespace_map: malformed line"); };
    if (text.size() > kFileBytesMax) return malformed();
    std::map<std::uint32_t, std::string> locations;
    std::string line;
    auto take_line = [&]() -> bool {
        auto space = line.find(' ');
        auto oid = parse_u32(std::string_view(line).substr(0, space));
        if (space == line.npos || !oid || space + 1 == line.size()) return false;
        bool added = locations.emplace(*oid, line.substr(space + 1)).second;
        line.clear();
        return added;
    };
    bool escaped = false;
    for (char c : text) {
        if (c == '\0') return malformed();
        if (!escaped && c == '\\') {
            escaped = true;
            continue;
        }
        if (!escaped && (c == '\n' || c == '\r')) {
            if (!line.empty() && !take_line()) return malformed();
        } else {
            line += c;
        }
        escaped = false;
    }
    // A last line without its end is a cut file.
    if (escaped || !line.empty()) return malformed();
    return locations;
}

std::string format_pg_tablespace_map(std::map<std::uint32_t, std::string> const& locations) {
    std::string text;
    for (auto const& [oid, location] : locations) {
        text += fmt::format("{} ", oid);
        for (char c : location) {
            if (c == '\n' || c == '\r' || c == '\\') text += '\\';
            text += c;
        }
        text += '\n';
    }
    return text;
}

}  // namespace holdfast
