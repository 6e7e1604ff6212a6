#pragma once

#include <functional>
#include <optional>

#include "crypto/crypto.h"
#include "repo/keys.h"

namespace holdfast {

// What a sealed document is. The number is part of the format and bound into seal and signature.
enum class DocumentKind : std::uint8_t {
    index = 1,    // a segment of the index; by a writer
    point = 2,    // a recovery point; by a writer
    log = 3,      // an entry of a writer's log; by its owner
    receipt = 4,  // when a point was first seen; by an admin
    lease = 5,    // a running writer's marker; by a writer
    self = 6,     // plan, catalog, contacts for `rescue`; by a writer or an admin
    proven = 7,   // packs that a reader opened and recomputed; by a reader
    hold = 8,     // points that must stay; by a writer or an admin
    doomed = 9,   // packs that will be deleted; by an admin
    watch = 10,   // who was writing when packs were doomed; by an admin
    merged = 11,  // several writers' segments of the index; by an admin
    ring = 17,    // data key pairs, who may read with them, keys that were removed; by an admin
};
// "recovery point", for messages.
std::string_view name(DocumentKind kind);
// The roles of which a signer needs at least one.
Roles roles_that_sign(DocumentKind kind);

// Every document has this envelope (integers of one byte; docs/repository-format.md, "Envelope"):
//
//     magic "HFE1" | kind (1) | repository id (16) | signer's bundle id (16) | signature (64) | sealed
//
// `sealed` is XChaCha20-Poly1305 (nonce (24) ‖ ciphertext ‖ tag (16)) under a key derived from the
// index key, with magic ‖ kind ‖ repository id ‖ signer as associated data. `signature` is the
// signer's Ed25519 over a fixed text, the associated data and `sealed`: it binds what the store sees,
// so a document can be checked before it is opened.
inline constexpr std::size_t kEnvelopeHeaderBytes = 4 + 1 + 16 + 16 + 64;
inline constexpr std::size_t kEnvelopeOverheadBytes = kEnvelopeHeaderBytes + kXChaChaOverheadBytes;

// What a document says that it is; nothing when it is none. Only open_document() tells whether it is.
std::optional<DocumentKind> kind_of_document(ByteView bytes);

// Seals and signs `plain` as `keys`' own. The bundle has a role that may sign this kind (asserted).
Bytes seal_document(DocumentKind kind, KeyBundle const& keys, ByteView plain, Random& random);

// Finds the certificate of a signer; `damaged` when the admin certified none.
using CertificateLookup = std::function<Result<KeyCertificate>(BundleId const&)>;

struct OpenDocument {
    Bytes plain;
    KeyCertificate signer;
};
// Opens what seal_document() made. `damaged` for every changed, missing or added byte, and, each with
// a message of its own: a document of another repository or kind, of a signer that no admin
// certified or whose role does not allow this kind.
Result<OpenDocument> open_document(DocumentKind kind, KeyBundle const& keys, ByteView bytes,
                                   CertificateLookup const& certificates);

}  // namespace holdfast
