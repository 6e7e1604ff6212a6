#include "crypto/shamir.h"

#include <cassert>

namespace holdfast {

std::uint8_t gf256_multiply(std::uint8_t a, std::uint8_t b) {
    unsigned product = 0, shifted = a;
    for (int bit = 0; bit < 8; ++bit) {
        // All ones where the bit is set: no branch on a secret.
        product ^= shifted & (0u - (b >> bit & 1u));
        shifted <<= 1;
        shifted ^= 0x11bu & (0u - (shifted >> 8 & 1u));
    }
    return static_cast<std::uint8_t>(product);
}

std::uint8_t gf256_inverse(std::uint8_t a) {
    // a^254, since a^255 is 1 for everything but 0.
    std::uint8_t square = a, result = 1;
    for (int i = 0; i < 7; ++i) {
        square = gf256_multiply(square, square);
        result = gf256_multiply(result, square);
    }
    return result;
}

std::vector<SecretShare> split_secret(ByteView secret, unsigned threshold, unsigned count, Random& random) {
    assert(threshold >= 1 && threshold <= count && count <= 255);
    // One polynomial for each byte: its coefficients, the highest first, and the secret last.
    auto coefficients = Secret::of_size(threshold * secret.size());
    random.fill(coefficients.writable());
    auto constant = coefficients.writable().subspan((threshold - 1) * secret.size());
    for (std::size_t i = 0; i < secret.size(); ++i) constant[i] = secret[i];

    std::vector<SecretShare> shares;
    for (unsigned x = 1; x <= count; ++x) {
        SecretShare share{static_cast<std::uint8_t>(x), Secret::of_size(secret.size())};
        auto value = share.value.writable();
        for (unsigned degree = 0; degree < threshold; ++degree) {
            auto row = coefficients.view().subspan(degree * secret.size(), secret.size());
            for (std::size_t i = 0; i < secret.size(); ++i)
                value[i] = static_cast<std::uint8_t>(gf256_multiply(value[i], share.x) ^ row[i]);
        }
        shares.push_back(std::move(share));
    }
    return shares;
}

Result<Secret> combine_shares(std::span<SecretShare const> shares) {
    if (shares.empty()) return fail(ErrorKind::usage, "no share at all");
    auto size = shares.front().value.size();
    auto secret = Secret::of_size(size);
    for (auto const& share : shares) {
        if (share.x == 0 || share.value.size() != size)
            return fail(ErrorKind::usage, "shares that do not belong together");
        // The Lagrange polynomial of this share at 0.
        std::uint8_t factor = 1;
        for (auto const& other : shares) {
            if (&other == &share) continue;
            if (other.x == share.x) return fail(ErrorKind::usage, "the same share twice");
            auto divisor = gf256_inverse(static_cast<std::uint8_t>(other.x ^ share.x));
            factor = gf256_multiply(factor, gf256_multiply(other.x, divisor));
        }
        auto value = share.value.view();
        for (std::size_t i = 0; i < size; ++i) secret.writable()[i] ^= gf256_multiply(value[i], factor);
    }
    return secret;
}

}  // namespace holdfast
