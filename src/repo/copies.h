#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "store/store.h"

namespace holdfast {

// What stands twice: the configuration and the key objects, each with a copy below self/.

struct CopyFault {
    std::string key;
    Error error;           // why it can't be used as it is
    bool mended = false;   // it is now what its twin is
    bool mendable = false;
};
struct MendCopiesOptions {
    bool repair = false;  // without it they are only looked at
};
// Looks at every pair, and puts in the place of a missing or damaged half what the other one holds. The halves
// are told apart without any key: the configuration is signed in itself, key objects by its admin. Both gone or
// damaged: named, and nothing can be done. `usage` when the repository is of a newer format.
Result<std::vector<CopyFault>> mend_copies(Store& store, MendCopiesOptions options, std::stop_token stop);

}  // namespace holdfast
