#pragma once

#include <array>

#include "base/bytes.h"
#include "crypto/secret.h"
#include "os/random.h"

namespace holdfast {

using Hash32 = std::array<std::uint8_t, 32>;

// SHA-256 (FIPS 180-4).
Hash32 sha256(ByteView bytes);
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;
    void update(ByteView bytes);
    Hash32 finish();  // once

  private:
    void* context_;
};

// HMAC-SHA-256 (RFC 2104) under one key, many times. Thread-safe: each call works on its own copy of
// the keyed state. Wiped when it goes away; copies are cheap and wiped too.
class HmacKey {
  public:
    using State = std::array<std::uint64_t, 14>;  // SHA256_CTX after the padded key block

    explicit HmacKey(ByteView key);
    HmacKey(HmacKey const&) = default;
    HmacKey& operator=(HmacKey const&) = default;
    ~HmacKey();
    Hash32 of(ByteView bytes) const;
    // Of the concatenation.
    Hash32 of(ByteView first, ByteView second) const;
    // Of each message, into the hash of the same place: with many of some length, and AVX-512, in half the time.
    void of_each(std::span<ByteView const> messages, std::span<Hash32> hashes) const;

  private:
    State inner_{}, outer_{};
};

// HKDF-SHA-256 (RFC 5869), extract and expand.
Secret hkdf_sha256(ByteView key, ByteView salt, ByteView info, std::size_t size);

// Argon2id (RFC 9106), as libsodium's crypto_pwhash.
struct Argon2Cost {
    std::uint64_t memory_bytes = 32u << 20;
    std::uint32_t passes = 4;
};
// 8 KiB <= memory <= 4 GiB, 1 <= passes <= 64: what may be read from a store and then be used.
constexpr bool is_sane(Argon2Cost cost) {
    return cost.memory_bytes >= (8u << 10) && cost.memory_bytes <= (std::uint64_t{4} << 30) &&
           cost.passes >= 1 && cost.passes <= 64;
}
// Fails when memory is short (io) or the cost is not sane (damaged). Salt of 16 bytes, size >= 16.
Result<Secret> argon2id(ByteView password, ByteView salt, Argon2Cost cost, std::size_t size);

// AES-256-GCM (NIST SP 800-38D). A nonce never repeats under one key.
using GcmNonce = std::array<std::uint8_t, 12>;
inline constexpr std::size_t kGcmTagBytes = 16;
// Writes plain.size() + 16 bytes to `sealed` (ciphertext, then tag).
void gcm_seal(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView plain, ByteSpan sealed);
// Writes sealed.size() - 16 bytes to `plain`; false when the tag does not fit (then `plain` is zeroed).
[[nodiscard]] bool gcm_open(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView sealed,
                            ByteSpan plain);

// XChaCha20-Poly1305 (libsodium, IETF construction with 24-byte nonces drawn at random): for small
// objects under long-lived keys. The result is nonce (24) ‖ ciphertext ‖ tag (16).
inline constexpr std::size_t kXChaChaOverheadBytes = 40;
Bytes xchacha_seal(ByteView key32, Random& random, ByteView associated, ByteView plain);
// `damaged` when it does not open.
Result<Bytes> xchacha_open(ByteView key32, ByteView associated, ByteView sealed);

// Ed25519 (RFC 8032).
using SignPublicKey = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;
struct SignKey {
    Secret seed;  // 32 bytes
    SignPublicKey public_key;
    static SignKey generate(Random& random);
    static SignKey from_seed(ByteView seed32);
    Signature sign(ByteView message) const;
    SignKey clone() const { return {seed.clone(), public_key}; }
};
bool signature_fits(SignPublicKey const& key, ByteView message, Signature const& signature);

// X25519 (RFC 7748).
using BoxPublicKey = std::array<std::uint8_t, 32>;
struct BoxKey {
    Secret private_key;  // 32 bytes
    BoxPublicKey public_key;
    static BoxKey generate(Random& random);
    static BoxKey from_private(ByteView private32);
    BoxKey clone() const { return {private_key.clone(), public_key}; }
};
// The raw shared secret, to be run through HKDF. Fails on a public key of small order.
Result<Secret> x25519(ByteView private32, BoxPublicKey const& peer);

// The X25519 pair that belongs to an Ed25519 one by the map between the two curves (RFC 7748, 4.1), so
// that whoever is known by a signing key can be sent a secret. Using one key for both is safe when the
// two never share a message (Thormarker, "On using the same key pair for Ed25519 and an X25519 based
// KEM", 2021). Fails on a public key that is no point of the main subgroup.
Result<BoxPublicKey> box_public_of(SignPublicKey const& key);
BoxKey box_key_of(SignKey const& key);

}  // namespace holdfast
