#pragma once

#include "archive/source.h"

namespace holdfast::postgres {

// Exports the cluster that `conninfo` leads to, straight into the repository: each database that takes connections and
// is no template, by pg_dump, then roles and tablespaces, by pg_dumpall (docs/decisions/0081-export-through-a-pipe.md).
// Needs a role that may read every table.
//
// Each database is as of one moment, and those of all databases are taken one right after the other, before anything is
// read; the point's time is the first of them, by our clock.
//
// What may be missing is never missed in silence. A program that fails, an archive that does not hold what it lists to
// the last row, or less than the catalog has, and an owner who is not among the roles fail the capture; roles whose
// passwords this role may not read are a problem. What fails names the database, and the table where it is known.
//
// Attributes of the point: server_version, connection, databases (one a line, printable). Files are those of
// export_document.h.
Result<Capture> capture_export(std::string const& conninfo, CaptureContext const& context);

}  // namespace holdfast::postgres
