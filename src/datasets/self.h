#pragma once

#include "datasets/workspace.h"

namespace holdfast {

// What a bare machine needs to recover: the plan (with runbooks and contacts), files that it names,
// and Holdfast's own catalog. Stored in the repository after each backup that changed them, readable
// by a reader's key alone.
Result<void> store_self(Workspace& workspace, std::string_view repository, std::stop_token stop);

struct Rescued {
    std::filesystem::path plan_file;
    std::filesystem::path contacts_file;   // printable text
    std::filesystem::path catalog_file;    // where the catalog was put back; empty: there was none
    std::vector<std::string> files;        // all that was written
};
// Fetches the newest of them into `directory` (made when missing; existing files are refused as unsafe
// unless they are the same), and the catalog into the state directory when that has none.
Result<Rescued> rescue(Workspace& workspace, std::string_view repository,
                       std::filesystem::path const& directory, std::stop_token stop);

}  // namespace holdfast
