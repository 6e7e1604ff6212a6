#include "sources/postgres/connection.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <future>
#include <thread>

#include "os/clock.h"
#include "sources/postgres/connection_errors.h"
#include "sources/postgres/conninfo.h"

namespace holdfast::postgres {
namespace {

// How long a stop may go unnoticed while we wait for the server.
constexpr int kStopCheckMilliseconds = 50;
// How long the request to cancel may take before the connection is just dropped.
constexpr auto kCancelWait = std::chrono::milliseconds(300);
constexpr std::size_t kNoticesMax = 1000;

constexpr int kMajorMin = 12, kMajorMax = 17;

struct FreeResult {
    void operator()(PGresult* result) const { PQclear(result); }
};
using ResultHandle = std::unique_ptr<PGresult, FreeResult>;

Error cancelled(std::string_view name) {
    return {ErrorKind::cancelled, fmt::format("PostgreSQL at {}: stopped", name), {}};
}

std::string field(PGresult const* result, int code) {
    auto text = PQresultErrorField(result, code);
    return text ? text : "";
}

void keep_notice(void* where, PGresult const* result) {
    auto& notices = *static_cast<std::vector<Notice>*>(where);
    // Callbacks of C must not throw.
    try {
        if (notices.size() < kNoticesMax)
            notices.push_back({field(result, PG_DIAG_SEVERITY_NONLOCALIZED) == "WARNING",
                               field(result, PG_DIAG_MESSAGE_PRIMARY)});
    } catch (std::exception const&) {
    }
}

Rows rows_of(PGresult const* result) {
    Rows rows;
    for (int column = 0; column < PQnfields(result); ++column) rows.columns.push_back(PQfname(result, column));
    for (int row = 0; row < PQntuples(result); ++row) {
        auto& cells = rows.rows.emplace_back();
        for (int column = 0; column < PQnfields(result); ++column) {
            if (PQgetisnull(result, row, column))
                cells.push_back(std::nullopt);
            else
                cells.push_back(std::string(PQgetvalue(result, row, column),
                                            static_cast<std::size_t>(PQgetlength(result, row, column))));
        }
    }
    return rows;
}

// Waits for the socket; true when it is ready, false when the slice of time went by.
bool poll_once(int socket, bool reading) {
    pollfd entry{socket, static_cast<short>(reading ? POLLIN : POLLOUT), 0};
    return ::poll(&entry, 1, kStopCheckMilliseconds) > 0;
}

// connect_timeout of the connection string, of its service or of the environment, as libpq reads it.
std::optional<Duration> stated_timeout(PGconn* connection) {
    std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfo(connection), &PQconninfoFree);
    for (auto const* option = options.get(); option && option->keyword; ++option)
        if (std::string_view(option->keyword) == "connect_timeout" && option->val && *option->val)
            if (int seconds = std::atoi(option->val); seconds > 0) return std::chrono::seconds(seconds);
    return std::nullopt;
}

}  // namespace

struct Connection::State {
    ~State() { PQfinish(connection); }

    PGconn* connection = nullptr;
    std::string name;
    std::string sqlstate;
    std::vector<Notice> notices;
    char* copy_buffer = nullptr;

    void drop_copy_buffer() {
        PQfreemem(copy_buffer);
        copy_buffer = nullptr;
    }
};

Connection::Connection() : state_(std::make_unique<State>()) {}
Connection::~Connection() {
    if (state_) state_->drop_copy_buffer();
}
Connection::Connection(Connection&&) noexcept = default;
Connection& Connection::operator=(Connection&& other) noexcept {
    std::swap(state_, other.state_);
    return *this;
}

Result<Connection> Connection::connect(std::string const& conninfo, ConnectOptions options,
                                       std::stop_token stop) {
    Connection opened;
    auto& state = *opened.state_;
    state.name = TRY(describe_conninfo(conninfo));
    // Later keywords win over what the string says; the keepalives are for servers that vanish in the
    // middle of a backup without a word.
    char const* keywords[] = {"keepalives_idle", "keepalives_interval", "keepalives_count", "dbname",
                              "fallback_application_name", options.replication ? "replication" : nullptr, nullptr};
    char const* values[] = {"30", "10", "3", conninfo.c_str(), "holdfast", "true", nullptr};
    state.connection = PQconnectStartParams(keywords, values, 1);
    if (!state.connection) return fail(ErrorKind::internal, "connect to PostgreSQL: out of memory");
    // The only way to the SQLSTATE of a refused connection is through the verbose message.
    PQsetErrorVerbosity(state.connection, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(state.connection, keep_notice, &state.notices);

    auto failure = [&](std::string message) {
        auto user = PQuser(state.connection);
        return connect_error({state.name, user ? user : "", std::move(message), options.replication});
    };
    if (PQstatus(state.connection) == CONNECTION_BAD) return fail(failure(PQerrorMessage(state.connection)));
    auto timeout = stated_timeout(state.connection).value_or(options.timeout);
    auto deadline = system_clock().elapsed() + timeout;
    auto progress = PGRES_POLLING_WRITING;
    while (progress != PGRES_POLLING_OK) {
        if (progress == PGRES_POLLING_FAILED) return fail(failure(PQerrorMessage(state.connection)));
        while (!poll_once(PQsocket(state.connection), progress == PGRES_POLLING_READING)) {
            if (stop.stop_requested()) return fail(cancelled(state.name));
            if (system_clock().elapsed() > deadline) return fail(failure("no answer in time"));
        }
        progress = PQconnectPoll(state.connection);
    }
    PQsetErrorVerbosity(state.connection, PQERRORS_DEFAULT);
    if (opened.major() < kMajorMin || opened.major() > kMajorMax)
        return fail(ErrorKind::usage,
                    fmt::format("PostgreSQL at {} has version {}, which is not supported", state.name,
                                opened.version_text()),
                    fmt::format("PostgreSQL {} to {} are supported", kMajorMin, kMajorMax));
    return opened;
}

std::string const& Connection::name() const { return state_->name; }
int Connection::server_version() const { return PQserverVersion(state_->connection); }
std::string Connection::version_text() const {
    return fmt::format("{}.{}", server_version() / 10000, server_version() % 10000);
}
std::string Connection::user() const {
    auto user = PQuser(state_->connection);
    return user ? user : "";
}

bool Connection::is_local() const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getpeername(PQsocket(state_->connection), reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return false;
    if (address.ss_family == AF_UNIX) return true;
    if (address.ss_family == AF_INET)
        return (ntohl(reinterpret_cast<sockaddr_in const*>(&address)->sin_addr.s_addr) >> 24) == 127;
    return address.ss_family == AF_INET6 &&
           IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<sockaddr_in6 const*>(&address)->sin6_addr);
}

void Connection::cancel_server_side() {
    std::shared_ptr<PGcancel> cancel(PQgetCancel(state_->connection), &PQfreeCancel);
    if (!cancel) return;
    // PQcancel connects and waits without a limit of time: a server that is gone must not hold us. The
    // thread owns all it touches and ends with its system call.
    auto done = std::make_shared<std::promise<void>>();
    auto finished = done->get_future();
    std::thread([cancel, done] {
        char message[256];
        PQcancel(cancel.get(), message, sizeof message);
        done->set_value();
    }).detach();
    finished.wait_for(kCancelWait);
}

Error Connection::lost_connection() {
    auto message = plain_message(PQerrorMessage(state_->connection));
    return {ErrorKind::unreachable,
            fmt::format("PostgreSQL at {}: connection lost{}{}", state_->name, message.empty() ? "" : ": ", message),
            "check the server's log; then try again"};
}

Error Connection::server_error(pg_result const* result) {
    state_->sqlstate = field(result, PG_DIAG_SQLSTATE);
    auto primary = field(result, PG_DIAG_MESSAGE_PRIMARY);
    // Without a SQLSTATE libpq made the result itself: the connection broke.
    if (state_->sqlstate.empty() || PQstatus(state_->connection) == CONNECTION_BAD) {
        return lost_connection();
    }
    auto detail = field(result, PG_DIAG_MESSAGE_DETAIL);
    auto message = fmt::format("PostgreSQL at {}: {}{}{}", state_->name, primary, detail.empty() ? "" : ": ", detail);
    auto error = command_error(state_->sqlstate, std::move(message), user());
    if (error.hint.empty()) error.hint = field(result, PG_DIAG_MESSAGE_HINT);
    return error;
}

Result<void> Connection::wait_for_input(std::stop_token stop) {
    while (!poll_once(PQsocket(state_->connection), true)) {
        if (stop.stop_requested()) {
            cancel_server_side();
            return fail(cancelled(state_->name));
        }
    }
    if (!PQconsumeInput(state_->connection)) return fail(lost_connection());
    return {};
}

Result<void> Connection::send(std::string const& command) {
    state_->sqlstate.clear();
    if (!PQsendQuery(state_->connection, command.c_str())) return fail(lost_connection());
    return {};
}

Result<Connection::Answer> Connection::next_answer(std::stop_token stop) {
    while (PQisBusy(state_->connection)) TRY(wait_for_input(stop));
    ResultHandle result(PQgetResult(state_->connection));
    Answer answer;
    if (!result) return answer;
    switch (PQresultStatus(result.get())) {
        case PGRES_COMMAND_OK:
        case PGRES_EMPTY_QUERY: answer.kind = ResultKind::command; return answer;
        case PGRES_TUPLES_OK:
            answer.kind = ResultKind::rows;
            answer.rows = rows_of(result.get());
            return answer;
        case PGRES_COPY_OUT: answer.kind = ResultKind::copy_out; return answer;
        case PGRES_COPY_BOTH: answer.kind = ResultKind::copy_both; return answer;
        case PGRES_BAD_RESPONSE:
        case PGRES_FATAL_ERROR: return fail(server_error(result.get()));
        default: return fail(ErrorKind::io, fmt::format("PostgreSQL at {}: unexpected answer", state_->name));
    }
}

Result<std::optional<ByteView>> Connection::copy_data(std::stop_token stop) {
    state_->drop_copy_buffer();
    // Data that is there already must not keep a stop from being seen.
    if (stop.stop_requested()) {
        cancel_server_side();
        return fail(cancelled(state_->name));
    }
    for (;;) {
        int size = PQgetCopyData(state_->connection, &state_->copy_buffer, 1);
        if (size > 0) {
            auto bytes = reinterpret_cast<std::uint8_t const*>(state_->copy_buffer);
            return std::optional(ByteView(bytes, static_cast<std::size_t>(size)));
        }
        if (size == -1) return std::optional<ByteView>();
        if (size == -2) return fail(lost_connection());
        TRY(wait_for_input(stop));
    }
}

Result<Connection::CopyMessage> Connection::poll_copy() {
    state_->drop_copy_buffer();
    for (int attempt = 0;; ++attempt) {
        int size = PQgetCopyData(state_->connection, &state_->copy_buffer, 1);
        if (size > 0) {
            auto bytes = reinterpret_cast<std::uint8_t const*>(state_->copy_buffer);
            return CopyMessage{CopyMessage::Kind::data, {bytes, static_cast<std::size_t>(size)}};
        }
        if (size == -1) return CopyMessage{CopyMessage::Kind::end};
        if (size == -2) return fail(lost_connection());
        if (attempt > 0) return CopyMessage{};
        if (!PQconsumeInput(state_->connection)) return fail(lost_connection());
    }
}

Result<void> Connection::put_copy(ByteView message) {
    auto bytes = reinterpret_cast<char const*>(message.data());
    bool sent = PQputCopyData(state_->connection, bytes, static_cast<int>(message.size())) == 1 &&
                PQflush(state_->connection) == 0;
    if (!sent) return fail(lost_connection());
    return {};
}

Result<void> Connection::end_copy() {
    bool sent = PQputCopyEnd(state_->connection, nullptr) == 1 && PQflush(state_->connection) == 0;
    if (!sent) return fail(lost_connection());
    return {};
}

int Connection::socket() const { return PQsocket(state_->connection); }

Result<Rows> Connection::collect_rows(std::stop_token stop) {
    Rows rows;
    std::optional<Error> error;
    for (;;) {
        auto answer = next_answer(stop);
        if (!answer) {
            // Later results must still be taken, or the connection could not be used again.
            if (answer.error().kind == ErrorKind::cancelled || PQstatus(state_->connection) == CONNECTION_BAD)
                return fail(std::move(answer).error());
            if (!error) error = std::move(answer).error();
            continue;
        }
        if (answer->kind == ResultKind::none) break;
        if (answer->kind == ResultKind::copy_out)
            return fail(ErrorKind::usage, fmt::format("PostgreSQL at {}: COPY is not possible here", state_->name));
        if (answer->kind == ResultKind::rows) rows = std::move(answer->rows);
    }
    if (error) return fail(std::move(*error));
    return rows;
}

Result<Rows> Connection::query(std::string const& sql, std::stop_token stop) {
    TRY(send(sql));
    return collect_rows(stop);
}

Result<std::string> Connection::query_value(std::string const& sql, std::stop_token stop) {
    auto rows = TRY(query(sql, stop));
    if (rows.rows.size() != 1 || rows.rows[0].size() != 1 || !rows.rows[0][0])
        return fail(ErrorKind::io, fmt::format("PostgreSQL at {}: not one value: {}", state_->name, sql));
    return *rows.rows[0][0];
}

std::string const& Connection::last_sqlstate() const { return state_->sqlstate; }

std::vector<Notice> Connection::take_notices() { return std::exchange(state_->notices, {}); }

std::string quote_literal(std::string_view text) {
    std::string quoted = "'";
    for (char c : text) {
        if (c == '\'') quoted += '\'';
        quoted += c;
    }
    return quoted + "'";
}

}  // namespace holdfast::postgres
