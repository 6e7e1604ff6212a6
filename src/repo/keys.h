#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "crypto/crypto.h"
#include "repo/ids.h"

namespace holdfast {

enum class Role : std::uint8_t {
    writer = 1,  // back up; cannot read what anyone wrote
    reader = 2,  // restore, verify
    admin = 4,   // add keys, delete
};
using Roles = std::uint8_t;  // Role values or-ed
constexpr Roles operator|(Role a, Role b) { return static_cast<Roles>(a) | static_cast<Roles>(b); }
constexpr Roles kAllRoles = 7;
// "writer", "reader", "admin", or joined by '+': "writer+reader".
std::string to_text(Roles roles);
Result<Roles> parse_roles(std::string_view text);

// What one holder knows. Every bundle signs with a key of its own and is certified by the admin.
struct KeyBundle {
    BundleId id;
    RepositoryId repository;
    Roles roles = 0;
    Secret id_key;                       // 32 bytes: chunk ids, chunker's table
    Secret index_key;                    // 32 bytes: index, points, logs
    BoxPublicKey data_public{};          // frames are sealed to it
    std::optional<Secret> data_private;  // readers only
    SignKey sign;                        // this bundle's own
    SignPublicKey admin_public{};        // the first admin's: root of trust
    std::optional<SignKey> admin_sign;   // admins only
    std::string label;                   // "init on ncl-01": for people

    bool has(Role role) const { return (roles & static_cast<Roles>(role)) != 0; }
    KeyBundle clone() const;
};

// A key for one purpose, derived from the index key: HKDF-SHA-256 with the repository id as salt and
// `purpose` as info. The index key itself seals nothing.
Secret derive_from_index_key(KeyBundle const& keys, std::string_view purpose, std::size_t size = 32);
// Names a dataset to the store without telling the name: HMAC-SHA-256 under such a key.
DatasetTag dataset_tag(KeyBundle const& keys, std::string_view dataset);
// First bytes of SHA-256 of the public key.
DataKeyId data_key_id(BoxPublicKey const& data_public);
// A new bundle of a new repository, with all roles, the first admin.
KeyBundle generate_first_bundle(Random& random, std::string label);
// Another bundle of the same repository: `roles` decide which secrets it gets. `from` is an admin's
// (asserted).
KeyBundle generate_bundle(KeyBundle const& from, Roles roles, std::string label, Random& random);

// The fields of a bundle as bytes: what is wrapped, and what a key file holds.
Secret encode(KeyBundle const& bundle);
Result<KeyBundle> decode_bundle(ByteView bytes);

// A key object's content: certificate in the clear (id, roles, public signing key, label; signed by
// the admin), then, when there is a password, the bundle wrapped by it, then a plain checksum that
// tells `damaged` from `key_refused`.
Result<Bytes> wrap_bundle(KeyBundle const& bundle, SignKey const& admin, std::optional<ByteView> password,
                          Random& random);
// From when on a bundle's signature counts no more (key_ring.h).
struct KeyRemoval {
    Time time;
    // It is told that it is removed, and an admin is about to note how far it went: all of it counts still.
    bool closing = false;
    // How far the bundle's log went, as the admin saw it: what it names up to here stays. 0: nothing.
    std::uint64_t last_entry = 0;
    Hash32 last_hash{};
    bool operator==(KeyRemoval const&) const = default;
};
struct KeyCertificate {
    BundleId id;
    RepositoryId repository;
    Roles roles = 0;
    SignPublicKey sign_public{};
    std::string label;
    bool has_password = false;  // the object also holds the bundle, wrapped
    std::optional<KeyRemoval> removed = std::nullopt;  // as of the key ring; not in the object
};
// Checks the checksum and, given the admin's key, the signature.
Result<KeyCertificate> read_certificate(ByteView object, std::optional<SignPublicKey> admin);
// key_refused on a wrong password or an object without a wrapped bundle; damaged by checksum, or when
// the stored argon2 parameters ask for more than 1 GiB or 16 passes.
Result<KeyBundle> unwrap_bundle(ByteView object, ByteView password);

// A key file (what `key export` makes, mode 0600): text lines that name what it is, then the bundle
// in hexadecimal, with a checksum. The caller wipes the text. `damaged` tells a truncated or flipped file, `usage` one that is none.
std::string to_key_file(KeyBundle const& bundle);
Result<KeyBundle> parse_key_file(std::string_view text);

}  // namespace holdfast
