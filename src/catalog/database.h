#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"

struct sqlite3;
struct sqlite3_stmt;

namespace holdfast::catalog {

class Database;

// One prepared statement. Parameters are bound in their order; columns are read in theirs.
class Statement {
  public:
    Statement(Statement&& other) noexcept;
    Statement& operator=(Statement&&) = delete;
    ~Statement();

    Statement& bind(std::string_view text);
    Statement& bind(std::int64_t number);
    Statement& bind(std::uint64_t number);  // kept as its two's complement
    Statement& bind(Time time) { return bind(std::int64_t{time.time_since_epoch().count()}); }
    Statement& bind(Duration duration) { return bind(std::int64_t{duration.count()}); }
    template <typename T>
    Statement& bind(std::optional<T> const& value) {
        return value ? bind(*value) : bind_null();
    }
    Statement& bind_null();

    // Moves to the next row; false when there is none. A constraint that does not hold is `exists`
    // (unique) or `not_found` (a reference).
    Result<bool> next();
    // Runs a statement without rows, once.
    Result<void> run();

    // The next column of the row.
    std::string text();
    std::int64_t integer();
    std::uint64_t count() { return static_cast<std::uint64_t>(integer()); }
    Time time() { return Time(Duration(integer())); }
    Duration duration() { return Duration(integer()); }
    bool next_is_null() const;
    std::optional<Time> optional_time();
    std::optional<Duration> optional_duration();

  private:
    friend class Database;
    Statement(Database& database, sqlite3_stmt* handle) : database_(&database), handle_(handle) {}

    Database* database_;
    sqlite3_stmt* handle_;
    int parameter_ = 0;
    int column_ = 0;
};

// One connection to one SQLite file. Not thread-safe.
class Database {
  public:
    // Opens the file, or makes it (0600). Sets synchronous = FULL, foreign keys and a busy timeout
    // of 10 s.
    static Result<Database> open(std::filesystem::path const& path);
    Database(Database&& other) noexcept;
    Database& operator=(Database&&) = delete;
    ~Database();

    std::filesystem::path const& path() const { return path_; }
    Result<Statement> prepare(std::string_view sql);
    // Runs statements without parameters and rows.
    Result<void> execute(std::string_view sql);
    // Readers and one writer do not wait for each other from now on. The file remembers it, so this
    // is only for files that are known to be ours.
    Result<void> use_wal();
    // Rows that the last statement changed.
    std::int64_t changes() const;
    Result<std::int64_t> integer(std::string_view sql);
    // The file's bytes as one transaction sees them.
    Result<Bytes> serialize();
    // The error of a result code of SQLite on this connection.
    Error error(int code) const;

  private:
    friend class Statement;
    Database(std::filesystem::path path, sqlite3* handle);
    Result<void> configure();

    std::filesystem::path path_;
    sqlite3* handle_;
};

// Everything between begin() and commit() happens or does not. Rolls back unless it was committed.
class Transaction {
  public:
    // Takes the write lock at once, so that what is read before a write still holds.
    static Result<Transaction> begin(Database& database);
    Transaction(Transaction&& other) noexcept;
    Transaction& operator=(Transaction&&) = delete;
    ~Transaction();
    Result<void> commit();

  private:
    explicit Transaction(Database& database) : database_(&database) {}
    Database* database_;
};

// For tests: called before each statement that is run, in this process.
void set_statement_hook(std::function<void()> hook);

}  // namespace holdfast::catalog
