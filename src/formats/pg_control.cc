#include "formats/pg_control.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <cstring>

#include "formats/crc32c.h"

namespace holdfast {
namespace {

constexpr std::size_t kControlCrcOffset = 288;

template <typename T>
T read_at(ByteView bytes, std::size_t offset) {
    T value;
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
}

bool known_format(std::uint32_t format) { return format == 1201 || format == 1300 || format == 1700; }

// A count of the server's settings: what a sane one can be.
bool plausible(std::uint32_t count) { return count <= 0x3fffff; }

}  // namespace

std::string_view name(PgControl::State state) {
    switch (state) {
        case PgControl::State::startup: return "starting up";
        case PgControl::State::shut_down: return "shut down";
        case PgControl::State::shut_down_in_recovery: return "shut down in recovery";
        case PgControl::State::shutting_down: return "shutting down";
        case PgControl::State::crash_recovery: return "in crash recovery";
        case PgControl::State::archive_recovery: return "in archive recovery";
        case PgControl::State::production: return "in production";
    }
    return "unknown";
}

Result<PgControl> parse_pg_control(ByteView bytes) {
    if (bytes.size() < kControlCrcOffset + 4)
        return fail(ErrorKind::damaged, fmt::format("pg_control has only {} bytes", bytes.size()));
    PgControl control;
    control.format = read_at<std::uint32_t>(bytes, 8);
    if (known_format(std::byteswap(control.format)))
        return fail(ErrorKind::usage, "pg_control is of a machine with another byte order");
    // The CRC comes first: in a damaged file the format number means nothing.
    bool crc_fits = crc32c(bytes.first(kControlCrcOffset)) == read_at<std::uint32_t>(bytes, kControlCrcOffset);
    if (!crc_fits && known_format(control.format))
        return fail(ErrorKind::damaged, "pg_control: checksum mismatch");
    if (!known_format(control.format))
        return fail(ErrorKind::usage, fmt::format("pg_control has format {}, which is not known here", control.format),
                    "PostgreSQL 12 to 17 are supported");
    control.system_identifier = read_at<std::uint64_t>(bytes, 0);
    control.catalog_version = read_at<std::uint32_t>(bytes, 12);
    auto state = read_at<std::uint32_t>(bytes, 16);
    if (state > static_cast<std::uint32_t>(PgControl::State::production))
        return fail(ErrorKind::damaged, fmt::format("pg_control: unknown state {}", state));
    control.state = static_cast<PgControl::State>(state);
    control.time = read_at<std::int64_t>(bytes, 24);
    control.checkpoint = Lsn{read_at<std::uint64_t>(bytes, 32)};
    control.redo = Lsn{read_at<std::uint64_t>(bytes, 40)};
    control.timeline = read_at<std::uint32_t>(bytes, 48);
    control.minimum_recovery = Lsn{read_at<std::uint64_t>(bytes, 136)};
    control.backup_start = Lsn{read_at<std::uint64_t>(bytes, 152)};
    control.wal_level = read_at<std::uint32_t>(bytes, 172);
    control.max_connections = read_at<std::uint32_t>(bytes, 180);
    control.max_worker_processes = read_at<std::uint32_t>(bytes, 184);
    control.max_wal_senders = read_at<std::uint32_t>(bytes, 188);
    control.max_prepared_transactions = read_at<std::uint32_t>(bytes, 192);
    control.max_locks_per_transaction = read_at<std::uint32_t>(bytes, 196);
    for (auto count : {control.max_connections, control.max_worker_processes, control.max_wal_senders,
                       control.max_prepared_transactions, control.max_locks_per_transaction})
        if (!plausible(count)) return fail(ErrorKind::damaged, "pg_control: a setting is out of range");
    control.track_commit_timestamp = bytes[200] != 0;
    auto block_bytes = read_at<std::uint32_t>(bytes, 216);
    if (block_bytes != 8192)
        return fail(ErrorKind::usage,
                    fmt::format("the cluster has blocks of {} bytes; only 8192 are supported", block_bytes));
    control.segment_blocks = read_at<std::uint32_t>(bytes, 220);
    if (control.segment_blocks == 0)
        return fail(ErrorKind::damaged, "pg_control: relation segments have no blocks");
    control.wal_segment_bytes = read_at<std::uint32_t>(bytes, 228);
    if (!std::has_single_bit(control.wal_segment_bytes) || control.wal_segment_bytes < 1u << 20 ||
        control.wal_segment_bytes > 1u << 30)
        return fail(ErrorKind::damaged,
                    fmt::format("pg_control: log segments of {} bytes", control.wal_segment_bytes));
    control.checksum_version = read_at<std::uint32_t>(bytes, 252);
    if (control.checksum_version > 1)
        return fail(ErrorKind::usage,
                    fmt::format("page checksums of version {} are not known here", control.checksum_version));
    return control;
}

Result<int> parse_pg_version_file(std::string_view text) {
    if (text.ends_with('\n')) text.remove_suffix(1);
    int major = 0;
    auto end = text.data() + text.size();
    auto parsed = std::from_chars(text.data(), end, major);
    if (text.empty() || text.size() > 3 || parsed.ec != std::errc{} || parsed.ptr != end || major < 1)
        return fail(ErrorKind::damaged, "PG_VERSION does not state a version of PostgreSQL");
    return major;
}

}  // namespace holdfast
