#include <cassert>
#include <sodium.h>

#include "crypto/crypto.h"
#include "crypto/gcm_engine.h"

namespace holdfast {
namespace {

GcmEngine const& gcm() {
    static GcmEngine const chosen = vector_gcm().value_or(openssl_gcm());
    return chosen;
}

}  // namespace

void gcm_seal(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView plain,
              ByteSpan sealed) {
    assert(key32.size() == 32 && sealed.size() == plain.size() + kGcmTagBytes);
    gcm().seal(key32, nonce, associated, plain, sealed.data());
}

bool gcm_open(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView sealed,
              ByteSpan plain) {
    if (sealed.size() < kGcmTagBytes)
        return false;
    assert(key32.size() == 32 && plain.size() == sealed.size() - kGcmTagBytes);
    if (gcm().open(key32, nonce, associated, sealed, plain.data()))
        return true;
    wipe(plain);
    return false;
}

namespace {
constexpr std::size_t kXNonceBytes = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kXTagBytes = crypto_aead_xchacha20poly1305_ietf_ABYTES;
static_assert(kXNonceBytes + kXTagBytes == kXChaChaOverheadBytes);

// Until it is asked to look at the processor, libsodium takes its slowest code.
void choose_fast_code() {
    static int const chosen = sodium_init();
    (void)chosen;
}
}  // namespace

Bytes xchacha_seal(ByteView key32, Random& random, ByteView associated, ByteView plain) {
    assert(key32.size() == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
    choose_fast_code();
    Bytes sealed(kXNonceBytes + plain.size() + kXTagBytes);
    random.fill(ByteSpan(sealed).first(kXNonceBytes));
    crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data() + kXNonceBytes, nullptr, plain.data(),
                                               plain.size(), associated.data(), associated.size(),
                                               nullptr, sealed.data(), key32.data());
    return sealed;
}

Result<Bytes> xchacha_open(ByteView key32, ByteView associated, ByteView sealed) {
    assert(key32.size() == crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
    if (sealed.size() < kXNonceBytes + kXTagBytes)
        return fail(ErrorKind::damaged, "sealed bytes end too early");
    choose_fast_code();
    Bytes plain(sealed.size() - kXNonceBytes - kXTagBytes);
    auto text = sealed.subspan(kXNonceBytes);
    if (crypto_aead_xchacha20poly1305_ietf_decrypt(
            plain.data(), nullptr, nullptr, text.data(), text.size(), associated.data(),
            associated.size(), sealed.data(), key32.data()) != 0)
        return fail(ErrorKind::damaged, "seal does not fit");
    return plain;
}

}  // namespace holdfast
