#pragma once

#include <string>
#include <vector>

#include "os/process.h"

namespace holdfast::postgres {

// The path of one of PostgreSQL's client programs: of version `major`, or of the next later one that is here.
// not_found names the package that is missing.
Result<std::string> find_client_program(int major, std::string const& program, std::stop_token stop);
// "15" of what it calls itself: "pg_dump (PostgreSQL) 15.18 (Debian …)".
Result<int> program_major(std::string const& path, std::stop_token stop);

// A client program that asks nobody for a password and speaks English. Nothing in `argv` may be a secret.
Command client_command(std::vector<std::string> argv);

// Why it failed, in its own words: "pg_restore: from TOC entry 215; 1259 16385 TABLE t owner: error: …". Never the
// statement that failed: it may hold somebody's password.
Error client_failure(std::string const& program, ProcessResult const& result);

}  // namespace holdfast::postgres
