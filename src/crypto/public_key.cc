#include <cassert>
#include <cstring>
#include <sodium.h>

#include "crypto/crypto.h"

namespace holdfast {

SignKey SignKey::generate(Random& random) {
    auto seed = Secret::of_size(crypto_sign_SEEDBYTES);
    random.fill(seed.writable());
    return from_seed(seed.view());
}

SignKey SignKey::from_seed(ByteView seed32) {
    assert(seed32.size() == crypto_sign_SEEDBYTES);
    SignKey key{Secret(seed32), {}};
    auto expanded = Secret::of_size(crypto_sign_SECRETKEYBYTES);
    crypto_sign_seed_keypair(key.public_key.data(), expanded.writable().data(), seed32.data());
    return key;
}

Signature SignKey::sign(ByteView message) const {
    // libsodium's secret key is the seed, then the public key.
    auto expanded = Secret::of_size(crypto_sign_SECRETKEYBYTES);
    std::memcpy(expanded.writable().data(), seed.view().data(), seed.size());
    std::memcpy(expanded.writable().data() + seed.size(), public_key.data(), public_key.size());
    Signature signature;
    crypto_sign_detached(signature.data(), nullptr, message.data(), message.size(),
                         expanded.view().data());
    return signature;
}

bool signature_fits(SignPublicKey const& key, ByteView message, Signature const& signature) {
    return crypto_sign_verify_detached(signature.data(), message.data(), message.size(),
                                       key.data()) == 0;
}

BoxKey BoxKey::generate(Random& random) {
    auto key = Secret::of_size(crypto_scalarmult_SCALARBYTES);
    random.fill(key.writable());
    return from_private(key.view());
}

BoxKey BoxKey::from_private(ByteView private32) {
    assert(private32.size() == crypto_scalarmult_SCALARBYTES);
    BoxKey key{Secret(private32), {}};
    crypto_scalarmult_base(key.public_key.data(), private32.data());
    return key;
}

Result<Secret> x25519(ByteView private32, BoxPublicKey const& peer) {
    assert(private32.size() == crypto_scalarmult_SCALARBYTES);
    auto shared = Secret::of_size(crypto_scalarmult_BYTES);
    if (crypto_scalarmult(shared.writable().data(), private32.data(), peer.data()) != 0)
        return fail(ErrorKind::damaged, "public key of small order");
    return shared;
}

Result<BoxPublicKey> box_public_of(SignPublicKey const& key) {
    BoxPublicKey box;
    if (crypto_sign_ed25519_pk_to_curve25519(box.data(), key.data()) != 0)
        return fail(ErrorKind::damaged, "signing key that is none");
    return box;
}

BoxKey box_key_of(SignKey const& key) {
    auto expanded = Secret::of_size(crypto_sign_SECRETKEYBYTES);
    std::memcpy(expanded.writable().data(), key.seed.view().data(), key.seed.size());
    std::memcpy(expanded.writable().data() + key.seed.size(), key.public_key.data(),
                key.public_key.size());
    auto scalar = Secret::of_size(crypto_scalarmult_SCALARBYTES);
    crypto_sign_ed25519_sk_to_curve25519(scalar.writable().data(), expanded.view().data());
    return BoxKey::from_private(scalar.view());
}

}  // namespace holdfast
