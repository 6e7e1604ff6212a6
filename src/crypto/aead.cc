#include <cassert>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <openssl/evp.h>
#include <sodium.h>

#include "crypto/crypto.h"

namespace holdfast {
namespace {

// A cipher context that is made once for a thread: making one costs more than sealing a small
// frame. Between calls it holds the schedule of the last key; OpenSSL wipes it when the thread
// ends.
class GcmContext {
  public:
    explicit GcmContext(bool seals) : context_(EVP_CIPHER_CTX_new()) {
        static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
        // Out of memory, or an OpenSSL without AES: nothing that a caller could mend.
        if (context_ == nullptr || cipher == nullptr ||
            EVP_CipherInit_ex2(context_, cipher, nullptr, nullptr, seals ? 1 : 0, nullptr) != 1)
            std::abort();
    }
    ~GcmContext() { EVP_CIPHER_CTX_free(context_); }
    GcmContext(GcmContext const&) = delete;
    GcmContext& operator=(GcmContext const&) = delete;

    void begin(ByteView key, GcmNonce const& nonce, ByteView associated) {
        assert(key.size() == 32);
        check(EVP_CipherInit_ex2(context_, nullptr, key.data(), nonce.data(), -1, nullptr));
        int ignored = 0;
        for (auto rest = associated; !rest.empty();) {
            auto part = rest.first(std::min(rest.size(), kPartMax));
            check(EVP_CipherUpdate(context_, nullptr, &ignored, part.data(),
                                   static_cast<int>(part.size())));
            rest = rest.subspan(part.size());
        }
    }
    void transform(ByteView from, std::uint8_t* to) {
        while (!from.empty()) {
            auto part = from.first(std::min(from.size(), kPartMax));
            int written = 0;
            check(EVP_CipherUpdate(context_, to, &written, part.data(),
                                   static_cast<int>(part.size())));
            assert(static_cast<std::size_t>(written) == part.size());
            from = from.subspan(part.size());
            to += part.size();
        }
    }
    void take_tag(std::uint8_t* tag) {
        check(finish());
        check(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, kGcmTagBytes, tag));
    }
    bool tag_fits(ByteView tag) {
        // OpenSSL takes a pointer to non-const and only reads.
        check(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, kGcmTagBytes,
                                  const_cast<std::uint8_t*>(tag.data())));
        return finish() == 1;
    }

  private:
    static constexpr std::size_t kPartMax = 1u << 30;  // lengths are int
    int finish() {
        std::uint8_t nothing[kGcmTagBytes];
        int written = 0;
        return EVP_CipherFinal_ex(context_, nothing, &written);
    }
    static void check(int status) {
        if (status != 1)
            std::abort();
    }
    EVP_CIPHER_CTX* context_;
};

}  // namespace

void gcm_seal(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView plain,
              ByteSpan sealed) {
    assert(sealed.size() == plain.size() + kGcmTagBytes);
    thread_local GcmContext context(true);
    context.begin(key32, nonce, associated);
    context.transform(plain, sealed.data());
    context.take_tag(sealed.data() + plain.size());
}

bool gcm_open(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView sealed,
              ByteSpan plain) {
    if (sealed.size() < kGcmTagBytes)
        return false;
    assert(plain.size() == sealed.size() - kGcmTagBytes);
    thread_local GcmContext context(false);
    context.begin(key32, nonce, associated);
    context.transform(sealed.first(plain.size()), plain.data());
    if (context.tag_fits(sealed.subspan(plain.size())))
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
