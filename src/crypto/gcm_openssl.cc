#include <cassert>
#include <cstdlib>
#include <openssl/evp.h>

#include "crypto/gcm_engine.h"

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

void openssl_seal(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView plain, std::uint8_t* sealed) {
    thread_local GcmContext context(true);
    context.begin(key32, nonce, associated);
    context.transform(plain, sealed);
    context.take_tag(sealed + plain.size());
}

bool openssl_open(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView sealed, std::uint8_t* plain) {
    thread_local GcmContext context(false);
    context.begin(key32, nonce, associated);
    auto size = sealed.size() - kGcmTagBytes;
    context.transform(sealed.first(size), plain);
    return context.tag_fits(sealed.subspan(size));
}

}  // namespace

GcmEngine openssl_gcm() { return {openssl_seal, openssl_open}; }

}  // namespace holdfast
