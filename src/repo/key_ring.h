#pragma once

#include <map>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <vector>

#include "repo/envelope.h"
#include "repo/wal_key.h"
#include "store/store.h"

namespace holdfast {

// What admins decide about keys after a repository was made: further data key pairs, who may read with
// them, and whose certificates count no more. Stored under rings/<n> with a copy under self/rings/<n>.
// Each ring is whole by itself; a change is one put of the next number, which must not exist. So two
// admins never overwrite each other, and a crash leaves the old state or the new one.

// The pair that packs are sealed to when no other is named: "" is the first bundle's and all that came
// after it. Others are named by the plan: datasets with a key pair of their own.
struct DataPair {
    std::string name;  // of is_pair_name(), or "": the repository's own, a new epoch of it
    BoxPublicKey public_key{};
    Time created;
};
bool is_pair_name(std::string_view name);  // 1 to 64 of [a-z 0-9 . _ -]

// A key whose signature counts no more, and what it had signed by then: that stays. Times that its holder
// writes prove nothing, so this is what an admin found in the store.
struct RemovedKey {
    KeyRemoval removal;  // with how far its log went
    // Its self documents, as far as they were among the newest of their name: SHA-256 of the object by its key.
    std::map<std::string, Hash32> self = {};
    // What it had stored of write-ahead logs: spans, apart and ascending, by "<tag>/<stream>/<timeline>", and the
    // keys of histories.
    std::map<std::string, std::vector<WalSpan>> log = {};
    std::set<std::string> histories = {};

    // Whether entry n of its log counts.
    bool counts(std::uint64_t n) const { return removal.closing || n <= removal.last_entry; }
    bool had_stored(std::string_view key, WalKey const& name) const;
};
// Under which name a timeline's spans stand in RemovedKey::log.
std::string removed_log_name(WalStream const& stream, std::uint32_t timeline);

struct KeyRing {
    std::uint64_t n = 0;  // 0: the repository has none yet
    Hash32 previous{};    // SHA-256 of the object n - 1; zeros for the first
    Time time;
    std::vector<DataPair> pairs;  // oldest first
    std::map<BundleId, RemovedKey> removed;
    // The private half of a pair, sealed to the holder of a bundle (seal_grant()).
    std::map<BundleId, std::map<DataKeyId, Bytes>> grants;
    // What admins decided besides, by name. Whoever changes the ring carries over what it does not know.
    std::map<std::string, std::uint64_t> settings;

    DataPair const* find(DataKeyId const& id) const;
    bool has_pair(std::string_view name) const;
};

inline constexpr std::string_view kRingsPrefix = "rings/";
inline constexpr std::string_view kRingCopiesPrefix = "self/rings/";
std::string ring_key(std::uint64_t n);  // "rings/000001"
std::string ring_copy_key(std::uint64_t n);

Bytes seal_ring(KeyRing const& ring, KeyBundle const& keys, Random& random);
// Opens the object found under `key` (or as its copy): its number must be the key's.
Result<KeyRing> open_ring(std::string_view key, ByteView object, KeyBundle const& keys,
                          CertificateLookup const& certificates);

// What can be told without any key: that no accident changed it.
Result<void> check_bare_ring(ByteView object);

// A data private key for one reader: ephemeral X25519 public key (32) ‖ XChaCha20-Poly1305, under a key
// of the ephemeral one and the reader's signing key. Only the reader opens it, also when its bundle was
// made before the pair.
Result<Bytes> seal_grant(RepositoryId const& repository, BundleId const& to, SignPublicKey const& sign,
                         BoxKey const& data, Random& random);
// `damaged` when it is not for this bundle or does not hold the private half of `data`.
Result<BoxKey> open_grant(KeyBundle const& keys, BoxPublicKey const& data, ByteView sealed);

struct LoadedRing {
    KeyRing ring;
    Hash32 hash{};                     // of its object; zeros without one
    std::vector<std::string> notices;  // what was helped by a copy
    // A newer ring is there, and neither it nor its copy opens: good enough to read with, not to write.
    std::optional<Error> newer;
};
// The newest ring that opens. An empty one (n = 0) when there is none. A listing may lag behind: ring `known` is
// asked for by its name, and then those after it.
Result<LoadedRing> load_ring(Store& store, KeyBundle const& keys, CertificateLookup const& certificates,
                             std::uint64_t known, std::stop_token stop);

}  // namespace holdfast
