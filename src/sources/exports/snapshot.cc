#include "sources/exports/snapshot.h"

#include <fmt/format.h>

#include <cstdlib>
#include <set>
#include <tuple>

#include "base/text.h"
#include "sources/postgres/conninfo.h"

namespace holdfast::postgres {
namespace {

// The session waits while pg_dump works; names must be the bytes that pg_dump writes, which are the database's own.
constexpr std::string_view kSession[] = {
    "SET idle_in_transaction_session_timeout = 0",
    "SET statement_timeout = 0",
    "SELECT set_config('client_encoding', current_setting('server_encoding'), false)",
    "SELECT set_config('search_path', '', false)",
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
};

constexpr std::string_view kRelations =
    "SELECT n.nspname, c.relname, c.relkind FROM pg_catalog.pg_class c "
    "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p', 'S') AND c.relpersistence <> 't' "
    "AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp_)' "
    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass "
    "AND d.objid = c.oid AND d.objsubid = 0 AND d.deptype = 'e')";

}  // namespace

Result<Snapshot> Snapshot::take(std::string const& conninfo, std::string const& database, std::stop_token stop) {
    auto to = TRY(with_database(conninfo, database));
    auto connection = TRY(Connection::connect(to, {}, stop));
    Snapshot snapshot(std::move(connection));
    snapshot.database_ = database;
    for (auto const& command : kSession) TRY(snapshot.connection_.query(std::string(command), stop));
    snapshot.id_ = TRY(snapshot.connection_.query_value("SELECT pg_catalog.pg_export_snapshot()", stop));
    auto rows = TRY(snapshot.connection_.query(std::string(kRelations), stop));
    for (auto const& row : rows.rows)
        snapshot.relations_.push_back({row[0].value_or(""), row[1].value_or(""), row[2].value_or("?")[0]});
    auto objects = TRY(snapshot.connection_.query_value("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata", stop));
    snapshot.large_objects_ = std::strtoull(objects.c_str(), nullptr, 10);
    return snapshot;
}

bool Snapshot::is_alive(std::stop_token stop) { return connection_.query("SELECT 1", stop).has_value(); }

Result<void> Snapshot::check(PgArchive const& archive) const {
    std::set<std::tuple<std::string_view, std::string_view, std::string_view>> listed;
    for (auto const& entry : archive.entries) listed.emplace(entry.kind, entry.schema, entry.name);
    auto missing = [&](Relation const& relation, std::string_view kind) -> Result<void> {
        if (listed.contains({kind, relation.schema, relation.name})) return {};
        return fail(ErrorKind::damaged, fmt::format("the export has no {} of {}.{}", kind, printable(relation.schema),
                                                    printable(relation.name)),
                    "try again; if it happens again, report it with the versions of pg_dump and of the server");
    };
    for (auto const& relation : relations_) {
        TRY(missing(relation, relation.kind == 'S' ? "SEQUENCE" : "TABLE"));
        if (relation.kind == 'r') TRY(missing(relation, "TABLE DATA"));
        if (relation.kind == 'S') TRY(missing(relation, "SEQUENCE SET"));
    }
    if (archive.large_objects != large_objects_)
        return fail(ErrorKind::damaged, fmt::format("the export has {} large objects, and the database {}",
                                                    archive.large_objects, large_objects_));
    return {};
}

}  // namespace holdfast::postgres
