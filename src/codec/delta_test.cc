#include "codec/delta.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "codec/test_bytes.h"

namespace holdfast {
namespace {

constexpr Element kAllElements[] = {Element::none,      Element::float8,    Element::float16,    Element::float32,
                                    Element::float64,   Element::signed8,   Element::signed16,   Element::signed32,
                                    Element::signed64,  Element::unsigned8, Element::unsigned16, Element::unsigned32,
                                    Element::unsigned64};

template <typename Number>
Bytes as_raw(std::vector<Number> const& numbers) {
    Bytes bytes(numbers.size() * sizeof(Number));
    std::memcpy(bytes.data(), numbers.data(), bytes.size());
    return bytes;
}

// A tensor and what some steps of training make of it: every weight moves a little, whatever its size.
struct Steps {
    std::vector<float> base, now;
};
Steps train(std::size_t count, unsigned seed, double step) {
    std::mt19937_64 random(seed);
    std::normal_distribution<double> normal;
    Steps steps;
    for (std::size_t i = 0; i < count; ++i) {
        auto weight = static_cast<float>(normal(random) * 0.02);
        steps.base.push_back(weight);
        steps.now.push_back(static_cast<float>(weight + normal(random) * step));
    }
    return steps;
}
Bytes as_bf16(std::vector<float> const& numbers) {
    std::vector<std::uint16_t> halves;
    for (auto number : numbers) halves.push_back(static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(number) >> 16));
    return as_raw(halves);
}
// IEEE half, cut; of numbers between 2^-14 and 2^15.
Bytes as_half(std::vector<float> const& numbers) {
    std::vector<std::uint16_t> halves;
    for (auto number : numbers) {
        auto bits = std::bit_cast<std::uint32_t>(number);
        auto exponent = static_cast<int>(bits >> 23 & 255) - 112;
        auto magnitude = exponent <= 0 ? 0u : static_cast<std::uint32_t>(exponent) << 10 | (bits >> 13 & 0x3ff);
        halves.push_back(static_cast<std::uint16_t>(bits >> 16 & 0x8000) | static_cast<std::uint16_t>(magnitude));
    }
    return as_raw(halves);
}

Bytes delta_of(ByteView raw, ByteView base, Element element, Instructions instructions = best_instructions()) {
    Bytes out(delta_bytes_max(raw.size()));
    out.resize(encode_delta(raw, base, element, out, instructions));
    return out;
}
// Leaves other bytes in the memory that a thread keeps: what a path forgets to write must not be there already.
void soil_memory() {
    static auto const steps = train(8192, 11, 1e-3);
    static auto const now = as_raw(steps.now), base = as_raw(steps.base);
    ASSERT_EQ(delta_of(now, base, Element::float32)[0], 1);
}
void expect_same_back(ByteView raw, ByteView base, Element element) {
    auto const best = delta_of(raw, base, element);
    for (auto i = 0; i <= static_cast<int>(best_instructions()); ++i) {
        auto instructions = static_cast<Instructions>(i);
        soil_memory();
        ASSERT_EQ(delta_of(raw, base, element, instructions), best) << "the same bytes on every path";
        soil_memory();
        Bytes back(raw.size());
        auto decoded = decode_delta(best, base, back, instructions);
        ASSERT_TRUE(decoded) << decoded.error().message;
        ASSERT_TRUE(std::ranges::equal(back, raw));
    }
}
double ratio_of(Bytes const& raw, Bytes const& base, Element element) {
    return static_cast<double>(raw.size()) / static_cast<double>(delta_of(raw, base, element).size());
}

TEST(Delta, RoundTripsEveryElementOnEveryPathAtEverySize) {
    auto const steps = train(20000, 1, 1e-4);
    auto const now = as_raw(steps.now), before = as_raw(steps.base);
    for (auto element : kAllElements) {
        auto width = form_of(element).width;
        for (std::size_t size : {std::size_t{1}, width, 3 * width, 63 * width, 511 * width, 512 * width + 1, 513 * width,
                                 577 * width, 1025 * width - 1, 4096 * width, 9001 * width, now.size()}) {
            SCOPED_TRACE(testing::Message() << "element " << static_cast<int>(element) << ", " << size << " bytes");
            size = std::min(size, now.size());
            auto raw = ByteView(now).first(size), base = ByteView(before).first(size);
            expect_same_back(raw, base, element);
            expect_same_back(raw, raw, element);
            expect_same_back(raw, Bytes(size), element);
            expect_same_back(Bytes(size, 0xff), base, element);
            expect_same_back(random_bytes(size, 1), random_bytes(size, 2), element);
        }
    }
}

TEST(Delta, KeepsOddNumbers) {
    std::vector<std::uint32_t> odd = {0x7fc00000u, 0xffc00001u, 0x7f800000u, 0xff800000u, 1u, 0x80000001u, 0x80000000u, 0u,
                                      0x7fffffffu, 0xffffffffu, 0x3f800000u, 0xbf800000u};
    std::vector<std::uint32_t> now, before;
    for (int again = 0; again < 20; ++again) {
        for (auto a : odd) {
            for (auto b : odd) now.push_back(a), before.push_back(b);
        }
    }
    for (auto element : {Element::float32, Element::float16, Element::float8, Element::signed32}) {
        expect_same_back(as_raw(now), as_raw(before), element);
    }
}

// Ratios that this codec reaches on such steps; less means that a part of it does no longer work.
TEST(Delta, MakesStepsSmall) {
    auto const steps = train(1 << 18, 3, 2e-5);
    EXPECT_GT(ratio_of(as_raw(steps.now), as_raw(steps.base), Element::float32), 1.68);
    EXPECT_GT(ratio_of(as_bf16(steps.now), as_bf16(steps.base), Element::float16), 7.4);
    EXPECT_GT(ratio_of(as_half(steps.now), as_half(steps.base), Element::float16), 3.6);
    std::vector<std::int32_t> counts, later;
    for (int i = 0; i < 100'000; ++i) counts.push_back(i * 1000), later.push_back(i * 1000 + i % 5);
    EXPECT_GT(ratio_of(as_raw(later), as_raw(counts), Element::signed32), 10.0);
}

TEST(Delta, SaysWhatItsElementsAre) {
    auto const steps = train(1 << 16, 4, 2e-5);
    auto said = [](Bytes const& raw, Bytes const& base, Element element) { return int{delta_of(raw, base, element)[1]}; };
    EXPECT_EQ(said(as_raw(steps.now), as_raw(steps.base), Element::float32), 2 | 4 | 23 << 3);
    // Sixteen bits are what the numbers say that they are.
    EXPECT_EQ(said(as_bf16(steps.now), as_bf16(steps.base), Element::float16), 1 | 4 | 7 << 3);
    EXPECT_EQ(said(as_half(steps.now), as_half(steps.base), Element::float16), 1 | 4 | 10 << 3);
    EXPECT_EQ(said(as_raw(steps.now), as_raw(steps.base), Element::signed32), 2 | 31 << 3);
}

TEST(Delta, TakesPlanesWhereLittleChanged) {
    auto const base = random_bytes(1 << 20, 5);
    auto raw = base;
    EXPECT_LT(delta_of(raw, base, Element::float32).size(), 100u);
    // One row of 256 in a hundred, as of an embedding whose words did not occur.
    for (std::size_t at = 0; at < raw.size(); at += 102'400) {
        for (std::size_t i = 0; i < 1024; ++i) raw[at + i] ^= static_cast<std::uint8_t>(i * 31);
    }
    auto stored = delta_of(raw, base, Element::float32);
    EXPECT_EQ(stored[0], 0);
    EXPECT_LT(stored.size(), 20'000u);
    expect_same_back(raw, base, Element::float32);
}

TEST(Delta, RefusesEveryTruncationAndEveryOtherLength) {
    auto const steps = train(512 * 5 + 7, 6, 1e-4);
    auto const raw = as_raw(steps.now), base = as_raw(steps.base);
    auto const good = delta_of(raw, base, Element::float32);
    ASSERT_EQ(good[0], 1);
    Bytes back(raw.size());
    for (std::size_t size = 0; size < good.size(); ++size) {
        auto decoded = decode_delta(ByteView(good).first(size), base, back);
        ASSERT_FALSE(decoded) << size;
        ASSERT_EQ(decoded.error().kind, ErrorKind::damaged);
    }
    auto longer = good;
    longer.push_back(0);
    EXPECT_FALSE(decode_delta(longer, base, back));
    EXPECT_FALSE(decode_delta(good, ByteView(base).first(base.size() - 1), back));
    for (std::size_t size : {std::size_t{0}, std::size_t{1}, raw.size() - 4, raw.size() + 4, 2 * raw.size()}) {
        Bytes other(size), other_base(size);
        EXPECT_FALSE(decode_delta(good, other_base, other)) << size;
    }
}

TEST(Delta, SurvivesEveryFlippedByteAndAnyOtherBase) {
    for (auto element : {Element::float8, Element::float16, Element::float32}) {
        auto const steps = train(512 * 4 + 3, 7, 1e-4);
        auto const raw = as_raw(steps.now), base = as_raw(steps.base);
        auto const good = delta_of(raw, base, element);
        std::mt19937 random(8);
        // Exactly as long as allowed: a sanitizer sees what is written behind it.
        auto back = std::make_unique<std::uint8_t[]>(raw.size());
        for (std::size_t i = 0; i < good.size(); ++i) {
            auto bad = good;
            bad[i] ^= static_cast<std::uint8_t>(1 + random() % 255);
            for (auto k = 0; k <= static_cast<int>(best_instructions()); ++k) {
                (void)decode_delta(bad, base, {back.get(), raw.size()}, static_cast<Instructions>(k));
            }
        }
        for (unsigned seed = 0; seed < 50; ++seed) {
            (void)decode_delta(good, random_bytes(base.size(), seed), {back.get(), raw.size()});
            EXPECT_NE(Bytes(back.get(), back.get() + raw.size()), raw);
        }
    }
}

TEST(Delta, RefusesMoreRestsThanItsElementsHave) {
    auto const steps = train(512 * 20, 10, 1e-4);
    auto const raw = as_raw(steps.now), base = as_raw(steps.base);
    auto const good = delta_of(raw, base, Element::float32);
    // Both parts of the rests state their size, and nothing follows them.
    auto begin_of = [&](std::size_t end) {
        std::uint32_t size = 0;
        for (auto begin = end; begin-- > 4;) {
            std::memcpy(&size, good.data() + begin - 4, sizeof size);
            if (size == end - begin) return begin;
        }
        return std::size_t{0};
    };
    auto const bits = begin_of(good.size()), bytes = begin_of(bits - 4);
    ASSERT_GT(bytes, 512u);
    Bytes back(raw.size());
    for (auto begin : {bits, bytes}) {
        auto longer = good;
        std::uint32_t size;
        std::memcpy(&size, longer.data() + begin - 4, sizeof size);
        longer.insert(longer.begin() + static_cast<std::ptrdiff_t>(begin + size), 0);
        ++size;
        std::memcpy(longer.data() + begin - 4, &size, sizeof size);
        auto decoded = decode_delta(longer, base, back);
        ASSERT_FALSE(decoded);
        EXPECT_THAT(decoded.error().message, testing::HasSubstr("rests of another length"));
    }
}

TEST(Delta, RefusesAHeadThatNoWriterMakes) {
    auto const steps = train(1 << 18, 9, 1e-4);
    auto const raw = as_raw(steps.now), base = as_raw(steps.base);
    auto const good = delta_of(raw, base, Element::float32);
    ASSERT_EQ(good[0], 1);
    ASSERT_GE(good[2], 2) << "several classes";
    auto why = [&](std::size_t at, std::uint8_t value) {
        auto bad = good;
        bad[at] = value;
        Bytes back(raw.size());
        auto decoded = decode_delta(bad, base, back);
        return decoded ? std::string() : decoded.error().message;
    };
    EXPECT_THAT(why(0, 2), testing::HasSubstr("unknown way"));
    EXPECT_THAT(why(1, 3 | 4 | 31 << 3), testing::HasSubstr("unknown elements"));  // 8 bytes
    EXPECT_THAT(why(1, 2 | 4 | 22 << 3), testing::HasSubstr("unknown elements"));  // an exponent of 9 bits
    EXPECT_THAT(why(1, 0 | 4 | 8 << 3), testing::HasSubstr("unknown elements"));   // more fraction than bits
    EXPECT_THAT(why(2, 0), testing::HasSubstr("number of classes"));
    EXPECT_THAT(why(2, 17), testing::HasSubstr("number of classes"));
    EXPECT_THAT(why(3, 0), testing::HasSubstr("out of order"));
    EXPECT_THAT(why(3, 32), testing::HasSubstr("out of order"));
    auto sizes = 3u + good[2] - 1;
    EXPECT_THAT(why(sizes, static_cast<std::uint8_t>(good[sizes] + 1)), testing::HasSubstr("number of elements"));
    // A scale moves elements to other classes than they were counted in.
    EXPECT_NE(why(sizes + 4u * good[2], static_cast<std::uint8_t>(good[sizes + 4u * good[2]] + 3)), "");
    // As many elements of half the width do not have such long differences.
    auto narrow = good;
    narrow[1] = 1 | 4 | 7 << 3;
    Bytes half(raw.size() / 2);
    auto decoded = decode_delta(narrow, ByteView(base).first(half.size()), half);
    ASSERT_FALSE(decoded);
    EXPECT_THAT(decoded.error().message, testing::HasSubstr("an impossible table"));
    Bytes back(raw.size());
    EXPECT_FALSE(decode_delta(Bytes{0}, base, back));
}

}  // namespace
}  // namespace holdfast
