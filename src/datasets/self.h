#pragma once

#include "datasets/workspace.h"

namespace holdfast {

// What a bare machine needs to recover: the plan (with runbooks and people), the contacts as text, and
// Holdfast's own catalog. Stored in the repository after each backup, readable by a reader's key alone; a
// plan that did not change since is not stored again.
Result<void> store_self(Workspace& workspace, std::string_view repository, std::stop_token stop);

struct Rescued {
    std::string repository_id, admin_fingerprint;  // to compare with the emergency kit
    std::filesystem::path plan_file;
    std::string plan_signer;              // whose plan it is: it can run commands
    Time plan_time;                       // when it was stored
    std::filesystem::path contacts_file;  // printable text; empty: there was none
    std::filesystem::path catalog_file;   // where the catalog was put back; empty: it was not
    std::vector<std::string> files;       // all that was written
    std::vector<std::string> notices;     // what a person should know
};
// Fetches the newest of them into `directory` (made when missing; a file that exists must be the same,
// else unsafe), and the catalog into the state directory when that has none.
Result<Rescued> rescue(Workspace& workspace, std::string_view repository,
                       std::filesystem::path const& directory, std::stop_token stop);

}  // namespace holdfast
