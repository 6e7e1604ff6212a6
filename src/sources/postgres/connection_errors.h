#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace holdfast::postgres {

// What libpq says when a connection fails, in its verbose form:
// "connection to server at … failed: FATAL:  53300: too many …\nLOCATION:  …".
struct ConnectFailure {
    std::string name;     // what was connected to
    std::string user;
    std::string message;  // libpq's, verbose
    bool replication = false;
};

// The five characters behind the severity; empty when no server answered.
std::string sqlstate_in(std::string_view message);
// The message without SQLSTATE, source locations and line breaks.
std::string plain_message(std::string_view message);
// The error with its hint: what to grant, raise or start. Always `unreachable`, except for a database
// that does not exist (`not_found`).
Error connect_error(ConnectFailure const& failure);
// Hint and kind for an error that a server reports on an open connection.
Error command_error(std::string_view sqlstate, std::string message, std::string_view user);

}  // namespace holdfast::postgres
