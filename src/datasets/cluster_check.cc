#include "datasets/cluster_check.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast {
namespace {

using postgres::Connection;

// Long enough for locks of the server's own, short enough to be waited for at each step of a search.
constexpr std::string_view kLockTimeout = "2s";
constexpr std::string_view kSyntaxError = "42601", kLockNotAvailable = "55P03", kQueryCanceled = "57014";

// Undefined: table, column, function, object, schema.
bool names_what_is_not_there(std::string_view sqlstate) {
    constexpr std::string_view kStates[] = {"42P01", "42703", "42883", "42704", "3F000"};
    return std::ranges::find(kStates, sqlstate) != std::end(kStates);
}

Result<CheckAnswer> read_answer(postgres::Rows const& rows) {
    auto no_answer = [] {
        return fail(ErrorKind::usage, "the check gives no answer: it must be one row of one column, true or false",
                    "for example: select count(*) > 1000 from orders");
    };
    if (rows.rows.size() != 1 || rows.rows[0].size() != 1) return no_answer();
    auto const& cell = rows.rows[0][0];
    if (cell && *cell != "t" && *cell != "f") return no_answer();
    return CheckAnswer{.held = cell == "t", .said = ""};
}

}  // namespace

Result<CheckAnswer> ask(postgres::IsolatedCluster const& cluster, ClusterCheck const& check, std::stop_token stop) {
    for (bool opened = false;;) {
        auto connected = Connection::connect(cluster.conninfo(check.database), {}, stop);
        if (!connected && connected.error().kind == ErrorKind::not_found) return CheckAnswer{false, connected.error().message};
        auto connection = TRY(std::move(connected));
        auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(check.timeout).count();
        TRY(connection.query(fmt::format("SET statement_timeout = {}", milliseconds), stop));
        TRY(connection.query(fmt::format("SET lock_timeout = '{}'", kLockTimeout), stop));
        TRY(connection.query("SET default_transaction_read_only = on", stop));
        auto rows = connection.query(check.sql, stop);
        if (rows) return read_answer(*rows);
        auto error = std::move(rows).error();
        auto const state = connection.last_sqlstate();
        if (error.kind == ErrorKind::cancelled) return fail(std::move(error));
        if (names_what_is_not_there(state)) return CheckAnswer{false, std::move(error.message)};
        if (state == kLockNotAvailable && !opened) {
            auto own = TRY(Connection::connect(cluster.conninfo("template1"), {}, stop));
            TRY(own.query("SELECT pg_promote() WHERE pg_is_in_recovery()", stop));
            opened = true;
            continue;
        }
        if (state == kQueryCanceled) error.hint = "give it longer: --timeout";
        error.kind = state == kSyntaxError ? ErrorKind::usage : ErrorKind::check_failed;
        return fail(std::move(error).within("the check"));
    }
}

}  // namespace holdfast
