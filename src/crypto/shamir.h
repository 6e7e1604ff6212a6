#pragma once

#include <span>
#include <vector>

#include "crypto/secret.h"
#include "os/random.h"

namespace holdfast {

// A secret in shares of which any `threshold` give it back and fewer tell nothing at all (Shamir, "How to
// share a secret", 1979): each byte is the value at 0 of a random polynomial of degree threshold − 1 over
// GF(2^8) with x^8 + x^4 + x^3 + x + 1, and a share is its value at `x`.
struct SecretShare {
    std::uint8_t x = 0;  // 1 to 255
    Secret value;        // as long as the secret
};

// Shares 1 to `count`. 1 <= threshold <= count <= 255 (asserted).
std::vector<SecretShare> split_secret(ByteView secret, unsigned threshold, unsigned count, Random& random);

// From as many shares as the threshold was, or more: fewer, or others than were made together, give bytes
// that mean nothing, and no error. usage when two have the same x, one has 0, or the lengths differ.
Result<Secret> combine_shares(std::span<SecretShare const> shares);

// Multiplication in that field, in time that does not depend on its operands.
std::uint8_t gf256_multiply(std::uint8_t a, std::uint8_t b);
// 0 for 0.
std::uint8_t gf256_inverse(std::uint8_t a);

}  // namespace holdfast
