// Signatures and key agreement that cost nothing. Nobody in the simulation forges anything: what is tested is
// who writes what when, and signing a thousand documents properly takes longer than all that.
//
// It defines every symbol of crypto/public_key.cc, so that the linker takes these in its place.
#include <algorithm>

#include "crypto/crypto.h"

namespace holdfast {
namespace {

Hash32 hash_of(ByteView first, ByteView second) {
    Sha256 hash;
    hash.update(first);
    hash.update(second);
    return hash.finish();
}

}  // namespace

SignKey SignKey::generate(Random& random) {
    auto seed = Secret::of_size(32);
    random.fill(seed.writable());
    return from_seed(seed.view());
}

SignKey SignKey::from_seed(ByteView seed32) {
    SignKey key{Secret(seed32), {}};
    key.public_key = sha256(seed32);
    return key;
}

Signature SignKey::sign(ByteView message) const {
    Signature signature{};
    std::ranges::copy(hash_of(public_key, message), signature.begin());
    return signature;
}

bool signature_fits(SignPublicKey const& key, ByteView message, Signature const& signature) {
    auto expected = hash_of(key, message);
    return std::equal(expected.begin(), expected.end(), signature.begin());
}

BoxKey BoxKey::generate(Random& random) {
    auto key = Secret::of_size(32);
    random.fill(key.writable());
    return from_private(key.view());
}

BoxKey BoxKey::from_private(ByteView private32) {
    BoxKey key{Secret(private32), {}};
    std::ranges::copy(private32, key.public_key.begin());
    return key;
}

// Both sides know both halves here, and agree on what the smaller and the larger of them make.
Result<Secret> x25519(ByteView private32, BoxPublicKey const& peer) {
    BoxPublicKey own{};
    std::ranges::copy(private32, own.begin());
    auto shared = own < peer ? hash_of(own, peer) : hash_of(peer, own);
    return Secret(shared);
}

// Both halves of a pair are the same bytes here, so what belongs to a signing key is its public half.
Result<BoxPublicKey> box_public_of(SignPublicKey const& key) {
    BoxPublicKey box{};
    std::ranges::copy(key, box.begin());
    return box;
}

BoxKey box_key_of(SignKey const& key) { return BoxKey::from_private(key.public_key); }

}  // namespace holdfast
