#pragma once

#include <string>

#include "base/time.h"
#include "crypto/crypto.h"
#include "repo/ids.h"

namespace holdfast {

struct EmergencyKit {
    std::string url;  // of the repository; without any secret
    RepositoryId repository;
    Time created;
    SignPublicKey admin{};  // the first admin's
    std::string version;    // of Holdfast
};

// A page to print and to lock away: where the repository is, how to recover from it on a bare
// machine, and a line on which the password is written by hand. Never the password itself.
std::string emergency_kit(EmergencyKit const& kit);

// What people compare: the first half of SHA-256 of the key, in groups of four digits.
std::string fingerprint(SignPublicKey const& key);

}  // namespace holdfast
