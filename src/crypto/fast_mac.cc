#include "crypto/fast_mac.h"

#include <cassert>
#include <climits>
#include <cstdlib>
#include <openssl/evp.h>

namespace holdfast {
namespace {

constexpr std::size_t kMacKeyBytes = 32;

// What fails here is an OpenSSL without AES, or without memory: nothing that a caller could mend.
void must(int result) {
    if (result != 1) std::abort();
}

EVP_CIPHER_CTX* keyed_context(char const* name, ByteView key) {
    auto* cipher = EVP_CIPHER_fetch(nullptr, name, nullptr);
    auto* context = EVP_CIPHER_CTX_new();
    if (cipher == nullptr || context == nullptr) std::abort();
    must(EVP_EncryptInit_ex2(context, cipher, key.data(), nullptr, nullptr));
    EVP_CIPHER_free(cipher);  // the context has its own reference
    return context;
}

}  // namespace

struct FastMac::State {
    explicit State(ByteView key)
        : hash(keyed_context("AES-256-GCM", key.first(kMacKeyBytes))),
          permute(keyed_context("AES-256-ECB", key.subspan(kMacKeyBytes))) {
        must(EVP_CIPHER_CTX_set_padding(permute, 0));
    }
    // OpenSSL wipes the schedules.
    ~State() {
        EVP_CIPHER_CTX_free(hash);
        EVP_CIPHER_CTX_free(permute);
    }
    State(State const&) = delete;
    State& operator=(State const&) = delete;

    EVP_CIPHER_CTX *hash, *permute;
};

FastMac::FastMac(ByteView key64) {
    assert(key64.size() == 2 * kMacKeyBytes);
    state_ = std::make_unique<State>(key64);
}
FastMac::~FastMac() = default;
FastMac::FastMac(FastMac&&) noexcept = default;
FastMac& FastMac::operator=(FastMac&&) noexcept = default;

FastMac::Sum FastMac::of(ByteView message) {
    static constexpr std::array<std::uint8_t, 12> kNonce{};
    assert(message.size() <= INT_MAX);
    Sum tag, sum;
    int written = 0;
    must(EVP_EncryptInit_ex2(state_->hash, nullptr, nullptr, kNonce.data(), nullptr));
    // Without a place for its output the message is data that is only authenticated.
    if (!message.empty())
        must(EVP_EncryptUpdate(state_->hash, nullptr, &written, message.data(), static_cast<int>(message.size())));
    std::uint8_t none[16];
    must(EVP_EncryptFinal_ex(state_->hash, none, &written));
    must(EVP_CIPHER_CTX_ctrl(state_->hash, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()), tag.data()));
    must(EVP_EncryptUpdate(state_->permute, sum.data(), &written, tag.data(), static_cast<int>(tag.size())));
    assert(written == static_cast<int>(sum.size()));
    return sum;
}

}  // namespace holdfast
