#pragma once

#include "datasets/restore_point.h"
#include "sources/exports/load_export.h"

namespace holdfast {

// An export (a point of kind "postgres-export") brought into a server. Its files go into a directory of their own
// first, of which nothing stays, because pg_restore reads them from several processes at once; no_space, before
// anything is written, when they would not fit there.

struct LoadedExport {
    RestoredPoint restored;    // of the files; its findings are about what came back in the server
    std::string server;
    postgres::MissingGlobals globals;
    struct Database {
        std::string name;
        postgres::LoadPlan::Before before = postgres::LoadPlan::Before::missing;
        std::uint64_t bytes = 0, tables = 0, rows = 0;
    };
    std::vector<Database> databases;
    Duration took{};
};
struct LoadExportOptions {
    std::string conninfo;
    postgres::LoadOptions load;
    bool dry_run = false;           // say what would be done
    std::filesystem::path scratch;  // a directory is made below it
};
// Into a running server: see postgres::load_export().
Result<LoadedExport> restore_export(Workspace& workspace, PointReference const& point, LoadExportOptions const& options,
                                    ProgressCallback const& progress, Warn const& warn, std::stop_token stop);

// Into a cluster made for it: see postgres::load_into_new_cluster(). The point's id is its mark.
Result<RestoredPoint> restore_export_as_cluster(Workspace& workspace, PointReference const& point,
                                                std::filesystem::path const& target, ProgressCallback const& progress,
                                                Warn const& warn, std::stop_token stop);

}  // namespace holdfast
