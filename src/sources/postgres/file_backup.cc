#include "sources/postgres/file_backup.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>

#include "archive/posix.h"
#include "base/text.h"
#include "formats/pg_path.h"
#include "os/file.h"
#include "sources/postgres/conninfo.h"

namespace holdfast::postgres {
namespace {

constexpr std::size_t kPieceBytes = 256u << 10;  // stays in the processor's cache until all that wants it had it
constexpr auto kAskEvery = std::chrono::seconds(20);
constexpr auto kTornWait = std::chrono::milliseconds(1);
constexpr int kWholePageAttemptsMax = 10;

std::unexpected<Error> changed(std::string_view what) {
    return fail(ErrorKind::unreachable, fmt::format("base backup: {} while it began", what), "run the backup again");
}

// Whoever may become the server's user, or is it, reads all of its files or none.
bool may_read(int directory) {
    struct stat status;
    if (::fstat(directory, &status) != 0 || (::geteuid() != 0 && ::geteuid() != status.st_uid)) return false;
    auto control = Fd(::openat(directory, "global/pg_control", O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    return static_cast<bool>(control);
}

bool same_file(struct stat const& one, struct stat const& other) {
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

// Whether paths mean the same to the postmaster as to us: needed where tablespaces are. Not known is no. A number from
// another name space of processes leads to some other process, which does not work in this directory.
bool same_mounts(int directory) {
    auto text = read_file(proc_path(directory, "postmaster.pid"), 1 << 16);
    if (!text) return false;
    auto process = fmt::format("/proc/{}/", as_text(*text).substr(0, as_text(*text).find('\n')));
    struct stat data, its_directory, own, its;
    return ::fstat(directory, &data) == 0 && ::stat((process + "cwd").c_str(), &its_directory) == 0 &&
           same_file(data, its_directory) && ::stat("/proc/self/ns/mnt", &own) == 0 &&
           ::stat((process + "ns/mnt").c_str(), &its) == 0 && same_file(own, its);
}

// With the answer of a server that refuses, nothing; a stop is passed on.
template <typename T>
Result<std::optional<T>> if_it_can(Result<T> result) {
    if (result) return std::optional<T>(std::move(*result));
    if (result.error().kind == ErrorKind::cancelled) return fail(std::move(result).error());
    return std::optional<T>();
}

// Reads files of the cluster into the writer.
class FileFeed {
  public:
    FileFeed(BackupWriter& writer, Clock& clock, std::function<Result<void>()> const& still_there, std::stop_token stop)
        : writer_(writer), clock_(clock), still_there_(still_there), stop_(std::move(stop)), buffer_(kPieceBytes),
          next_(clock.elapsed() + kAskEvery) {}

    Result<void> take(UstarEntry const& entry, Fd const* file) {
        TRY(writer_.entry(entry));
        if (file) {
            bool carried = TRY(carry_over(*file));
            if (!carried) TRY(feed(entry, *file));
        }
        return writer_.entry_end();
    }

  private:
    // Looked at before it is read: what changes while it is read, or later, changes its stamp.
    Result<bool> carry_over(Fd const& file) {
        struct stat status;
        if (::fstat(file.get(), &status) != 0) return false;
        return writer_.carry_over(stamp_of(status));
    }

    // The file as long as it is now: what is added later is in the log, and so is what is cut off while we read.
    Result<void> feed(UstarEntry const& entry, Fd const& file) {
        auto again = [&](std::uint64_t number, ByteSpan page) {
            clock_.sleep(kTornWait, stop_);
            auto read = read_at(file.get(), page, number * kPgPageBytes);
            return read && *read == page.size();
        };
        auto size = TRY(size_of(entry, file));
        for (std::uint64_t at = 0; at < size;) {
            if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            if (clock_.elapsed() >= next_) {
                TRY(still_there_());
                next_ = clock_.elapsed() + kAskEvery;
            }
            auto piece = ByteSpan(buffer_).first(std::min<std::uint64_t>(buffer_.size(), size - at));
            auto read = read_at(file.get(), piece, at);
            if (!read) return fail(errno_error(fmt::format("read '{}'", printable(entry.path)), read.error()));
            if (*read == 0) return {};
            TRY(writer_.data_in_place(piece.first(*read), again));
            at += *read;
        }
        return {};
    }

    // A relation grows by whole pages, but not all of a page at once.
    Result<std::uint64_t> size_of(UstarEntry const& entry, Fd const& file) {
        std::uint64_t size = entry.size;
        for (int attempt = 0; size % kPgPageBytes != 0 && attempt < kWholePageAttemptsMax; ++attempt) {
            if (!parse_pg_relation_path(writer_.path_of(entry))) break;
            clock_.sleep(kTornWait, stop_);
            struct stat status;
            if (::fstat(file.get(), &status) != 0)
                return fail(errno_error(fmt::format("look at '{}'", printable(entry.path)), errno));
            size = static_cast<std::uint64_t>(status.st_size);
        }
        return size;
    }

    BackupWriter& writer_;
    Clock& clock_;
    std::function<Result<void>()> const& still_there_;
    std::stop_token stop_;
    Bytes buffer_;
    Duration next_;
};

// The session in which the backup runs: on the connection's database, or on `postgres` where that is not there.
Result<Connection> connect_session(std::string const& conninfo, std::stop_token stop) {
    auto connection = Connection::connect(conninfo, {}, stop);
    if (connection || connection.error().kind == ErrorKind::cancelled) return connection;
    auto other = TRY(with_database(conninfo, "postgres"));
    return Connection::connect(other, {}, stop);
}

Result<bool> may_begin(Connection& session, std::string const& slot, std::stop_token stop) {
    if (session.server_version() < kNewSyntax) return false;
    // Our slot is on the server that the other connection leads to: this has to be the same one.
    auto answer = TRY(session.query_value(
        "SELECT NOT pg_is_in_recovery() AND has_function_privilege('pg_backup_start(text,boolean)', 'execute') AND "
        "has_function_privilege('pg_backup_stop(boolean)', 'execute') AND "
        "EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = " + quote_literal(slot) + ")", stop));
    if (answer != "t") return false;
    // It is idle while files are read.
    TRY(session.query("SET idle_session_timeout = 0", stop));
    TRY(session.query("SET statement_timeout = 0", stop));
    return true;
}

}  // namespace

Result<std::optional<FileBackup>> FileBackup::open(FileBackupPlace const& place, Connection const& replication,
                                                   std::stop_token stop) {
    std::optional<FileBackup> none;
    if (!replication.is_local() || !place.data_directory.starts_with('/')) return none;
    Fd directory(::open(place.data_directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || !may_read(directory.get())) return none;
    // The slot was just made by the server, under a random name: the directory that has it is the server's own, not that
    // of a copy, and not one of the same path elsewhere (a container's, or that at the near end of a tunnel).
    struct stat status;
    if (::fstatat(directory.get(), ("pg_replslot/" + place.slot).c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return none;
    auto session = TRY(if_it_can(connect_session(place.conninfo, stop)));
    if (!session) return none;
    auto may = TRY(if_it_can(may_begin(*session, place.slot, stop)));
    if (!may || !*may) return none;
    FileBackup backup(place, std::move(*session), std::move(directory));
    auto const tablespaces = TRY(backup.tablespaces(stop));
    for (auto const& tablespace : tablespaces)
        if (tablespace.oid != 0 && (!tablespace.location.starts_with('/') || !same_mounts(backup.directory_.get()))) return none;
    return std::optional(std::move(backup));
}

// The data directory comes last, as the server sends it.
Result<std::vector<Tablespace>> FileBackup::tablespaces(std::stop_token stop) {
    auto const rows = TRY(connection_.query(
        "SELECT oid, pg_tablespace_location(oid) FROM pg_tablespace WHERE oid NOT IN (1663, 1664) ORDER BY oid", stop));
    std::vector<Tablespace> list;
    for (auto const& row : rows.rows) {
        Tablespace tablespace;
        auto const& oid = row.at(0).value();
        std::from_chars(oid.data(), oid.data() + oid.size(), tablespace.oid);
        tablespace.location = row.at(1).value_or("");
        list.push_back(std::move(tablespace));
    }
    list.push_back({});
    return list;
}

Result<void> FileBackup::read_tablespaces(std::vector<Tablespace> const& tablespaces, BackupWriter& writer,
                                          VisitClusterFile const& visit, std::stop_token stop) {
    for (auto const& tablespace : tablespaces) {
        if (tablespace.oid == 0) continue;
        Fd location(::open(tablespace.location.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!location) return fail(errno_error(fmt::format("open the tablespace '{}'", printable(tablespace.location)), errno));
        TRY(writer.archive_begin(tablespace));
        TRY(walk_tablespace(location.get(), connection_.major(), visit, stop));
        TRY(writer.archive_end());
    }
    return {};
}

// The segments from the backup's start to its end, complete since pg_backup_stop() switched to another, and the histories
// of timelines; each marked as archived, so that the restored cluster does not archive it again.
Result<void> FileBackup::add_log(BackupStart const& start, BackupEnd const& end, VisitClusterFile const& visit) {
    Fd log(::openat(directory_.get(), "pg_wal", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!log) return fail(errno_error("open 'pg_wal'", errno));
    auto names = sorted_names(log.get());
    if (!names) return fail(errno_error("list 'pg_wal'", names.error()));
    std::uint64_t segment = place_.wal_segment_bytes;
    auto first = wal_segment_name(start.timeline, start.lsn, place_.wal_segment_bytes);
    auto last = wal_segment_name(start.timeline, Lsn{(end.lsn.value - 1) / segment * segment}, place_.wal_segment_bytes);
    for (auto const& name : *names) {
        bool needed = is_wal_segment_name(name) && name >= first && name <= last;
        if (!needed && !name.ends_with(".history")) continue;
        auto file = open_file_at(log.get(), name.c_str());
        if (!file) return fail(errno_error(fmt::format("read 'pg_wal/{}'", printable(name)), file.error()));
        struct stat status;
        if (::fstat(file->get(), &status) != 0) return fail(errno_error("look at the log", errno));
        UstarEntry entry;
        entry.path = "pg_wal/" + name;
        entry.size = static_cast<std::uint64_t>(status.st_size);
        entry.mode = 0600;
        entry.uid = status.st_uid;
        entry.gid = status.st_gid;
        entry.user = entry.group = "postgres";
        entry.mtime = status.st_mtime;
        TRY(visit(entry, &*file));
        entry.path = "pg_wal/archive_status/" + name + ".done";
        entry.size = 0;
        TRY(visit(entry, nullptr));
    }
    return {};
}

Result<BackupEnd> FileBackup::run(std::string const& label, BackupWriter& writer, Clock& clock,
                                  std::function<Result<void>()> const& still_there, std::stop_token stop) {
    auto const before = TRY(tablespaces(stop));
    auto began = TRY(connection_.query_value("SELECT pg_backup_start(" + quote_literal(label) + ", true)", stop));
    BackupStart start;
    start.lsn = TRY(parse_lsn(began));
    start.timeline = place_.timeline;
    start.tablespaces = TRY(tablespaces(stop));
    auto location = [](Tablespace const& tablespace) { return std::pair(tablespace.oid, tablespace.location); };
    if (!std::ranges::equal(before, start.tablespaces, {}, location, location))
        return changed("a tablespace was made or dropped");
    TRY(writer.start(start));

    auto ask = [&]() -> Result<void> {
        TRY(connection_.query("SELECT 1", stop));
        return still_there();
    };
    std::function<Result<void>()> const asking = ask;
    FileFeed feed(writer, clock, asking, stop);
    VisitClusterFile const visit = [&](UstarEntry const& entry, Fd const* file) { return feed.take(entry, file); };
    TRY(read_tablespaces(start.tablespaces, writer, visit, stop));
    TRY(writer.archive_begin(start.tablespaces.back()));
    TRY(walk_data_directory(directory_.get(), visit, stop));

    auto const rows = TRY(connection_.query("SELECT lsn, labelfile, spcmapfile FROM pg_backup_stop(false)", stop));
    if (rows.rows.size() != 1 || !rows.rows[0].at(0) || !rows.rows[0].at(1))
        return fail(ErrorKind::damaged, "base backup: the server does not say where it ends");
    auto const& row = rows.rows[0];
    BackupEnd end;
    end.lsn = TRY(parse_lsn(*row[0]));
    end.timeline = start.timeline;
    struct stat status;
    if (::fstat(directory_.get(), &status) != 0) return fail(errno_error("look at the data directory", errno));
    BackupWriter::Owner const owner{status.st_uid, status.st_gid};
    TRY(writer.add_small_file("backup_label", *row[1], owner));
    if (row[2] && !row[2]->empty()) TRY(writer.add_small_file("tablespace_map", *row[2], owner));
    TRY(add_log(start, end, visit));
    TRY(writer.archive_end());
    TRY(writer.make_manifest(end));
    return end;
}

}  // namespace holdfast::postgres
