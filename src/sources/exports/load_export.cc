#include "sources/exports/load_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "base/text.h"
#include "sources/exports/client_programs.h"
#include "sources/postgres/conninfo.h"

namespace holdfast::postgres {
namespace {

// What somebody made in a database: everything beyond what initdb made has a number from here on (FirstNormalObjectId).
constexpr std::string_view kContents =
    "SELECT what FROM ("
    "SELECT 'schema ' || nspname FROM pg_catalog.pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_' UNION ALL "
    "SELECT 'relation ' || relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace "
    "WHERE c.oid >= 16384 AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND nspname !~ '^pg_' UNION ALL "
    "SELECT 'function ' || proname FROM pg_catalog.pg_proc WHERE oid >= 16384 UNION ALL "
    "SELECT 'type ' || typname FROM pg_catalog.pg_type WHERE oid >= 16384 AND typtype IN ('d', 'e', 'r') UNION ALL "
    "SELECT 'extension ' || extname FROM pg_catalog.pg_extension WHERE oid >= 16384 UNION ALL "
    "SELECT 'large object ' || oid FROM pg_catalog.pg_largeobject_metadata) found (what) LIMIT 4";

// Which database to be connected to while others are made: template1 is there in every cluster.
Result<std::string> maintenance_of(std::string const& conninfo, std::vector<ExportedDatabase const*> const& loaded) {
    auto stated = TRY(database_of(conninfo));
    auto const busy = std::ranges::any_of(loaded, [&](auto const* database) { return database->name == stated; });
    return with_database(conninfo, stated.empty() || busy ? "template1" : stated);
}

Result<std::vector<ExportedDatabase const*>> chosen_of(ExportFiles const& files, LoadOptions const& options) {
    std::vector<ExportedDatabase const*> chosen;
    auto const& all = files.document.databases;
    for (auto const& database : all)
        if (options.databases.empty()) chosen.push_back(&database);
    for (auto const& name : options.databases) {
        auto found = std::ranges::find(all, name, &ExportedDatabase::name);
        std::vector<std::string> names;
        for (auto const& database : all) names.push_back(printable(database.name));
        if (found == all.end())
            return fail(ErrorKind::not_found, fmt::format("the export has no database '{}'", printable(name)),
                        "it has: " + join(names, ", "));
        chosen.push_back(&*found);
    }
    return chosen;
}

// The number of a database; empty when there is none of that name.
Result<std::string> oid_of(Connection& server, std::string const& name, std::stop_token stop) {
    auto rows = TRY(server.query("SELECT oid FROM pg_catalog.pg_database WHERE datname = " + quote_literal(name), stop));
    return rows.rows.empty() ? std::string() : rows.rows[0].at(0).value_or("");
}

// Names that are compared are bytes.
Result<Connection> connect_plainly(std::string const& conninfo, std::stop_token stop) {
    auto connection = TRY(Connection::connect(conninfo, {}, stop));
    TRY(connection.query("SELECT set_config('client_encoding', current_setting('server_encoding'), false)", stop));
    return connection;
}

Result<LoadPlan::Database> look_at(ExportedDatabase const& database, Connection& server, std::string const& conninfo,
                                   std::stop_token stop) {
    LoadPlan::Database found{.exported = &database, .oid = {}, .holds = {}};
    found.oid = TRY(oid_of(server, database.name, stop));
    if (found.oid.empty()) return found;
    auto to = TRY(with_database(conninfo, database.name));
    auto inside = TRY(connect_plainly(to, stop));
    auto rows = TRY(inside.query(std::string(kContents), stop));
    std::vector<std::string> names;
    for (auto const& row : rows.rows) names.push_back(printable(row.at(0).value_or("")));
    found.before = names.empty() ? LoadPlan::Before::empty : LoadPlan::Before::full;
    found.holds = join(names, ", ");
    return found;
}

// Whether a failure came before the database was made: at its own entry (of the catalog 1262, pg_database).
bool failed_at_database(std::string const& message) { return message.find("; 1262 ") != message.npos; }

class Load {
  public:
    Load(ExportFiles const& files, std::string const& conninfo, LoadOptions const& options, ProgressCallback const& progress,
         std::stop_token stop)
        : files_(files), conninfo_(conninfo), options_(options), progress_(progress), stop_(stop) {}

    Result<std::vector<Finding>> run() {
        auto plan = TRY(plan_load(files_, conninfo_, options_, stop_));
        std::vector<ExportedDatabase const*> loaded;
        for (auto const& database : plan.databases) loaded.push_back(database.exported);
        maintenance_ = TRY(maintenance_of(conninfo_, loaded));
        auto const major = std::max(plan.major, files_.document.dump_major);
        program_ = TRY(find_client_program(major, "pg_restore", stop_));
        {
            auto server = TRY(connect_plainly(maintenance_, stop_));
            TRY(apply_globals(files_.globals, server, options_.tablespaces, stop_));
        }
        Progress at{.what = "loading", .current = {}, .files_total = plan.databases.size()};
        for (auto const* database : loaded) at.bytes_total += database->bytes;
        std::vector<Finding> findings;
        for (auto const& database : plan.databases) {
            at.current = database.exported->name;
            if (progress_) progress_(at);
            auto finding = load(database).within(fmt::format("database '{}'", printable(database.exported->name)));
            findings.push_back(TRY(std::move(finding)));
            at.bytes += database.exported->bytes;
            ++at.files;
        }
        return findings;
    }

  private:
    Result<Finding> load(LoadPlan::Database const& database) {
        auto command = client_command({program_, "--exit-on-error", "--create", "--no-password",
                                       fmt::format("--jobs={}", std::max(1u, options_.jobs))});
        if (database.before != LoadPlan::Before::missing) {
            command.argv.push_back("--clean");
            command.argv.push_back("--if-exists");
        }
        command.argv.push_back("--dbname=" + maintenance_);
        command.argv.push_back((files_.directory / database.exported->file).native());
        auto result = holdfast::run(command, stop_);
        if (!result || !result->success()) {
            auto error = result ? client_failure("pg_restore", *result) : std::move(result).error();
            return fail(undo(database, std::move(error)));
        }
        return count(*database.exported);
    }

    // Half a database must not be taken for one. What was there before pg_restore began, or was made by somebody else
    // meanwhile, is left alone.
    Error undo(LoadPlan::Database const& database, Error error) {
        auto const& name = database.exported->name;
        if (failed_at_database(error.message)) return error;
        // Also after a stop.
        auto server = connect_plainly(maintenance_, {});
        auto now = server ? oid_of(*server, name, {}) : Result<std::string>(std::string());
        if (server && now && (now->empty() || *now == database.oid)) return error;
        auto dropped = server && now && server->query(fmt::format("DROP DATABASE {}", quote_name(name)), {});
        if (!dropped) error.hint = fmt::format("drop database '{}' before you try again: it is not whole", printable(name));
        return error;
    }

    Result<Finding> count(ExportedDatabase const& database) {
        auto to = TRY(with_database(conninfo_, database.name));
        auto connection = TRY(connect_plainly(to, stop_));
        TRY(connection.query("SET row_security = off", stop_));
        Finding finding{"database " + database.name, Finding::Verdict::verified, {}};
        std::uint64_t rows = 0;
        auto compare = [&](std::string const& what, std::string const& sql, std::uint64_t expected) -> Result<void> {
            auto value = TRY(connection.query_value(sql, stop_));
            auto const found = std::strtoull(value.c_str(), nullptr, 10);
            if (found == expected || finding.verdict == Finding::Verdict::damaged) return {};
            finding.verdict = Finding::Verdict::damaged;
            finding.detail = fmt::format("{}: {} came back, and {} were exported", printable(what), found, expected);
            return {};
        };
        for (auto const& table : database.tables) {
            auto const name = fmt::format("{}.{}", quote_name(table.schema), quote_name(table.name));
            TRY(compare("rows of " + name, "SELECT count(*) FROM ONLY " + name, table.rows));
            rows += table.rows;
        }
        TRY(compare("large objects", "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata", database.large_objects));
        if (finding.verdict == Finding::Verdict::verified)
            finding.detail = fmt::format("{} tables with {} rows and {} large objects came back: all that were exported",
                                         database.tables.size(), rows, database.large_objects);
        return finding;
    }

    ExportFiles const& files_;
    std::string const& conninfo_;
    LoadOptions const& options_;
    ProgressCallback const& progress_;
    std::stop_token stop_;
    std::string maintenance_;
    std::string program_;
};

}  // namespace

Result<LoadPlan> plan_load(ExportFiles const& files, std::string const& conninfo, LoadOptions const& options,
                           std::stop_token stop) {
    auto chosen = TRY(chosen_of(files, options));
    auto to = TRY(maintenance_of(conninfo, chosen));
    auto server = TRY(connect_plainly(to, stop));
    LoadPlan plan{.server = server.name(), .major = server.major(), .globals = {}, .databases = {}};
    auto const exported = std::atoi(files.document.server_version.c_str());
    if (server.major() < exported)
        return fail(ErrorKind::usage, fmt::format("PostgreSQL at {} has version {}, and {} was exported", plan.server,
                                                  server.version_text(), files.document.server_version),
                    "an export goes into a server of the same version or a later one");
    plan.globals = TRY(compare_globals(files.globals, server, stop));
    // Roles come with attributes (and others with memberships) that only a superuser may give.
    auto const superuser = TRY(server.query_value("SELECT rolsuper FROM pg_roles WHERE rolname = current_user", stop));
    if (superuser != "t" && !plan.globals.roles_new.empty())
        return fail(ErrorKind::unreachable,
                    fmt::format("PostgreSQL at {} lacks {} of the export's roles, and this user may not make them", plan.server,
                                plan.globals.roles_new.size()),
                    "--into as a superuser, or make the roles first (globals.sql of the export says how)");
    for (auto const* database : chosen) {
        auto found = TRY(look_at(*database, server, conninfo, stop).within(fmt::format("database '{}'", printable(database->name))));
        if (found.before == LoadPlan::Before::full && !options.replace)
            return fail(ErrorKind::unsafe, fmt::format("database '{}' is there already, and not empty: {}",
                                                       printable(database->name), found.holds),
                        "--replace drops it first; --database NAME chooses others");
        plan.databases.push_back(std::move(found));
    }
    return plan;
}

Result<std::vector<Finding>> load_export(ExportFiles const& files, std::string const& conninfo, LoadOptions const& options,
                                         ProgressCallback const& progress, std::stop_token stop) {
    return Load(files, conninfo, options, progress, stop).run();
}

}  // namespace holdfast::postgres
