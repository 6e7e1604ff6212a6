#pragma once

#include "datasets/workspace.h"

namespace holdfast {

struct Created {
    RepositoryId id;
    std::string url;
    std::string kit;  // the emergency kit, as text
};

// Creates the repository of that name and wraps its first key bundle with `password`. `exists` when
// there is one. A local directory is made when it is missing.
Result<Created> create(Workspace& workspace, std::string_view repository, ByteView password,
                       std::stop_token stop);

}  // namespace holdfast
