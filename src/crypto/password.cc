#include <cassert>
#include <sodium.h>

#include "crypto/crypto.h"

namespace holdfast {

Result<Secret> argon2id(ByteView password, ByteView salt, Argon2Cost cost, std::size_t size) {
    assert(salt.size() == crypto_pwhash_argon2id_SALTBYTES);
    assert(size >= crypto_pwhash_argon2id_BYTES_MIN);
    if (!is_sane(cost))
        return fail(ErrorKind::damaged, "argon2 parameters are out of bounds");
    if (sodium_init() < 0)
        return fail(ErrorKind::internal, "libsodium does not start");
    auto key = Secret::of_size(size);
    // An empty view has no address; the library wants one.
    auto const* text = password.empty() ? "" : reinterpret_cast<char const*>(password.data());
    if (crypto_pwhash_argon2id(key.writable().data(), size, text, password.size(), salt.data(),
                               cost.passes, cost.memory_bytes,
                               crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
        return fail(ErrorKind::io, "no memory to derive a key from the password",
                    "free " + std::to_string(cost.memory_bytes >> 20) + " MiB");
    return key;
}

}  // namespace holdfast
