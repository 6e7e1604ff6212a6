#pragma once

#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/repository.h"

namespace holdfast {

// What admins do with keys once a repository stands. Each is one new key ring (a removal two), so a crash leaves
// the old state or the new one; all may be repeated, and a removal that was cut off is to be. key_refused unless an admin asks.
// After one of them, what is open sees it with its next backup, restore or list.

// A new epoch of the repository's own data key pair, or of the pair of that name: from now on packs are
// sealed to it, and every reader's key that stands is given its private half. What was stored before stays
// readable. Returns its id. usage when there is no such pair.
Result<DataKeyId> rotate_pair(Repository& repository, std::string_view name, std::stop_token stop);

// A key pair that datasets of the plan name (`key: NAME`): only `readers` are given its private half.
// `exists` when there is one, usage for a name or a reader that can't be, not_found for one that nobody
// has.
Result<DataKeyId> add_pair(Repository& repository, std::string const& name,
                           std::span<BundleId const> readers, std::stop_token stop);

// Gives a reader all epochs of the pair. key_refused when this key has not got them all itself.
Result<void> grant_pair(Repository& repository, std::string_view name, BundleId const& reader,
                        std::stop_token stop);

// Grants for a reader's bundle that is about to be stored: the repository's own epochs, and the pairs.
Result<void> grant_all(Repository& repository, KeyBundle const& bundle, std::span<std::string const> pairs,
                       std::stop_token stop);

// From now on the key signs nothing that counts: points that its log names, or that an admin saw, stay;
// later ones are refused. New epochs are not given to it; what it could read it can read again, so a
// reader's removal wants a rotation. Receivers of logs hear of it within seconds; what they store meanwhile is
// refused, so stop them first. `unsafe` for an admin's key (its holder can make others), not_found
// when no such key was certified; `unsafe`, too, while others have to agree (approval.h).
Result<KeyRemoval> remove_key(Repository& repository, BundleId const& id, std::stop_token stop);

// What admins decide besides, by name (KeyRing::settings).
Result<void> change_settings(Repository& repository, std::map<std::string, std::uint64_t> const& settings,
                             std::stop_token stop);

struct ListedKey {
    KeyCertificate certificate;      // with when it was removed
    std::vector<std::string> pairs;  // named ones that it can read
    bool own = false;                // the one that asks
};
struct KeyList {
    std::vector<ListedKey> keys;  // by id
    std::vector<DataPair> pairs;  // epochs after the first, and named ones
    struct Damaged {
        std::string key;
        Error error;
    };
    std::vector<Damaged> damaged;
};
// Needs no role.
Result<KeyList> list_keys(Repository& repository, std::stop_token stop);

}  // namespace holdfast
