#pragma once

#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/keys.h"
#include "store/store.h"

namespace holdfast {

inline constexpr std::string_view kKeysPrefix = "keys/";
inline constexpr std::string_view kKeyCopiesPrefix = "self/keys/";
std::string key_object_key(BundleId const& id);
std::string key_copy_key(BundleId const& id);

// Stores a key object and its copy for `rescue`. `exists` when another one has this id.
Result<void> put_key_object(Store& store, BundleId const& id, ByteView object,
                            std::stop_token stop);

// The certificates of a repository: who may sign what. Each is read from keys/ (or from its copy
// where that is missing or damaged) when it is first asked for, checked against the admin's key,
// and kept. Thread-safe.
class Certificates {
  public:
    Certificates(Store& store, RepositoryId repository, SignPublicKey admin)
        : store_(store), repository_(repository), admin_(admin) {}

    // `damaged`, "which no admin certified", when there is none.
    Result<KeyCertificate> find(BundleId const& id, std::stop_token stop);
    // Which copies had to be used.
    std::vector<std::string> notices() const;

  private:
    Result<KeyCertificate> read(std::string const& key, BundleId const& id, std::stop_token stop);

    Store& store_;
    RepositoryId repository_;
    SignPublicKey admin_;
    mutable std::mutex mutex_;
    std::map<BundleId, KeyCertificate> known_;
    std::vector<std::string> notices_;
};

}  // namespace holdfast
