#include "crypto/shamir.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

// Gives the bytes that it was told.
struct ScriptedRandom : Random {
    Bytes bytes;
    void fill(ByteSpan to) override {
        for (std::size_t i = 0; i < to.size(); ++i) to[i] = bytes[i % bytes.size()];
    }
};

Secret secret_of(std::string_view text) { return Secret(as_bytes(text)); }

TEST(Gf256, IsTheFieldOfAes) {
    // FIPS 197, 4.2.
    EXPECT_EQ(gf256_multiply(0x57, 0x83), 0xc1);
    EXPECT_EQ(gf256_multiply(0x57, 0x13), 0xfe);
    EXPECT_EQ(gf256_multiply(0x57, 0x02), 0xae);
    // A field: a product by definition (long multiplication, then reduction), no divisors of zero, one
    // inverse for each.
    for (unsigned a = 0; a < 256; ++a) {
        for (unsigned b = 0; b < 256; ++b) {
            unsigned product = 0;
            for (unsigned bit = 0; bit < 8; ++bit)
                if (b >> bit & 1) product ^= a << bit;
            for (unsigned bit = 15; bit >= 8; --bit)
                if (product >> bit & 1) product ^= 0x11b << (bit - 8);
            ASSERT_EQ(gf256_multiply(static_cast<std::uint8_t>(a), static_cast<std::uint8_t>(b)), product);
        }
        auto inverse = gf256_inverse(static_cast<std::uint8_t>(a));
        EXPECT_EQ(gf256_multiply(static_cast<std::uint8_t>(a), inverse), a == 0 ? 0 : 1) << a;
    }
}

TEST(Shamir, AnyEnoughSharesGiveTheSecretBack) {
    SeededRandom random(1);
    auto secret = secret_of("correct horse battery staple");
    for (unsigned threshold = 1; threshold <= 5; ++threshold) {
        auto shares = split_secret(secret.view(), threshold, 5, random);
        ASSERT_EQ(shares.size(), 5u);
        for (unsigned set = 1; set < 32; ++set) {
            std::vector<SecretShare> some;
            for (unsigned i = 0; i < 5; ++i)
                if (set >> i & 1) some.push_back({shares[i].x, shares[i].value.clone()});
            auto combined = combine_shares(some);
            ASSERT_TRUE(combined);
            EXPECT_EQ(combined->equals(secret.view()), some.size() >= threshold) << threshold << ' ' << set;
        }
    }
    auto many = split_secret(secret.view(), 255, 255, random);
    EXPECT_TRUE(combine_shares(many)->equals(secret.view()));
}

// Of one share less, every secret is equally likely: each pair of secret and share comes from exactly one
// coefficient.
TEST(Shamir, TooFewSharesTellNothing) {
    for (unsigned x : {1u, 2u, 255u}) {
        for (unsigned s = 0; s < 256; s += 17) {
            std::vector<int> seen(256);
            for (unsigned coefficient = 0; coefficient < 256; ++coefficient) {
                ScriptedRandom random;
                random.bytes = {static_cast<std::uint8_t>(coefficient)};
                std::uint8_t byte = static_cast<std::uint8_t>(s);
                auto shares = split_secret({&byte, 1}, 2, std::max(x, 2u), random);
                ++seen[shares[x - 1].value.view()[0]];
            }
            for (auto count : seen) ASSERT_EQ(count, 1);
        }
    }
}

TEST(Shamir, EachByteHasAPolynomialOfItsOwn) {
    SeededRandom random(2);
    auto secret = Secret::of_size(64);  // zeros
    auto shares = split_secret(secret.view(), 2, 3, random);
    std::vector<int> seen(256);
    for (auto byte : shares[0].value.view()) ++seen[byte];
    EXPECT_LT(*std::max_element(seen.begin(), seen.end()), 10);
}

TEST(Shamir, WhatDoesNotBelongTogetherIsRefused) {
    SeededRandom random(3);
    auto secret = secret_of("x");
    auto shares = split_secret(secret.view(), 2, 3, random);
    EXPECT_EQ(combine_shares({}).error().kind, ErrorKind::usage);
    std::vector<SecretShare> twice;
    twice.push_back({1, shares[0].value.clone()});
    twice.push_back({1, shares[0].value.clone()});
    EXPECT_EQ(combine_shares(twice).error().kind, ErrorKind::usage);
    twice[1].x = 0;
    EXPECT_EQ(combine_shares(twice).error().kind, ErrorKind::usage);
    twice[1] = {2, secret_of("xy")};
    EXPECT_EQ(combine_shares(twice).error().kind, ErrorKind::usage);
}

}  // namespace
}  // namespace holdfast
