#pragma once

#include <string>
#include <vector>

#include "crypto/crypto.h"
#include "repo/ids.h"
#include "repo/keys.h"
#include "store/store.h"

namespace holdfast {

inline constexpr std::uint64_t kFormatVersion = 1;
inline constexpr std::string_view kConfigKey = "holdfast.json";
inline constexpr std::string_view kConfigCopyKey = "self/holdfast.json";

// What is fixed when a repository is created and never changes: `holdfast.json`.
struct RepositoryConfig {
    std::uint64_t version = kFormatVersion;
    RepositoryId repository;
    Time created;
    // What its chunks and packs were made with (bytes). Others could be read, but would not
    // deduplicate.
    std::uint64_t chunk_min = 0, chunk_average = 0, chunk_max = 0, pack = 0;
    SignPublicKey admin{};  // the first admin's: root of trust
    DataKeyId data_key;     // of the key pair that frames are sealed to
    bool operator==(RepositoryConfig const&) const = default;
};

// The object's text, signed by the admin: JSON that people can read.
std::string encode(RepositoryConfig const& config, SignKey const& admin);
// The one text that encode() writes is accepted, and its signature must fit the admin key in it
// (the caller compares that key with its bundle's). `usage` for a format version that is newer than
// this program, `damaged` for everything else.
Result<RepositoryConfig> parse_config(std::string_view text);

struct LoadedConfig {
    RepositoryConfig config;
    std::vector<std::string> notices;  // what was helped by the copy, for the user to see
};
// Reads `holdfast.json`, or its copy where it is missing or damaged. not_found when the store holds
// neither.
Result<LoadedConfig> load_config(Store& store, std::stop_token stop);

}  // namespace holdfast
