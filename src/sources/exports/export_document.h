#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/time.h"
#include "formats/pg_archive.h"

namespace holdfast::postgres {

inline constexpr std::string_view kExportKind = "postgres-export";  // of its points
inline constexpr std::string_view kExportDocument = "export.json";
inline constexpr std::string_view kExportGlobals = "globals.sql";

// What an export holds: `export.json` beside its files. Names are bytes in their database's encoding.
struct ExportedTable {
    std::string schema;
    std::string name;
    std::uint64_t rows = 0;
    bool operator==(ExportedTable const&) const = default;
};
struct ExportedDatabase {
    std::string name;
    std::string file;  // below the export: "databases/app.dump"
    Time time;         // whose state it is
    std::uint64_t bytes = 0;
    std::uint64_t large_objects = 0;
    std::vector<ExportedTable> tables;
    bool operator==(ExportedDatabase const&) const = default;
};
struct ExportDocument {
    std::string server_version;  // "15.20"
    int dump_major = 0;          // of pg_dump: what reads the files is of this version or a later one
    bool passwords = true;       // the roles' passwords are there
    std::vector<ExportedDatabase> databases;
    std::vector<std::string> left_out;  // databases: templates, and those that take no connections
    bool operator==(ExportDocument const&) const = default;
};

// JSON, for people too.
std::string encode(ExportDocument const& document);
// `damaged` on what encode() does not write, and on files that would lie elsewhere; `usage` for a later version of it.
Result<ExportDocument> parse_export_document(std::string_view text);

// The tables of an archive whose rows are all in it. Of an extension's tables only what was added to them is; those are
// left out.
std::vector<ExportedTable> exported_tables(PgArchive const& archive);

// The file of a database of that name. '/' and what could be taken for something else is written as %XX.
std::string export_file_of(std::string_view database);

}  // namespace holdfast::postgres
