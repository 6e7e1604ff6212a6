#include "catalog/database.h"

#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sqlite3.h>
#include <unistd.h>
#include <utility>

#include "os/fd.h"

namespace holdfast::catalog {
namespace {

constexpr int kBusyMilliseconds = 10'000;

std::function<void()>& statement_hook() {
    static std::function<void()> hook;
    return hook;
}

// SQLite makes files with 0644. Only a file that did not exist is opened here: closing any
// descriptor of an open database would drop the locks that this process holds on it.
Result<void> make_private(std::filesystem::path const& path) {
    Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file && errno == EEXIST)
        return {};
    if (!file)
        return fail(errno_error(fmt::format("create catalog '{}'", path.string()), errno));
    Fd directory(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory || ::fsync(directory.get()) != 0) {
        return fail(errno_error(fmt::format("sync '{}'", path.parent_path().string()), errno));
    }
    return {};
}

}  // namespace

void set_statement_hook(std::function<void()> hook) {
    statement_hook() = std::move(hook);
}

// == Statement

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      handle_(std::exchange(other.handle_, nullptr)),
      parameter_(other.parameter_),
      column_(other.column_) {}

Statement::~Statement() {
    sqlite3_finalize(handle_);
}

Statement& Statement::bind(std::string_view text) {
    // A null pointer would bind NULL.
    auto const* data = text.data() ? text.data() : "";
    auto code = sqlite3_bind_text64(handle_, ++parameter_, data, text.size(), SQLITE_TRANSIENT,
                                    SQLITE_UTF8);
    assert(code == SQLITE_OK || code == SQLITE_NOMEM || code == SQLITE_TOOBIG);
    return *this;
}

Statement& Statement::bind(std::int64_t number) {
    [[maybe_unused]] auto code = sqlite3_bind_int64(handle_, ++parameter_, number);
    assert(code == SQLITE_OK);
    return *this;
}

Statement& Statement::bind(std::uint64_t number) {
    return bind(static_cast<std::int64_t>(number));
}

Statement& Statement::bind_null() {
    [[maybe_unused]] auto code = sqlite3_bind_null(handle_, ++parameter_);
    assert(code == SQLITE_OK);
    return *this;
}

Result<bool> Statement::next() {
    if (statement_hook())
        statement_hook()();
    column_ = 0;
    auto code = sqlite3_step(handle_);
    if (code == SQLITE_ROW)
        return true;
    if (code == SQLITE_DONE)
        return false;
    return fail(database_->error(sqlite3_extended_errcode(database_->handle_)));
}

Result<void> Statement::run() {
    for (;;) {
        bool more = TRY(next());
        if (!more)
            return {};
    }
}

std::string Statement::text() {
    auto const* bytes = sqlite3_column_text(handle_, column_);
    auto size = static_cast<std::size_t>(sqlite3_column_bytes(handle_, column_));
    ++column_;
    return bytes ? std::string(reinterpret_cast<char const*>(bytes), size) : std::string();
}

std::int64_t Statement::integer() {
    return sqlite3_column_int64(handle_, column_++);
}

bool Statement::next_is_null() const {
    return sqlite3_column_type(handle_, column_) == SQLITE_NULL;
}

std::optional<Time> Statement::optional_time() {
    bool null = next_is_null();
    auto value = time();
    return null ? std::nullopt : std::optional(value);
}

std::optional<Duration> Statement::optional_duration() {
    bool null = next_is_null();
    auto value = duration();
    return null ? std::nullopt : std::optional(value);
}

// == Database

Database::Database(std::filesystem::path path, sqlite3* handle)
    : path_(std::move(path)), handle_(handle) {}

Database::Database(Database&& other) noexcept
    : path_(std::move(other.path_)), handle_(std::exchange(other.handle_, nullptr)) {}

Database::~Database() {
    sqlite3_close_v2(handle_);
}

Result<Database> Database::open(std::filesystem::path const& path) {
    TRY(make_private(path));
    sqlite3* handle = nullptr;
    auto code = sqlite3_open_v2(path.c_str(), &handle,
                                SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                                nullptr);
    if (!handle)
        return fail(ErrorKind::io, fmt::format("catalog '{}': out of memory", path.string()));
    Database database(path, handle);
    if (code != SQLITE_OK)
        return fail(database.error(code));
    TRY(database.configure());
    return database;
}

Result<void> Database::configure() {
    sqlite3_busy_timeout(handle_, kBusyMilliseconds);
    // Views and triggers of a file that somebody else prepared must not run code.
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    sqlite3_db_config(handle_, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
    return execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;");
}

Result<void> Database::use_wal() {
    // Going over to WAL does not wait for other connections by itself.
    for (int waited = 0;; waited += 20) {
        auto changed = execute("PRAGMA journal_mode = WAL");
        if (changed.has_value())
            return {};
        if (changed.error().kind != ErrorKind::unreachable || waited >= kBusyMilliseconds) {
            return changed;
        }
        sqlite3_sleep(20);
    }
}

Result<Statement> Database::prepare(std::string_view sql) {
    sqlite3_stmt* handle = nullptr;
    auto code =
        sqlite3_prepare_v2(handle_, sql.data(), static_cast<int>(sql.size()), &handle, nullptr);
    if (code != SQLITE_OK)
        return fail(error(code));
    return Statement(*this, handle);
}

Result<void> Database::execute(std::string_view sql) {
    auto const* rest = sql.data();
    auto const* end = sql.data() + sql.size();
    while (rest < end) {
        sqlite3_stmt* handle = nullptr;
        char const* tail = nullptr;
        auto code = sqlite3_prepare_v2(handle_, rest, static_cast<int>(end - rest), &handle, &tail);
        if (code != SQLITE_OK)
            return fail(error(code));
        rest = tail;
        if (!handle)
            continue;  // a comment, or space at the end
        Statement statement(*this, handle);
        TRY(statement.run());
    }
    return {};
}

std::int64_t Database::changes() const {
    return sqlite3_changes64(handle_);
}

Result<std::int64_t> Database::integer(std::string_view sql) {
    auto statement = TRY(prepare(sql));
    bool found = TRY(statement.next());
    return found ? statement.integer() : 0;
}

Result<Bytes> Database::serialize() {
    sqlite3_int64 size = 0;
    auto* bytes = sqlite3_serialize(handle_, "main", &size, 0);
    if (!bytes)
        return fail(error(sqlite3_extended_errcode(handle_)).within("snapshot"));
    Bytes copy(bytes, bytes + size);
    sqlite3_free(bytes);
    return copy;
}

Error Database::error(int code) const {
    auto kind = ErrorKind::io;
    std::string hint;
    switch (code & 0xff) {
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            kind = ErrorKind::damaged;
            hint =
                "no backup and no restore needs this file: move it away together with its -wal, "
                "and "
                "the next command builds a new one from the repositories";
            break;
        case SQLITE_FULL:
            kind = ErrorKind::no_space;
            break;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            kind = ErrorKind::unreachable;
            hint = "another process has held it for 10 seconds: try again";
            break;
        case SQLITE_CONSTRAINT:
            kind = code == SQLITE_CONSTRAINT_FOREIGNKEY ? ErrorKind::not_found : ErrorKind::exists;
            break;
        case SQLITE_IOERR:
            if (auto number = sqlite3_system_errno(handle_); number == ENOSPC || number == EDQUOT) {
                kind = ErrorKind::no_space;
            }
            break;
        case SQLITE_ERROR:
        case SQLITE_MISUSE:
            kind = ErrorKind::internal;
            break;
        default:
            break;
    }
    return {kind, fmt::format("catalog '{}': {}", path_.string(), sqlite3_errmsg(handle_)),
            std::move(hint)};
}

// == Transaction

Result<Transaction> Transaction::begin(Database& database) {
    TRY(database.execute("BEGIN IMMEDIATE"));
    return Transaction(database);
}

Transaction::Transaction(Transaction&& other) noexcept
    : database_(std::exchange(other.database_, nullptr)) {}

Transaction::~Transaction() {
    // Fails only when SQLite has rolled back already, as it does on a full disk.
    if (database_)
        (void)database_->execute("ROLLBACK");
}

Result<void> Transaction::commit() {
    TRY(database_->execute("COMMIT"));
    database_ = nullptr;
    return {};
}

}  // namespace holdfast::catalog
