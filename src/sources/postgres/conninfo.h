#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace holdfast::postgres {

// Checks a libpq connection string ("host=db1 user=backup", "service=spikeformer", a postgresql:// URI)
// and says what it leads to, for messages and attributes: "service=spikeformer", "db1:5432",
// "/run/postgresql:5432". `usage` when it is malformed or holds a password (which would then stand in
// plans, logs and process lists). Messages never quote the string.
Result<std::string> describe_conninfo(std::string const& conninfo);

// The database that a connection string names; empty when it names none (a service file or the user may).
// Errors as above.
Result<std::string> database_of(std::string const& conninfo);
// The same connection to another database. Errors as above.
Result<std::string> with_database(std::string const& conninfo, std::string_view database);

}  // namespace holdfast::postgres
