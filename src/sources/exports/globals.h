#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sources/exports/sql_script.h"
#include "sources/postgres/connection.h"

namespace holdfast::postgres {

// What all databases of a cluster share, as `pg_dumpall --globals-only` writes it.
struct Globals {
    std::vector<SqlStatement> statements;

    // `damaged` on a script that is not one of these, or does not have its end.
    static Result<Globals> parse(std::string_view script);
    std::set<std::string> roles() const;
    std::map<std::string, std::string> tablespaces() const;  // name → where it was
};

// What of it a server does not have yet.
struct MissingGlobals {
    std::vector<std::string> roles_new, roles_kept;  // kept as they are there
    std::vector<std::string> tablespaces_new, tablespaces_kept;
};
Result<MissingGlobals> compare_globals(Globals const& globals, Connection& server, std::stop_token stop);

// Makes the roles and tablespaces that the server does not have, with all that belongs to them. Those that it has stay
// as they are, their passwords included; membership in roles is granted to all. Roles are made in one transaction.
// `locations`: where a tablespace goes, by its name or by where it was. Errors name the role or tablespace and never
// quote a password.
Result<void> apply_globals(Globals const& globals, Connection& server,
                           std::map<std::string, std::string> const& locations, std::stop_token stop);

}  // namespace holdfast::postgres
