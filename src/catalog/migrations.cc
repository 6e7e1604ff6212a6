#include "catalog/migrations.h"

#include <array>
#include <cassert>
#include <fmt/format.h>

namespace holdfast::catalog {
namespace {

constexpr std::int64_t kApplicationId = 0x48464354;  // "HFCT", in the file's header

// Times and durations are nanoseconds, times since 1970 in UTC. Words are those of to_text().
constexpr std::array kMigrations = {
    Migration{1, "runs, points, drills, incidents, measures", R"sql(
        CREATE TABLE runs (
            id      TEXT PRIMARY KEY,
            kind    TEXT NOT NULL,
            subject TEXT NOT NULL,
            started INTEGER NOT NULL,
            ended   INTEGER,
            outcome TEXT NOT NULL,
            error   TEXT NOT NULL DEFAULT '',
            files   INTEGER NOT NULL DEFAULT 0,
            bytes   INTEGER NOT NULL DEFAULT 0,
            stored  INTEGER NOT NULL DEFAULT 0,
            process TEXT NOT NULL,
            host    TEXT NOT NULL,
            boot    TEXT NOT NULL
        ) STRICT;
        CREATE INDEX runs_by_time ON runs (started);
        CREATE INDEX runs_by_subject ON runs (kind, subject, started);

        CREATE TABLE last_runs (
            kind      TEXT NOT NULL,
            subject   TEXT NOT NULL,
            run       TEXT NOT NULL,
            attempted INTEGER NOT NULL,
            outcome   TEXT NOT NULL,
            succeeded INTEGER,
            PRIMARY KEY (kind, subject)
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE points (
            repository   TEXT NOT NULL,
            id           TEXT NOT NULL,
            dataset      TEXT NOT NULL,
            kind         TEXT NOT NULL,
            time         INTEGER NOT NULL,
            received     INTEGER,
            state        TEXT NOT NULL,
            files        INTEGER NOT NULL,
            bytes        INTEGER NOT NULL,
            stored       INTEGER NOT NULL,
            lsn          TEXT NOT NULL,
            attributes   TEXT NOT NULL,
            locked_until INTEGER,
            listing      INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (repository, id)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX points_by_dataset ON points (dataset, time);

        CREATE TABLE rungs (
            repository TEXT NOT NULL,
            point      TEXT NOT NULL,
            rung       INTEGER NOT NULL,
            reached    INTEGER NOT NULL,
            run        TEXT NOT NULL,
            PRIMARY KEY (repository, point, rung),
            FOREIGN KEY (repository, point) REFERENCES points (repository, id) ON DELETE CASCADE
        ) STRICT, WITHOUT ROWID;

        CREATE TABLE drills (
            run                  TEXT PRIMARY KEY REFERENCES runs (id),
            name                 TEXT NOT NULL,
            started              INTEGER NOT NULL,
            ended                INTEGER,
            passed               INTEGER NOT NULL,
            rpo                  INTEGER,
            rto_from_outage      INTEGER,
            rto_from_declaration INTEGER
        ) STRICT;
        CREATE INDEX drills_by_name ON drills (name, started);

        CREATE TABLE evidence (
            position INTEGER PRIMARY KEY,
            run      TEXT NOT NULL REFERENCES runs (id),
            path     TEXT NOT NULL,
            sha256   TEXT NOT NULL UNIQUE,
            previous TEXT NOT NULL UNIQUE,
            time     INTEGER NOT NULL
        ) STRICT;

        CREATE TABLE incidents (
            id       TEXT PRIMARY KEY,
            scenario TEXT NOT NULL,
            title    TEXT NOT NULL,
            outage   INTEGER NOT NULL,
            declared INTEGER,
            resolved INTEGER
        ) STRICT;

        CREATE TABLE measures (
            id       INTEGER PRIMARY KEY,
            activity TEXT NOT NULL,
            subject  TEXT NOT NULL,
            duration INTEGER NOT NULL,
            bytes    INTEGER NOT NULL,
            time     INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX measures_by_subject ON measures (activity, subject, id);
    )sql"},
};

// Makes the table of versions in a new file. Returns false when the file is another program's.
Result<bool> adopt(Database& database) {
    auto transaction = TRY(Transaction::begin(database));
    auto application = TRY(database.integer("PRAGMA application_id"));
    if (application == kApplicationId)
        return true;
    auto objects = TRY(database.integer("SELECT count(*) FROM sqlite_schema"));
    if (application != 0 || objects != 0)
        return false;
    TRY(database.execute(
        fmt::format("PRAGMA application_id = {};"
                    "CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
                    " applied INTEGER NOT NULL) STRICT;",
                    kApplicationId)));
    TRY(transaction.commit());
    return true;
}

}  // namespace

std::span<Migration const> migrations() {
    return kMigrations;
}

Result<void> migrate(Database& database, std::span<Migration const> steps, Clock& clock) {
    bool ours = TRY(adopt(database));
    if (!ours) {
        return fail(ErrorKind::unsafe,
                    fmt::format("catalog '{}': this is a database of another program",
                                database.path().string()),
                    "choose another --state directory");
    }
    TRY(database.use_wal());
    auto known = steps.empty() ? 0 : steps.back().version;
    for (auto const& step : steps) {
        assert(step.version == (&step - steps.data()) + 1);
        // Looked up inside the transaction: another process may be doing the same.
        auto current = TRY(database.integer("SELECT max(version) FROM migrations"));
        if (current > known)
            break;
        if (current >= step.version)
            continue;
        auto transaction = TRY(Transaction::begin(database));
        current = TRY(database.integer("SELECT max(version) FROM migrations"));
        if (current >= step.version)
            continue;
        auto done = database.execute(step.sql);
        if (!done.has_value()) {
            return fail(std::move(done).error().within(
                fmt::format("migrate to version {} ({})", step.version, step.name)));
        }
        auto note = TRY(database.prepare("INSERT INTO migrations VALUES (?, ?, ?)"));
        note.bind(step.version).bind(step.name).bind(clock.now());
        TRY(note.run());
        TRY(transaction.commit());
    }
    auto current = TRY(database.integer("SELECT max(version) FROM migrations"));
    if (current > known) {
        return fail(ErrorKind::usage,
                    fmt::format("catalog '{}': it is newer than this program (schema {}, this "
                                "program knows {})",
                                database.path().string(), current, known),
                    "use the newer holdfast, or another --state directory");
    }
    return {};
}

}  // namespace holdfast::catalog
