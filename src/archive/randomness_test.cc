#include "archive/randomness.h"

#include <gtest/gtest.h>
#include <random>

namespace holdfast {
namespace {

Bytes noise(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    Bytes bytes(size);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(engine());
    return bytes;
}

Bytes text(std::size_t size) {
    std::string_view words = "the quick brown fox jumps over the lazy dog; 0123456789\n";
    Bytes bytes;
    while (bytes.size() < size) bytes.push_back(static_cast<std::uint8_t>(words[bytes.size() % words.size()]));
    return bytes;
}

Randomness sample(ByteView bytes, std::size_t piece) {
    RandomnessSampler sampler;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        sampler.add(at, bytes.subspan(at, std::min(piece, bytes.size() - at)));
    }
    return sampler.finish();
}

TEST(Randomness, NoiseIsNoiseAtEverySize) {
    for (std::size_t size : {512, 600, 2048, 5000, 1 << 20}) {
        int wrong = 0;
        for (std::uint64_t seed = 0; seed < 50; ++seed) wrong += !sample(noise(size, seed), 1 << 20).looks_random();
        EXPECT_EQ(wrong, 0) << size;
    }
    EXPECT_GT(sample(noise(1 << 20, 1), 1 << 20).entropy, 7.98);
}

TEST(Randomness, TextAndTablesAreNot) {
    EXPECT_FALSE(sample(text(512), 4096).looks_random());
    EXPECT_FALSE(sample(text(1 << 20), 4096).looks_random());
    EXPECT_LT(sample(text(1 << 20), 4096).entropy, 6);
    Bytes table;  // little-endian integers that grow: low bytes look random, high ones do not
    for (std::uint32_t i = 0; i < 100'000; ++i) {
        for (int shift = 0; shift < 32; shift += 8) table.push_back(static_cast<std::uint8_t>((i * 7919) >> shift));
    }
    EXPECT_FALSE(sample(table, 4096).looks_random());
}

TEST(Randomness, EveryOtherBlockEncryptedIsEnough) {
    auto bytes = text(1 << 20);
    auto cipher = noise(64 << 10, 3);
    for (std::size_t at = 0; at < bytes.size(); at += 128 << 10) std::ranges::copy(cipher, bytes.begin() + static_cast<std::ptrdiff_t>(at));
    EXPECT_TRUE(sample(bytes, 1 << 20).looks_random());
}

TEST(Randomness, TooLittleIsNotJudged) {
    EXPECT_EQ(sample(noise(511, 1), 4096).blocks, 0u);
    EXPECT_FALSE(sample(noise(511, 1), 4096).looks_random());
    EXPECT_EQ(sample({}, 4096).blocks, 0u);
}

TEST(Randomness, ASampleIsBoundedAndHolesArePassed) {
    EXPECT_EQ(sample(noise(8 << 20, 1), 1 << 20).blocks, 16u);
    RandomnessSampler sampler;
    sampler.add(1ull << 40, noise(4096, 1));
    EXPECT_EQ(sampler.finish().blocks, 1u);
}

}  // namespace
}  // namespace holdfast
