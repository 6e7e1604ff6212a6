#pragma once

#include <string>
#include <vector>

#include "formats/pg_archive.h"
#include "sources/postgres/connection.h"

namespace holdfast::postgres {

// One moment of a database, for as long as the object lives: pg_dump sees the same when it is given `id`.
class Snapshot {
  public:
    // Reads the catalog as of that moment.
    static Result<Snapshot> take(std::string const& conninfo, std::string const& database, std::stop_token stop);

    std::string const& database() const { return database_; }
    std::string const& id() const { return id_; }
    // Whether its server still answers.
    bool is_alive(std::stop_token stop);

    // `damaged` unless the archive has every table and sequence that the catalog has, with the data of each, and every
    // large object. What belongs to an extension comes with that and is not looked for.
    Result<void> check(PgArchive const& archive) const;

  private:
    struct Relation {
        std::string schema;
        std::string name;
        char kind;  // pg_class.relkind
    };
    explicit Snapshot(Connection connection) : connection_(std::move(connection)) {}

    Connection connection_;
    std::string database_;
    std::string id_;
    std::vector<Relation> relations_;
    std::uint64_t large_objects_ = 0;
};

}  // namespace holdfast::postgres
