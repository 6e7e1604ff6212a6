#pragma once

#include "sources/exports/check_export.h"

namespace holdfast::postgres {

struct LoadOptions {
    std::vector<std::string> databases = {};  // of the export; empty: all
    bool replace = false;    // databases that are there already and not empty are dropped first
    unsigned jobs = 2;       // of pg_restore
    std::map<std::string, std::string> tablespaces = {};  // see apply_globals()
};

// What loading would do.
struct LoadPlan {
    enum class Before { missing, empty, full };
    struct Database {
        ExportedDatabase const* exported = nullptr;  // of the ExportFiles that it was planned for
        Before before = Before::missing;
        std::string oid;   // of the one that is there
        std::string holds; // what is in it, for messages
    };
    std::string server;  // "db1:5432"
    int major = 0;
    MissingGlobals globals;
    std::vector<Database> databases;
};
// Writes nothing. not_found for a database that the export does not have; `unsafe` for one that is there already and
// not empty, unless it may be replaced; `usage` for a server older than what was exported.
Result<LoadPlan> plan_load(ExportFiles const& files, std::string const& conninfo, LoadOptions const& options,
                           std::stop_token stop);

// Brings an export into the running server that `conninfo` leads to: the roles and tablespaces that it lacks, then each
// database with its owner, encoding, locale, settings and extensions, by pg_restore, which ends at the first error. Then
// the rows of every table are counted: a finding for each database.
//
// A database comes back whole or not at all: one that failed in the middle is dropped again, those before it stay.
// check_failed names the database and the object. Needs a superuser, or what the export's objects need.
Result<std::vector<Finding>> load_export(ExportFiles const& files, std::string const& conninfo, LoadOptions const& options,
                                         ProgressCallback const& progress, std::stop_token stop);

}  // namespace holdfast::postgres
