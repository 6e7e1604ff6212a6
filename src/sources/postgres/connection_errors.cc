#include "sources/postgres/connection_errors.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace holdfast::postgres {
namespace {

bool is_sqlstate(std::string_view text) {
    return text.size() == 5 && std::ranges::all_of(text, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
           });
}

// Where ":  53300: " begins; npos when there is none.
std::size_t find_sqlstate(std::string_view message, std::size_t from = 0) {
    for (auto at = message.find(":  ", from); at != message.npos; at = message.find(":  ", at + 1))
        if (is_sqlstate(message.substr(at + 3, 5)) && message.substr(at + 8, 2) == ": ") return at;
    return message.npos;
}

std::string hba_hint(ConnectFailure const& failure) {
    bool local = failure.name.starts_with('/') || failure.name.starts_with("local");
    auto database = failure.replication ? "replication" : "all";
    return local ? fmt::format("let the role in with a line in pg_hba.conf, then reload: "
                               "\"local {} {} peer\"", database, failure.user)
                 : fmt::format("let the role in with a line in pg_hba.conf, then reload: "
                               "\"hostssl {} {} ADDRESS/32 scram-sha-256\"", database, failure.user);
}

std::string grant_hint(std::string_view user) {
    return fmt::format("grant it as a superuser: ALTER ROLE {} REPLICATION; and let it in with a line in pg_hba.conf: "
                       "\"local replication {} peer\" or \"hostssl replication {} ADDRESS/32 scram-sha-256\"",
                       user, user, user);
}

}  // namespace

std::string sqlstate_in(std::string_view message) {
    auto at = find_sqlstate(message);
    return at == message.npos ? std::string() : std::string(message.substr(at + 3, 5));
}

std::string plain_message(std::string_view message) {
    std::string text(message);
    for (auto at = find_sqlstate(text); at != text.npos; at = find_sqlstate(text, at + 1))
        text.erase(at + 1, 8);
    std::vector<std::string> kept;
    for (auto const& line : split(text, '\n')) {
        auto first = line.find_first_not_of(" \t");
        if (first == line.npos || line.starts_with("LOCATION:")) continue;
        kept.push_back(line.substr(first));
    }
    return join(kept, "; ");
}

Error connect_error(ConnectFailure const& failure) {
    auto state = sqlstate_in(failure.message);
    Error error{ErrorKind::unreachable,
                fmt::format("connect to PostgreSQL at {}: {}", failure.name, plain_message(failure.message)), {}};
    if (state.empty()) {
        error.hint = "check that the server runs and listens there, and that the connection string is right";
    } else if (state == "42501") {
        error.hint = grant_hint(failure.user);
    } else if (state == "28000") {
        error.hint = failure.message.find("pg_hba.conf") != std::string::npos
                         ? hba_hint(failure)
                         : "check the role, and what pg_hba.conf asks of it";
    } else if (state == "28P01") {
        error.hint = "put the password into a service file or a password file (~/.pgpass, PGPASSFILE)";
    } else if (state == "53300") {
        error.hint = failure.replication
                         ? "all of the server's max_wal_senders are in use: raise it, or end what uses them "
                           "(pg_stat_replication shows who)"
                         : "the server's max_connections are in use: raise it, or end idle ones";
    } else if (state == "57P03") {
        error.hint = "the server is starting, stopping or recovering: try again later";
    } else if (state == "3D000") {
        error.kind = ErrorKind::not_found;
    }
    return error;
}

Error command_error(std::string_view sqlstate, std::string message, std::string_view user) {
    Error error{ErrorKind::unreachable, std::move(message), {}};
    if (sqlstate == "42501") {
        error.hint = grant_hint(user);
    } else if (sqlstate.starts_with("42")) {
        error.kind = ErrorKind::usage;  // syntax, unknown names
    } else if (sqlstate == "53400") {
        error.hint = "all of the server's max_replication_slots are in use: raise it, or drop slots that nobody "
                     "needs (pg_replication_slots shows them)";
    } else if (sqlstate == "55000") {
        error.hint = "the server needs wal_level = replica (or logical) for base backups";
    } else if (sqlstate == "53100") {
        error.hint = "the server's disk is full";
    }
    return error;
}

}  // namespace holdfast::postgres
