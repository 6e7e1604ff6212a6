#pragma once

#include <filesystem>
#include <stop_token>
#include <vector>

#include "archive/source.h"
#include "sources/exports/export_document.h"
#include "sources/exports/globals.h"

namespace holdfast::postgres {

// The files of an export, restored somewhere.
struct ExportFiles {
    std::filesystem::path directory;
    ExportDocument document;
    Globals globals;
};
// not_found when the directory holds no export; `damaged` as parse_export_document() and Globals::parse().
Result<ExportFiles> open_export(std::filesystem::path const& directory);

// Reads every archive to its end and holds it against export.json, table by table and row by row: a finding for each
// database.
Result<std::vector<Finding>> check_export(std::filesystem::path const& directory, std::stop_token stop);

}  // namespace holdfast::postgres
