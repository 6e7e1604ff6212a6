#pragma once

#include "datasets/workspace.h"
#include "repo/emergency_kit.h"

namespace holdfast {

// What its papers say of a repository that is open.
EmergencyKit facts_of(Workspace const& workspace, std::string_view repository, KeyBundle const& keys);

struct Created {
    RepositoryId id;
    std::string url;
    EmergencyKit facts;
    std::string kit;  // the emergency kit, as text
};

// Creates the repository of that name and wraps its first key bundle with `password`. `exists` when
// there is one. A local directory is made when it is missing.
Result<Created> create(Workspace& workspace, std::string_view repository, ByteView password,
                       std::stop_token stop);

}  // namespace holdfast
