#include "codec/planes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "codec/codec.h"
#include "codec/huffman.h"
#include "codec/test_bytes.h"

namespace holdfast {
namespace {

constexpr Element kElements[] = {Element::none,       Element::float8,     Element::float16,   Element::float32,
                                 Element::float64,    Element::signed8,    Element::signed16,  Element::signed32,
                                 Element::signed64,   Element::unsigned8,  Element::unsigned16, Element::unsigned32,
                                 Element::unsigned64};

std::vector<Instructions> all_instructions() {
    std::vector<Instructions> all;
    for (auto i = 0; i <= static_cast<int>(best_instructions()); ++i) all.push_back(static_cast<Instructions>(i));
    return all;
}

template <typename Number>
Bytes bytes_of(std::vector<Number> const& numbers) {
    Bytes bytes(numbers.size() * sizeof(Number));
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
    return bytes;
}

// Weights whose scale changes from layer to layer, as a network's do.
std::vector<float> weights(std::size_t count, unsigned seed, double spread = 3) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    std::vector<float> numbers(count);
    double scale = 0.02;
    for (std::size_t i = 0; i < count; ++i) {
        if (i % 20000 == 0) scale = 0.02 * std::exp2(normal(random) * spread);
        numbers[i] = static_cast<float>(normal(random) * scale);
    }
    return numbers;
}
Bytes bf16(std::vector<float> const& numbers) {
    std::vector<std::uint16_t> halves;
    for (auto number : numbers) halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(number) >> 16));
    return bytes_of(halves);
}

Bytes encoded(ByteView raw, Element element, Instructions instructions = best_instructions()) {
    Bytes out(planes_bytes_max(raw.size()));
    out.resize(encode_planes(raw, element, out, instructions));
    return out;
}
void expect_round_trip(Bytes const& raw, Element element) {
    auto const best = encoded(raw, element);
    for (auto instructions : all_instructions()) {
        ASSERT_EQ(encoded(raw, element, instructions), best) << "the same bytes on every path";
        Bytes back(raw.size());
        auto decoded = decode_planes(best, back, instructions);
        ASSERT_TRUE(decoded) << decoded.error().message;
        ASSERT_EQ(back, raw);
    }
}

TEST(Planes, RoundTripsEveryElementOnEveryPathAtEverySize) {
    auto const floats = bytes_of(weights(20000, 1));
    for (auto element : kElements) {
        auto width = form_of(element).width;
        for (std::size_t size : {std::size_t{1}, width, 255 * width, 256 * width, 256 * width + 1, 257 * width - 1,
                                 512 * width, 1021 * width, floats.size()}) {
            SCOPED_TRACE(testing::Message() << "element " << static_cast<int>(element) << ", " << size << " bytes");
            expect_round_trip(Bytes(floats.begin(), floats.begin() + static_cast<std::ptrdiff_t>(size)), element);
            expect_round_trip(random_bytes(size, 1), element);
            expect_round_trip(Bytes(size, 0), element);
            expect_round_trip(Bytes(size, 0xc3), element);
        }
    }
}

TEST(Planes, ElidesBlocksOfZerosWhereverTheyLie) {
    auto numbers = weights(256 * 64, 2);
    for (std::size_t block : {0, 1, 7, 30, 31, 63}) std::fill_n(numbers.begin() + static_cast<std::ptrdiff_t>(block * 256), 256, 0.f);
    expect_round_trip(bytes_of(numbers), Element::float32);
    // -0.0 is another number.
    std::fill_n(numbers.begin() + 256 * 7, 256, -0.f);
    expect_round_trip(bytes_of(numbers), Element::float32);
    auto sparse = bytes_of(std::vector<float>(1 << 20));
    sparse[12345] = 1;
    EXPECT_LT(encoded(sparse, Element::float32).size(), 4200u);
    expect_round_trip(sparse, Element::float32);
}

TEST(Planes, KeepsOddNumbers) {
    std::vector<float> odd;
    for (std::uint32_t bits : {0x7fc00000u, 0xffc00001u, 0x7f800000u, 0xff800000u, 1u, 0x80000001u, 0x80000000u, 0x7fffffffu}) {
        for (int i = 0; i < 100; ++i) odd.push_back(std::bit_cast<float>(bits));
    }
    expect_round_trip(bytes_of(odd), Element::float32);
}

// Ratios that this codec reaches on such weights; less means that a part of it does no longer work.
TEST(Planes, MakesWeightsSmall) {
    auto const numbers = weights(1 << 19, 3);
    auto ratio = [](Bytes const& raw, Element element) {
        return static_cast<double>(raw.size()) / static_cast<double>(encoded(raw, element).size());
    };
    EXPECT_GT(ratio(bf16(numbers), Element::float16), 1.49);
    EXPECT_GT(ratio(bytes_of(numbers), Element::float32), 1.195);
    auto const one_scale = bf16(weights(1 << 19, 3, 0));
    EXPECT_GT(ratio(one_scale, Element::float16), 1.50);
    // A cast leaves low planes of zeros: they cost nothing.
    auto cast = numbers;
    for (auto& number : cast) number = std::bit_cast<float>(std::bit_cast<std::uint32_t>(number) & 0xffff0000);
    EXPECT_GT(ratio(bytes_of(cast), Element::float32), 2.9);
    std::vector<std::int64_t> indices;
    for (std::int64_t i = 0; i < 20000; ++i) indices.push_back(i % 300 - 150);
    EXPECT_GT(ratio(bytes_of(indices), Element::signed64), 6.0);
    EXPECT_GT(ratio(Bytes(1 << 20), Element::float32), 100'000.0);
}

TEST(Planes, GroupsByScaleWin) {
    // Alternating scales, block by block: one table for all of them would be a poor one.
    auto numbers = weights(1 << 18, 4, 0);
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        if (i / 256 % 2 == 1) numbers[i] *= 1e-6f;
    }
    auto raw = bytes_of(numbers);
    EXPECT_GT(static_cast<double>(raw.size()) / static_cast<double>(encoded(raw, Element::float32).size()), 1.19);
    expect_round_trip(raw, Element::float32);
}

TEST(Planes, RefusesEveryTruncationAndEveryOtherLength) {
    auto const raw = bytes_of(weights(256 * 12 + 5, 5));
    auto const good = encoded(raw, Element::float32);
    Bytes back(raw.size());
    for (std::size_t size = 0; size < good.size(); ++size) {
        ASSERT_EQ(decode_planes(ByteView(good).first(size), back).error().kind, ErrorKind::damaged) << size;
    }
    auto longer = good;
    longer.push_back(0);
    EXPECT_FALSE(decode_planes(longer, back));
    for (std::size_t size : {std::size_t{0}, std::size_t{1}, raw.size() - 1, raw.size() + 1, raw.size() + 1024, 8 * raw.size()}) {
        Bytes other(size);
        EXPECT_FALSE(decode_planes(good, other)) << size;
    }
}

TEST(Planes, SurvivesEveryFlippedByte) {
    for (auto element : {Element::float16, Element::float32, Element::signed8}) {
        auto raw = bytes_of(weights(256 * 8 + 3, 6));
        std::fill_n(raw.begin() + 2048, 2048, 0);
        auto const good = encoded(raw, element);
        std::mt19937 random(7);
        for (std::size_t i = 0; i < good.size(); ++i) {
            auto bad = good;
            bad[i] ^= static_cast<std::uint8_t>(1 + random() % 255);
            // Exactly as long as allowed: a sanitizer sees what is written behind it.
            auto back = std::make_unique<std::uint8_t[]>(raw.size());
            (void)decode_planes(bad, {back.get(), raw.size()});
        }
    }
}

TEST(Planes, RefusesABomb) {
    // What encodes 8 MiB of zeros is small; it fills what it was said to fill, and nothing else.
    Bytes zeros(kFrameRawBytesMax);
    auto small = encoded(zeros, Element::float32);
    EXPECT_LT(small.size(), 100u);
    Bytes back(1 << 20, 1);
    EXPECT_TRUE(decode_planes(small, back));  // no block of it is stored: any number of zeros is this
    EXPECT_EQ(back, Bytes(1 << 20));
    small[3] = 0xff, small[4] = 0xff, small[5] = 0xff, small[6] = 0xff;  // 2^32 - 1 blocks
    EXPECT_FALSE(decode_planes(small, back));
}

TEST(Huffman, LengthsMakeACompleteCodeOfElevenBitsAtMost) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 500; ++round) {
        ByteCounts counts{};
        auto symbols = 2 + random() % 255;
        for (std::size_t i = 0; i < symbols; ++i) {
            // Up to Fibonacci-like growth, which wants codes as long as there are symbols.
            counts[i] = static_cast<std::uint32_t>(1 + random() % (1ull << (round % 31)));
            if (round % 3 == 0) counts[i] = static_cast<std::uint32_t>(std::min(1e6, std::pow(1.618, static_cast<double>(i))));
        }
        auto lengths = code_lengths(counts);
        std::size_t taken = 0;
        for (std::size_t s = 0; s < 256; ++s) {
            ASSERT_EQ(lengths[s] > 0, counts[s] > 0);
            ASSERT_LE(lengths[s], kHuffmanBitsMax);
            if (lengths[s] > 0) taken += std::size_t{1} << (kHuffmanBitsMax - lengths[s]);
        }
        ASSERT_EQ(taken, std::size_t{1} << kHuffmanBitsMax);
    }
}

TEST(Huffman, RoundTripsSkewedAndFlatRuns) {
    std::mt19937_64 random(2);
    HuffmanEncoder encoder;
    HuffmanDecoder decoder;
    for (int round = 0; round < 150; ++round) {
        Bytes symbols(4 * (1 + random() % 3000));
        auto range = 2 + random() % 255;
        auto skew = 1 + random() % 8;
        for (auto& symbol : symbols) {
            auto value = static_cast<double>(random() % 1000000) / 1e6;
            symbol = static_cast<std::uint8_t>(std::pow(value, static_cast<double>(skew)) * static_cast<double>(range));
        }
        symbols[0] = 0, symbols[1] = 1;
        ByteCounter counter;
        counter.add(symbols);
        auto lengths = code_lengths(counter.total());
        Bytes out(HuffmanEncoder::encoded_bytes_max(symbols.size()));
        out.resize(encoder.encode(lengths, symbols, out.data()));
        EXPECT_LE(out.size(), coded_bits(counter.total(), lengths) / 8 + 16 + 4);
        ASSERT_TRUE(decoder.set(lengths));
        ByteView stored(out);
        Bytes back(symbols.size());
        ASSERT_TRUE(decoder.decode(stored, back));
        ASSERT_EQ(back, symbols);
        EXPECT_TRUE(stored.empty());
        // A first stream that goes on behind its codes.
        auto longer = out;
        std::uint32_t size;
        std::memcpy(&size, longer.data(), sizeof size);
        longer.insert(longer.begin() + 16 + size, 0);
        ++size;
        std::memcpy(longer.data(), &size, sizeof size);
        ByteView more(longer);
        EXPECT_FALSE(decoder.decode(more, back));
        lengths[0] = static_cast<std::uint8_t>(lengths[0] % 11 + 1);
        EXPECT_FALSE(decoder.set(lengths)) << "no complete code";
    }
}

TEST(Codec, TakesPlanesForNumbersAndZstdForWhatRepeats) {
    Bytes scratch;
    auto const floats = bytes_of(weights(1 << 18, 8));
    auto numbers = encode_frame(floats, {.element = Element::float32}, scratch);
    ASSERT_TRUE(numbers);
    EXPECT_EQ(numbers->codec, Codec::planes);
    Bytes back(floats.size());
    ASSERT_TRUE(decode_frame(Codec::planes, numbers->bytes, back));
    EXPECT_EQ(back, floats);
    // The same 1,000 weights again and again.
    auto some = weights(1000, 9);
    std::vector<float> again;
    while (again.size() < 1 << 18) again.insert(again.end(), some.begin(), some.end());
    EXPECT_EQ(encode_frame(bytes_of(again), {.element = Element::float32}, scratch)->codec, Codec::zstd);
    EXPECT_EQ(encode_frame(random_bytes(1 << 20, 1), {.element = Element::float32}, scratch)->codec, Codec::raw);
    for (std::size_t size : {1, 3, 1000, 5000}) {
        Bytes raw(floats.begin(), floats.begin() + static_cast<std::ptrdiff_t>(size));
        auto small = encode_frame(raw, {.element = Element::float32}, scratch);
        ASSERT_TRUE(small);
        Bytes small_back(size);
        ASSERT_TRUE(decode_frame(small->codec, small->bytes, small_back));
        EXPECT_EQ(small_back, raw);
    }
}

}  // namespace
}  // namespace holdfast
