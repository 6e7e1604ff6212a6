#pragma once

#include <optional>

#include "crypto/crypto.h"

namespace holdfast {

// What does AES-256-GCM; every one of them makes the same bytes. Thread-safe. The key has 32 bytes.
struct GcmEngine {
    // Writes plain.size() + kGcmTagBytes bytes.
    void (*seal)(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView plain, std::uint8_t* sealed);
    // Writes sealed.size() - kGcmTagBytes bytes, also when it returns false: the tag does not fit. `sealed` holds a tag.
    bool (*open)(ByteView key32, GcmNonce const& nonce, ByteView associated, ByteView sealed, std::uint8_t* plain);
};

GcmEngine openssl_gcm();
// Intel's multi-buffer library, for processors with AES on vectors of 512 bits: three times as fast as OpenSSL 3.0, which
// knows these instructions from 3.1 on. Nothing on other processors, or without the library.
std::optional<GcmEngine> vector_gcm();

}  // namespace holdfast
