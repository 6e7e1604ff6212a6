#include "sources/exports/capture_export.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "archive/tree.h"
#include "base/text.h"
#include "os/clock.h"
#include "os/run_into.h"
#include "os/users.h"
#include "sources/exports/client_programs.h"
#include "sources/exports/export_document.h"
#include "sources/exports/globals.h"
#include "sources/exports/snapshot.h"
#include "sources/postgres/conninfo.h"

namespace holdfast::postgres {
namespace {

// A lock that somebody holds for longer keeps the export from being made at all, and is told.
constexpr std::string_view kLockWait = "600s";
// Roles that every server has (pg_database_owner): nobody else's name may begin so.
constexpr std::string_view kOfEveryServer = "pg_";
constexpr std::string_view kDatabases =
    "SELECT datname, datallowconn AND NOT datistemplate FROM pg_catalog.pg_database ORDER BY datname";

struct Names {
    std::vector<std::string> wanted, left_out;
};

Result<Names> databases_of(Connection& server, std::stop_token stop) {
    // Names as they are stored: bytes of whatever encoding they were given in.
    TRY(server.query("SELECT set_config('client_encoding', current_setting('server_encoding'), false)", stop));
    auto rows = TRY(server.query(std::string(kDatabases), stop));
    Names names;
    for (auto const& row : rows.rows) (row.at(1) == "t" ? names.wanted : names.left_out).push_back(row.at(0).value_or(""));
    return names;
}

// The database to ask for what all of them share.
Result<std::string> maintenance(std::string const& conninfo) {
    auto stated = TRY(database_of(conninfo));
    return with_database(conninfo, stated.empty() ? "postgres" : stated);
}

// A server that is gone is something else than an export that can't be made.
Error why_it_failed(Error error, bool server_answers) {
    if (server_answers) return error;
    error.kind = ErrorKind::unreachable;
    if (error.hint.empty()) error.hint = "the server went away meanwhile: nothing was stored; try again";
    return error;
}

class Export {
  public:
    Export(std::string const& conninfo, CaptureContext const& context)
        : conninfo_(conninfo), context_(context), clock_(context.repository.world().clock), tree_(context.ingest) {}

    Result<Capture> run() {
        auto& point = capture_.point;
        point.dataset = context_.dataset;
        point.root = "/";
        point.started = clock_.now();
        auto to = TRY(maintenance(conninfo_));
        auto server = TRY(Connection::connect(to, {}, context_.stop));
        auto names = TRY(databases_of(server, context_.stop));
        dump_ = TRY(find_client_program(server.major(), "pg_dump", context_.stop));
        document_.dump_major = TRY(program_major(dump_, context_.stop));
        document_.server_version = server.version_text();
        document_.left_out = std::move(names.left_out);
        progress_.what = "exporting";
        progress_.bytes_total = TRY(size_of(server, names.wanted));
        TRY(take_snapshots(names.wanted));
        for (auto& snapshot : snapshots_) TRY(export_database(snapshot));
        TRY(export_globals(server, to));
        TRY(add_file(std::string(kExportDocument), encode(document_)));
        point.tree = TRY(tree_.finish());
        point.time = document_.databases.empty() ? point.started : document_.databases.front().time;
        point.attributes["server_version"] = document_.server_version;
        point.attributes["connection"] = server.name();
        point.attributes["databases"] = listed();
        return std::move(capture_);
    }

  private:
    // An estimate: indexes take room that the export does not need.
    Result<std::uint64_t> size_of(Connection& server, std::vector<std::string> const& names) {
        std::uint64_t bytes = 0;
        for (auto const& name : names) {
            auto size = server.query_value(fmt::format("SELECT pg_catalog.pg_database_size({})", quote_literal(name)), context_.stop);
            if (!size && size.error().kind == ErrorKind::cancelled) return fail(std::move(size).error());
            if (size) bytes += std::strtoull(size->c_str(), nullptr, 10);
        }
        return bytes;
    }

    Result<void> take_snapshots(std::vector<std::string> const& names) {
        for (auto const& name : names) {
            // What is committed from here on may be in it, what was before is.
            auto const time = clock_.now();
            auto snapshot = Snapshot::take(conninfo_, name, context_.stop).within(fmt::format("database '{}'", printable(name)));
            snapshots_.push_back(TRY(std::move(snapshot)));
            document_.databases.push_back({.name = name, .file = export_file_of(name), .time = time, .tables = {}});
        }
        return {};
    }

    Result<void> export_database(Snapshot& snapshot) {
        auto& database = *std::ranges::find(document_.databases, snapshot.database(), &ExportedDatabase::name);
        auto context = fmt::format("database '{}'", printable(database.name));
        auto to = TRY(with_database(conninfo_, database.name));
        auto command = client_command({dump_, "--format=custom", "--compress=0", "--no-password",
                                       fmt::format("--lock-wait-timeout={}", kLockWait),
                                       "--snapshot=" + snapshot.id(), "--dbname=" + to});
        auto stream = context_.ingest.open_stream(ChunkKind::data, {});
        PgArchiveReader reader;
        progress_.current = database.name;
        auto take = [&](ByteView bytes) -> Result<void> {
            TRY(reader.push(bytes));
            TRY(stream->append(bytes));
            progress_.bytes += bytes.size();
            progress_.bytes_total = std::max(progress_.bytes, progress_.bytes_total);
            if (context_.progress) context_.progress(progress_);
            return {};
        };
        auto result = TRY(run_into(take, command, context_.stop).within(context));
        if (!result.success()) {
            auto error = why_it_failed(client_failure("pg_dump", result), snapshot.is_alive(context_.stop));
            return fail(std::move(error).within(context));
        }
        auto archive = TRY(reader.finish().within(context));
        TRY(snapshot.check(archive).within(context));
        database.bytes = archive.bytes;
        database.large_objects = archive.large_objects;
        database.tables = exported_tables(archive);
        for (auto const& entry : archive.entries)
            if (!entry.owner.empty()) owners_.emplace(entry.owner, database.name);
        auto content = TRY(stream->finish());
        return add(database.file, std::move(content));
    }

    Result<void> export_globals(Connection& server, std::string const& to) {
        auto readable = TRY(server.query_value("SELECT has_table_privilege('pg_catalog.pg_authid', 'select')", context_.stop));
        document_.passwords = readable == "t";
        auto program = TRY(find_client_program(server.major(), "pg_dumpall", context_.stop));
        auto command = client_command({program, "--globals-only", "--no-password", "--dbname=" + to});
        if (!document_.passwords) {
            command.argv.push_back("--no-role-passwords");
            capture_.problem_count = 1;
            capture_.problems.push_back({std::string(kExportGlobals),
                                         fmt::format("the roles' passwords are not in it: '{}' may not read pg_authid", server.user())});
        }
        std::string script;
        auto take = [&](ByteView bytes) -> Result<void> {
            script += as_text(bytes);
            return {};
        };
        auto result = TRY(run_into(take, command, context_.stop).within("roles and tablespaces"));
        if (!result.success()) {
            auto const alive = server.query("SELECT 1", context_.stop).has_value();
            return fail(why_it_failed(client_failure("pg_dumpall", result), alive).within("roles and tablespaces"));
        }
        auto globals = TRY(Globals::parse(script));
        auto roles = globals.roles();
        for (auto const& [owner, database] : owners_) {
            if (roles.contains(owner) || owner.starts_with(kOfEveryServer)) continue;
            return fail(ErrorKind::check_failed,
                        fmt::format("role '{}', who owns something in database '{}', is not among the roles", printable(owner),
                                    printable(database)),
                        "it was dropped or renamed meanwhile: try again");
        }
        return add_file(std::string(kExportGlobals), script);
    }

    Result<void> add_file(std::string const& path, std::string_view text) {
        auto stream = context_.ingest.open_stream(ChunkKind::data, {});
        TRY(stream->append(as_bytes(text)));
        auto content = TRY(stream->finish());
        return add(path, std::move(content));
    }

    Result<void> add(std::string const& path, Content content) {
        Entry entry;
        entry.name = path.substr(path.rfind('/') + 1);
        entry.type = EntryType::file;
        entry.mode = 0600;
        entry.uid = ::geteuid();
        entry.gid = ::getegid();
        entry.user = user_name(entry.uid).value_or("");
        entry.group = group_name(entry.gid).value_or("");
        entry.mtime_seconds = std::chrono::floor<std::chrono::seconds>(capture_.point.started).time_since_epoch().count();
        capture_.point.bytes += content.size;
        ++capture_.point.files;
        entry.content = std::move(content);
        return tree_.add(path, std::move(entry));
    }

    std::string listed() const {
        std::vector<std::string> lines;
        for (auto const& database : document_.databases) lines.push_back(printable(database.name));
        return join(lines, "\n");
    }

    std::string const& conninfo_;
    CaptureContext const& context_;
    Clock& clock_;
    TreeBuilder tree_;
    Capture capture_;
    ExportDocument document_;
    std::vector<Snapshot> snapshots_;
    std::map<std::string, std::string> owners_;  // role → a database where it owns something
    std::string dump_;
    Progress progress_;
};

}  // namespace

Result<Capture> capture_export(std::string const& conninfo, CaptureContext const& context) {
    return Export(conninfo, context).run();
}

}  // namespace holdfast::postgres
