#pragma once

#include <stop_token>
#include <string>

#include "base/result.h"

namespace holdfast::postgres {

// The path of one of PostgreSQL's programs ("postgres", "pg_verifybackup", "pg_amcheck") of a major
// version: where Debian and Red Hat put them, or where pg_config says when it is of that version.
// not_found names the package that is missing.
Result<std::string> find_program(int major, std::string const& program, std::stop_token stop);

}  // namespace holdfast::postgres
