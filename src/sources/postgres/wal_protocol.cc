#include "sources/postgres/wal_protocol.h"

#include <fmt/format.h>

#include <bit>
#include <charconv>

#include "formats/pg_timeline_history.h"
#include "formats/pg_wal_record.h"

namespace holdfast::postgres {
namespace {

constexpr std::string_view kDuplicate = "42710";

std::uint64_t swapped(ByteReader& reader) { return std::byteswap(reader.u64()); }
void swapped(ByteWriter& writer, std::uint64_t value) { writer.u64(std::byteswap(value)); }

Result<Time> server_time(std::uint64_t microseconds) { return parse_pg_timestamp(static_cast<std::int64_t>(microseconds)); }

}  // namespace

Result<WalMessage> parse_wal_message(ByteView bytes) {
    ByteReader reader(bytes);
    WalMessage message;
    auto kind = reader.u8();
    if (kind == 'w') {
        message.is_data = true;
        message.start.value = swapped(reader);
        message.server_end.value = swapped(reader);
        message.server_time = TRY(server_time(swapped(reader)));
        message.data = reader.raw(reader.remaining());
        if (reader.ok()) return message;
    } else if (kind == 'k') {
        message.server_end.value = swapped(reader);
        message.server_time = TRY(server_time(swapped(reader)));
        message.answer_wanted = reader.u8() != 0;
        if (reader.done()) return message;
    }
    return fail(ErrorKind::damaged, "the server sends what streaming replication does not allow");
}

Bytes wal_status(Lsn durable, Time now, bool answer_wanted) {
    ByteWriter writer;
    writer.u8('r');
    swapped(writer, durable.value);  // written
    swapped(writer, durable.value);  // flushed
    swapped(writer, 0);              // applied: never
    swapped(writer, static_cast<std::uint64_t>(to_pg_timestamp(now)));
    writer.u8(answer_wanted ? 1 : 0);
    return writer.take();
}

Result<Slot> read_slot(Connection& connection, std::string const& name, std::stop_token stop) {
    // Before 15 a slot can't be looked at from here: using it tells.
    if (connection.server_version() < kNewSyntax) return Slot{.exists = true};
    auto rows = TRY(connection.query(fmt::format("READ_REPLICATION_SLOT \"{}\"", name), stop));
    Slot slot;
    if (rows.rows.empty() || rows.rows[0].size() < 2 || !rows.rows[0][0]) return slot;
    if (*rows.rows[0][0] != "physical")
        return fail(ErrorKind::usage, fmt::format("the replication slot '{}' is not a physical one", name),
                    "name another with --slot");
    slot.exists = true;
    if (rows.rows[0][1]) slot.restart = TRY(parse_lsn(*rows.rows[0][1]));
    return slot;
}

Result<void> create_slot(Connection& connection, std::string const& name, std::stop_token stop) {
    auto options = connection.server_version() >= kNewSyntax ? "(RESERVE_WAL)" : "RESERVE_WAL";
    auto created = connection.query(fmt::format("CREATE_REPLICATION_SLOT \"{}\" PHYSICAL {}", name, options), stop);
    if (!created && connection.last_sqlstate() != kDuplicate) return fail(std::move(created).error());
    return {};
}

Result<void> drop_slot(Connection& connection, std::string const& name, std::stop_token stop) {
    auto dropped = connection.query(fmt::format("DROP_REPLICATION_SLOT \"{}\"", name), stop);
    if (!dropped && connection.last_sqlstate() != kUndefinedObject) return fail(std::move(dropped).error());
    return {};
}

Result<Bytes> fetch_timeline_history(Connection& connection, std::uint32_t timeline, std::stop_token stop) {
    auto rows = connection.query(fmt::format("TIMELINE_HISTORY {}", timeline), stop);
    if (!rows && connection.last_sqlstate() == kUndefinedFile)
        return fail(ErrorKind::not_found, fmt::format("the server has no history of timeline {}", timeline));
    if (!rows) return fail(std::move(rows).error());
    if (rows->rows.size() != 1 || rows->rows[0].size() < 2 || !rows->rows[0][1])
        return fail(ErrorKind::damaged, "the server tells no history of its timeline");
    auto content = to_bytes(*rows->rows[0][1]);
    TRY(parse_timeline_history(as_text(content), timeline));
    return content;
}

std::string start_replication_command(std::string const& slot, Lsn start, std::uint32_t timeline) {
    return fmt::format("START_REPLICATION SLOT \"{}\" PHYSICAL {} TIMELINE {}", slot, to_text(start), timeline);
}

// SHOW writes the largest unit that fits.
Result<std::uint64_t> parse_setting_bytes(std::string_view text) {
    std::uint64_t number = 0;
    auto end = text.data() + text.size();
    auto parsed = std::from_chars(text.data(), end, number);
    auto unit = std::string_view(parsed.ptr, static_cast<std::size_t>(end - parsed.ptr));
    int shift = unit.empty() || unit == "B" ? 0 : unit == "kB" ? 10 : unit == "MB" ? 20 : unit == "GB" ? 30 : unit == "TB" ? 40 : -1;
    if (parsed.ec != std::errc{} || shift < 0 || number > 1u << 20)
        return fail(ErrorKind::damaged, fmt::format("the server reports a size of '{}'", text));
    return number << shift;
}

Result<std::uint32_t> show_segment_bytes(Connection& connection, std::stop_token stop) {
    auto text = TRY(connection.query_value("SHOW wal_segment_size", stop));
    auto bytes = TRY(parse_setting_bytes(text));
    if (bytes < 1u << 20 || bytes > 1u << 30 || !std::has_single_bit(bytes))
        return fail(ErrorKind::damaged, fmt::format("the server reports log segments of {}", text));
    return static_cast<std::uint32_t>(bytes);
}

}  // namespace holdfast::postgres
