#include "formats/safetensors.h"

#include <gtest/gtest.h>
#include <random>

namespace holdfast {
namespace {

Bytes file_of(std::string const& json, std::size_t data_bytes) {
    ByteWriter writer;
    writer.u64(json.size());
    writer.raw(as_bytes(json));
    Bytes data(data_bytes, 0x5a);
    writer.raw(data);
    return writer.take();
}

Result<Safetensors> read(ByteView file) {
    auto size = TRY(safetensors_head_size(file, file.size()));
    return parse_safetensors(file.first(size), file.size());
}

std::string const kGood =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},)"
    R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";

TEST(Safetensors, ReadsTensorsInTheOrderOfTheirBytes) {
    auto parsed = read(file_of(kGood, 22));
    ASSERT_TRUE(parsed) << parsed.error().message;
    ASSERT_EQ(parsed->tensors.size(), 2u);
    EXPECT_EQ(parsed->tensors[0].name, "a");
    EXPECT_EQ(parsed->tensors[1].shape, std::vector<std::uint64_t>{3});
    EXPECT_EQ(parsed->metadata.at("format"), "pt");
    EXPECT_EQ(parsed->data_start, 8 + kGood.size());
}

TEST(Safetensors, AcceptsNoTensorsScalarsPaddingAndEmptyTensors) {
    EXPECT_TRUE(read(file_of("{}", 0)));
    EXPECT_TRUE(read(file_of("{}     ", 0)));
    EXPECT_TRUE(read(file_of(R"({"s":{"dtype":"F64","shape":[],"data_offsets":[0,8]}})", 8)));
    EXPECT_TRUE(read(file_of(R"({"e":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]},"s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1)));
}

TEST(Safetensors, ReportsTypesItDoesNotKnow) {
    auto parsed = read(file_of(R"({"q":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}})", 2));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->unknown_dtypes, std::vector<std::string>{"F4"});
}

TEST(Safetensors, RefusesWhatIsNotContiguousCompleteAndConsistent) {
    auto tensor = [](char const* dtype, char const* shape, char const* offsets) {
        return std::string(R"({"t":{"dtype":")") + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
               offsets + "}}";
    };
    EXPECT_FALSE(read(file_of(tensor("F32", "[2]", "[0,8]"), 7))) << "truncated data";
    EXPECT_FALSE(read(file_of(tensor("F32", "[2]", "[0,8]"), 9))) << "bytes that belong to nobody";
    EXPECT_FALSE(read(file_of(tensor("F32", "[2]", "[4,12]"), 12))) << "a gap";
    EXPECT_FALSE(read(file_of(tensor("F32", "[3]", "[0,8]"), 8))) << "shape and size differ";
    EXPECT_FALSE(read(file_of(tensor("F32", "[8]", "[8,0]"), 8))) << "ends before it begins";
    EXPECT_FALSE(read(file_of(tensor("F32", "[4611686018427387904,4]", "[0,0]"), 0))) << "overflow to zero";
    EXPECT_FALSE(read(file_of(tensor("F32", "[9223372036854775808]", "[0,0]"), 0))) << "2^63 elements";
    EXPECT_FALSE(read(file_of(tensor("F32", "[-1]", "[0,4]"), 4)));
    EXPECT_FALSE(read(file_of(tensor("F32", "[1.5]", "[0,4]"), 4)));
    EXPECT_FALSE(read(file_of(tensor("F32", "[1]", "[0,4,8]"), 4)));
    EXPECT_FALSE(read(file_of(tensor("F32", "[1]", "4"), 4)));
    EXPECT_FALSE(read(file_of(R"({"t":{"dtype":"F32","shape":[1]}})", 4))) << "no offsets";
    EXPECT_FALSE(read(file_of(R"({"t":5})", 0)));
    EXPECT_FALSE(read(file_of(R"([])", 0)));
    EXPECT_FALSE(read(file_of(R"({"t":{}})", 0)));
    EXPECT_FALSE(read(file_of(R"({"__metadata__":{"a":{"b":"c"}}})", 0)));
    auto overlap = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})";
    EXPECT_FALSE(read(file_of(overlap, 6)));
    auto twice = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})";
    EXPECT_FALSE(read(file_of(twice, 8)));
}

TEST(Safetensors, RefusesHostileHeaderLengths) {
    for (std::uint64_t length : std::initializer_list<std::uint64_t>{1ull << 63, ~0ull, kSafetensorsHeaderMax + 1, 100}) {
        ByteWriter writer;
        writer.u64(length);
        writer.raw(as_bytes("{}"));
        EXPECT_FALSE(read(writer.view())) << length;
    }
    EXPECT_FALSE(read(as_bytes("short")));
    EXPECT_FALSE(read(file_of("", 0)));
}

TEST(Safetensors, SurvivesDeepNestingTruncationAndNoise) {
    EXPECT_FALSE(read(file_of(std::string(1'000'000, '['), 0)));
    EXPECT_FALSE(read(file_of("{\"a\":" + std::string(1'000'000, '{'), 0)));
    auto good = file_of(kGood, 22);
    for (std::size_t size = 0; size < good.size(); ++size) {
        EXPECT_FALSE(read(ByteView(good).first(size))) << size;
    }
    std::mt19937 random(1);
    for (int i = 0; i < 20000; ++i) {
        auto copy = good;
        for (int flips = 0; flips < 3; ++flips) copy[random() % copy.size()] ^= 1u << (random() % 8);
        auto parsed = read(copy);
        if (parsed) {
            EXPECT_LE(parsed->tensors.size(), 2u);
        }
    }
}

}  // namespace
}  // namespace holdfast
