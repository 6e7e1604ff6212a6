#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

struct pg_result;

namespace holdfast::postgres {

// From this version on replication commands take options in parentheses, and there is READ_REPLICATION_SLOT.
inline constexpr int kNewSyntax = 150000;

struct ConnectOptions {
    // A physical replication connection: replication commands and SHOW, no SQL.
    bool replication = false;
    // Unless the connection string says otherwise (connect_timeout).
    Duration timeout = std::chrono::seconds(10);
};

// Rows as text; nullopt is NULL.
struct Rows {
    std::vector<std::string> columns;
    std::vector<std::vector<std::optional<std::string>>> rows;
};

// A server's message that is no error.
struct Notice {
    bool warning = false;  // else a notice, for information
    std::string message;
};

// One connection to a server, used by one thread at a time.
//
// Whatever waits takes a stop token and returns `cancelled` within a fraction of a second after a stop
// is requested; the server is asked to give up what it is doing, and the connection is of no use then.
// A connection that breaks is `unreachable`. What the server refuses is an error with its message, and
// with a hint where the cause is known. Passwords stand in no message.
class Connection {
  public:
    // `usage` for a malformed string, a password in it, or a server that is not PostgreSQL 12 to 17;
    // `unreachable` for everything the server or the way to it refuses.
    static Result<Connection> connect(std::string const& conninfo, ConnectOptions options,
                                      std::stop_token stop);
    ~Connection();
    Connection(Connection&&) noexcept;
    Connection& operator=(Connection&&) noexcept;

    // What it leads to, for messages: "service=spikeformer", "db1:5432".
    std::string const& name() const;
    // 150020 is 15.20.
    int server_version() const;
    int major() const { return server_version() / 10000; }
    // "15.20"
    std::string version_text() const;
    std::string user() const;
    // Through a Unix socket or the loopback interface: paths of the server are paths here.
    bool is_local() const;

    // Runs one command that returns rows (or nothing).
    Result<Rows> query(std::string const& sql, std::stop_token stop);
    // A single value; `io` when there is not exactly one.
    Result<std::string> query_value(std::string const& sql, std::stop_token stop);

    // For commands with several results (BASE_BACKUP): send, then take results until there is none.
    Result<void> send(std::string const& command);
    enum class ResultKind { none, command, rows, copy_out, copy_both };
    struct Answer {
        ResultKind kind = ResultKind::none;
        Rows rows;
    };
    Result<Answer> next_answer(std::stop_token stop);
    // After copy_out: the next message, valid until the next call; nullopt at the end of the copy.
    Result<std::optional<ByteView>> copy_data(std::stop_token stop);

    // After copy_both (START_REPLICATION): messages go both ways.
    struct CopyMessage {
        enum class Kind { data, nothing_yet, end };
        Kind kind = Kind::nothing_yet;
        ByteView data = {};  // valid until the next call
    };
    // Never waits; poll(2) socket() for reading when there is nothing yet.
    Result<CopyMessage> poll_copy();
    Result<void> put_copy(ByteView message);
    // We send no more; the server's messages still come, until its own end.
    Result<void> end_copy();
    int socket() const;

    // SQLSTATE of the last error that the server reported; empty when it reported none.
    std::string const& last_sqlstate() const;

    // Warnings since the last call, the oldest 1,000.
    std::vector<Notice> take_notices();

  private:
    Connection();
    Result<void> wait_for_input(std::stop_token stop);
    Result<Rows> collect_rows(std::stop_token stop);
    Error server_error(pg_result const* result);
    Error lost_connection();
    void cancel_server_side();

    struct State;
    std::unique_ptr<State> state_;
};

// 'it''s': a string literal in commands and SQL, whatever the bytes (no NUL).
std::string quote_literal(std::string_view text);

}  // namespace holdfast::postgres
