#include "sources/postgres/base_backup_protocol.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <functional>

#include "base/text.h"

namespace holdfast::postgres {
namespace {

constexpr int kManifests = 130000;
constexpr std::string_view kDataCorrupted = "XX001";

std::unexpected<Error> violation(std::string_view what) {
    return fail(ErrorKind::damaged, fmt::format("base backup stream: {}", what));
}

template <typename T>
Result<T> parse_number(std::optional<std::string> const& text, std::string_view what) {
    T value{};
    if (!text) return violation(fmt::format("{} is missing", what));
    auto end = text->data() + text->size();
    auto parsed = std::from_chars(text->data(), end, value);
    if (parsed.ec != std::errc{} || parsed.ptr != end || text->empty())
        return violation(fmt::format("{} is no number", what));
    return value;
}

struct Position {
    Lsn lsn;
    std::uint32_t timeline = 0;
};
// The one row that opens and closes a backup: position, timeline.
Result<Position> parse_position(Rows const& rows) {
    if (rows.rows.size() != 1 || rows.rows[0].size() < 2 || !rows.rows[0][0])
        return violation("a position is missing");
    auto lsn = parse_lsn(*rows.rows[0][0]);
    if (!lsn) return violation("a position is malformed");
    auto timeline = TRY(parse_number<std::uint32_t>(rows.rows[0][1], "the timeline"));
    return Position{*lsn, timeline};
}

// Rows of (oid, location, size in KiB); the data directory's own has neither oid nor location.
Result<std::vector<Tablespace>> parse_tablespaces(Rows const& rows) {
    std::vector<Tablespace> tablespaces;
    for (auto const& row : rows.rows) {
        if (row.size() < 3) return violation("a tablespace's row is short");
        Tablespace tablespace;
        if (row[0]) {
            tablespace.oid = TRY(parse_number<std::uint32_t>(row[0], "a tablespace's oid"));
            if (!row[1] || row[1]->empty() || tablespace.oid == 0) return violation("a tablespace has no location");
            tablespace.location = *row[1];
        }
        if (row[2]) {
            auto kibibytes = TRY(parse_number<std::uint64_t>(row[2], "a tablespace's size"));
            tablespace.bytes = std::min(kibibytes, std::uint64_t{1} << 50) << 10;
        }
        tablespaces.push_back(std::move(tablespace));
    }
    auto bases = std::ranges::count(tablespaces, 0u, &Tablespace::oid);
    if (bases != 1) return violation("it does not have one data directory");
    return tablespaces;
}

// Copy messages of 15 and later: `n` name, location: a new archive; `m`: the manifest; `d`: bytes of
// what is open; `p`: progress.
class MessageReader {
  public:
    MessageReader(BackupStart const& start, BackupHandler& handler) : start_(start), handler_(handler) {}

    Result<void> message(ByteView message) {
        if (message.empty()) return violation("an empty message");
        auto body = message.subspan(1);
        switch (message[0]) {
            case 'd':
                if (place_ == Place::archive) return handler_.archive_data(body);
                if (place_ == Place::manifest) return handler_.manifest_data(body);
                return violation("data outside an archive");
            case 'p': return {};
            case 'n': return new_archive(as_text(body));
            case 'm':
                if (place_ == Place::manifest) return violation("two manifests");
                TRY(close());
                place_ = Place::manifest;
                return {};
            default: return violation("an unknown message");
        }
    }
    Result<void> end() {
        TRY(close());
        if (archives_ != start_.tablespaces.size()) return violation("an archive is missing");
        return {};
    }

  private:
    enum class Place { outside, archive, manifest };

    Result<void> new_archive(std::string_view body) {
        if (place_ == Place::manifest) return violation("an archive behind the manifest");
        TRY(close());
        auto name_end = body.find('\0');
        if (name_end == body.npos || !body.ends_with('\0')) return violation("a malformed archive header");
        auto name = body.substr(0, name_end);
        // "base.tar", or "<oid>.tar". The location is that of the list which the backup began with.
        auto named = [&](Tablespace const& tablespace) {
            return name == (tablespace.oid == 0 ? "base.tar" : fmt::format("{}.tar", tablespace.oid));
        };
        auto tablespace = std::ranges::find_if(start_.tablespaces, named);
        if (tablespace == start_.tablespaces.end())
            return violation(fmt::format("an unexpected archive '{}'", printable(name)));
        ++archives_;
        place_ = Place::archive;
        return handler_.archive_begin(*tablespace);
    }
    Result<void> close() {
        if (place_ == Place::archive) TRY(handler_.archive_end());
        place_ = Place::outside;
        return {};
    }

    BackupStart const& start_;
    BackupHandler& handler_;
    Place place_ = Place::outside;
    std::size_t archives_ = 0;
};

using Take = std::function<Result<void>(ByteView)>;
Result<void> drain_copy(Connection& connection, Take const& take, std::stop_token stop) {
    for (;;) {
        auto bytes = TRY(connection.copy_data(stop));
        if (!bytes) return {};
        TRY(take(*bytes));
    }
}

// Takes one copy that the server opened (`number` counts them from 0) and returns the answer behind it.
// A server that gives up in the middle ends the copy as if it were complete and then says why: only the
// answer tells the two apart, so it is taken before the archive's end is judged.
Result<Connection::Answer> take_copy(Connection& connection, BackupStart const& start, std::size_t number,
                                     BackupHandler& handler, std::stop_token stop) {
    if (connection.server_version() >= kNewSyntax) {
        if (number > 0) return violation("a second copy");
        MessageReader reader(start, handler);
        TRY(drain_copy(connection, [&](ByteView bytes) { return reader.message(bytes); }, stop));
        auto answer = TRY(connection.next_answer(stop));
        TRY(reader.end());
        return answer;
    }
    if (number < start.tablespaces.size()) {
        TRY(handler.archive_begin(start.tablespaces[number]));
        TRY(drain_copy(connection, [&](ByteView bytes) { return handler.archive_data(bytes); }, stop));
        auto answer = TRY(connection.next_answer(stop));
        TRY(handler.archive_end());
        return answer;
    }
    if (number > start.tablespaces.size() || connection.server_version() < kManifests)
        return violation("an unexpected copy");
    TRY(drain_copy(connection, [&](ByteView bytes) { return handler.manifest_data(bytes); }, stop));
    return connection.next_answer(stop);
}

// Takes the answers behind the end position: nothing but the command's end, or the server's own
// verdict on page checksums.
Result<void> finish(Connection& connection, BackupEnd& end, std::stop_token stop) {
    for (;;) {
        auto answer = connection.next_answer(stop);
        if (!answer && connection.last_sqlstate() == kDataCorrupted) {
            end.checksum_failures = true;
            continue;
        }
        if (!answer) return fail(std::move(answer).error());
        if (answer->kind == Connection::ResultKind::none) return {};
        if (answer->kind != Connection::ResultKind::command) return violation("something follows its end");
    }
}

Result<Rows> next_rows(Connection& connection, std::stop_token stop) {
    auto answer = TRY(connection.next_answer(stop));
    if (answer.kind != Connection::ResultKind::rows) return violation("rows are missing");
    return std::move(answer.rows);
}

}  // namespace

std::string base_backup_command(int server_version, BackupOptions const& options) {
    auto label = quote_literal(options.label);
    if (server_version >= kNewSyntax)
        return fmt::format("BASE_BACKUP (LABEL {}, PROGRESS, CHECKPOINT '{}', WAL, WAIT false, TABLESPACE_MAP, "
                           "MANIFEST 'yes', MANIFEST_CHECKSUMS 'CRC32C')",
                           label, options.fast_checkpoint ? "fast" : "spread");
    return fmt::format("BASE_BACKUP LABEL {} PROGRESS{} WAL NOWAIT TABLESPACE_MAP{}", label,
                       options.fast_checkpoint ? " FAST" : "",
                       server_version >= kManifests ? " MANIFEST 'yes' MANIFEST_CHECKSUMS 'CRC32C'" : "");
}

std::string create_slot_command(int server_version, std::string const& slot) {
    return fmt::format("CREATE_REPLICATION_SLOT \"{}\" TEMPORARY PHYSICAL {}", slot,
                       server_version >= kNewSyntax ? "(RESERVE_WAL)" : "RESERVE_WAL");
}

Result<SystemIdentity> identify_system(Connection& connection, std::stop_token stop) {
    auto rows = TRY(connection.query("IDENTIFY_SYSTEM", stop));
    if (rows.rows.size() != 1 || rows.rows[0].size() < 3 || !rows.rows[0][2])
        return violation("the system does not identify itself");
    SystemIdentity identity;
    identity.system_identifier = TRY(parse_number<std::uint64_t>(rows.rows[0][0], "the system identifier"));
    identity.timeline = TRY(parse_number<std::uint32_t>(rows.rows[0][1], "the timeline"));
    auto position = parse_lsn(*rows.rows[0][2]);
    if (!position) return violation("a position is malformed");
    identity.position = *position;
    return identity;
}

Result<BackupEnd> run_base_backup(Connection& connection, BackupOptions const& options,
                                  BackupHandler& handler, std::stop_token stop) {
    TRY(connection.send(base_backup_command(connection.server_version(), options)));
    auto first = TRY(next_rows(connection, stop));
    auto position = TRY(parse_position(first));
    BackupStart start{position.lsn, position.timeline, {}};
    auto list = TRY(next_rows(connection, stop));
    start.tablespaces = TRY(parse_tablespaces(list));
    TRY(handler.start(start));

    auto const copies_expected =
        connection.server_version() >= kNewSyntax
            ? 1
            : start.tablespaces.size() + (connection.server_version() >= kManifests ? 1 : 0);
    std::size_t copies = 0;
    auto answer = TRY(connection.next_answer(stop));
    for (;;) {
        switch (answer.kind) {
            case Connection::ResultKind::copy_out:
                answer = TRY(take_copy(connection, start, copies++, handler, stop));
                continue;
            case Connection::ResultKind::command:  // the end of a copy
                answer = TRY(connection.next_answer(stop));
                continue;
            case Connection::ResultKind::none: return violation("it ends without its end position");
            case Connection::ResultKind::copy_both: return violation("it wants an answer");
            case Connection::ResultKind::rows: break;
        }
        if (copies != copies_expected) return violation("an archive is missing");
        auto stopped = TRY(parse_position(answer.rows));
        BackupEnd end{stopped.lsn, stopped.timeline, false};
        TRY(finish(connection, end, stop));
        return end;
    }
}

}  // namespace holdfast::postgres
