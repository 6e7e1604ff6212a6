#include "formats/tensor_rows.h"

#include <gmock/gmock.h>

#include <numeric>

#include "formats/safetensors.h"
#include "formats/tensor_heads.h"

namespace holdfast {
namespace {

// A file of 16-bit numbers 0, 1, 2 …
Bytes counting(std::size_t count) {
    ByteWriter writer;
    for (std::size_t i = 0; i < count; ++i) writer.u16(static_cast<std::uint16_t>(i));
    return writer.take();
}

std::vector<std::uint16_t> rows_of(ByteView file, ModelTensor const& tensor, std::size_t* runs = nullptr) {
    Bytes all;
    auto sink = [&](ByteView bytes) -> Result<void> {
        all.insert(all.end(), bytes.begin(), bytes.end());
        if (runs) ++*runs;
        return {};
    };
    auto read = read_rows(MemoryAccess(file), tensor, sink);
    EXPECT_TRUE(read) << read.error().message;
    EXPECT_EQ(all.size(), row_bytes(tensor));
    std::vector<std::uint16_t> numbers(all.size() / 2);
    std::ranges::copy(all, reinterpret_cast<std::uint8_t*>(numbers.data()));
    return numbers;
}

ModelTensor tensor_of(std::vector<std::uint64_t> shape, std::vector<std::uint64_t> strides, std::uint64_t elements, std::uint64_t first = 0) {
    return {.name = "t", .dtype = "BF16", .shape = std::move(shape), .strides = std::move(strides), .offset = first * 2, .bytes = elements * 2};
}

TEST(TensorRows, WhatLiesInOrderIsTakenAsItIs) {
    EXPECT_THAT(rows_of(counting(10), tensor_of({2, 3}, {}, 6, 4)), testing::ElementsAre(4, 5, 6, 7, 8, 9));
}

TEST(TensorRows, StridesAreResolved) {
    auto file = counting(24);
    EXPECT_THAT(rows_of(file, tensor_of({3, 2}, {1, 3}, 6, 1)), testing::ElementsAre(1, 4, 2, 5, 3, 6));         // transposed
    EXPECT_THAT(rows_of(file, tensor_of({2, 2}, {6, 2}, 9)), testing::ElementsAre(0, 2, 6, 8));                  // a slice
    EXPECT_THAT(rows_of(file, tensor_of({2, 3}, {0, 1}, 3, 7)), testing::ElementsAre(7, 8, 9, 7, 8, 9));         // expanded
    EXPECT_THAT(rows_of(file, tensor_of({2, 1, 2, 2}, {1, 99, 12, 2}, 16)), testing::ElementsAre(0, 2, 12, 14, 1, 3, 13, 15));
    EXPECT_THAT(rows_of(file, tensor_of({1, 1}, {5, 5}, 1, 3)), testing::ElementsAre(3));
    EXPECT_THAT(rows_of(file, tensor_of({0, 4}, {4, 1}, 0)), testing::IsEmpty());
    EXPECT_THAT(rows_of(file, tensor_of({}, {}, 1, 5)), testing::ElementsAre(5));
}

TEST(TensorRows, ALargeTransposedTensorComesInRuns) {
    std::uint64_t const high = 3000, wide = 3000;
    auto file = counting(high * wide);
    std::size_t runs = 0;
    auto numbers = rows_of(file, tensor_of({wide, high}, {1, wide}, high * wide), &runs);
    EXPECT_GT(runs, 1u);
    std::size_t wrong = 0;
    for (std::uint64_t i = 0; i < wide; ++i) {
        for (std::uint64_t j = 0; j < high; ++j) wrong += numbers[i * high + j] != static_cast<std::uint16_t>(j * wide + i);
    }
    EXPECT_EQ(wrong, 0u);
}

TEST(TensorRows, OnlyItsOwnBytesAreRead) {
    class Watched : public MemoryAccess {
      public:
        using MemoryAccess::MemoryAccess;
        Result<void> read(std::uint64_t offset, ByteSpan bytes) const override {
            low = std::min(low, offset), high = std::max(high, offset + bytes.size());
            return MemoryAccess::read(offset, bytes);
        }
        mutable std::uint64_t low = ~std::uint64_t{0}, high = 0;
    };
    auto file = counting(100);
    Watched access(file);
    auto nothing = [](ByteView) -> Result<void> { return {}; };
    ASSERT_TRUE(read_rows(access, tensor_of({3, 2}, {1, 3}, 6, 40), nothing));
    ASSERT_TRUE(read_rows(access, tensor_of({6}, {}, 6, 40), nothing));
    EXPECT_EQ(access.low, 80u);
    EXPECT_EQ(access.high, 92u);
}

TEST(TensorRows, ATensorThatLeavesItsBytesIsDamaged) {
    auto file = counting(24);
    auto nothing = [](ByteView) -> Result<void> { return {}; };
    for (auto const& tensor : {tensor_of({3, 2}, {1, 3}, 5), tensor_of({7}, {}, 6), tensor_of({3, 3}, {std::uint64_t{1} << 62, 1}, 9),
                               tensor_of({std::uint64_t{1} << 40, 2}, {std::uint64_t{1} << 40, 1}, 9)}) {
        auto read = read_rows(MemoryAccess(file), tensor, nothing);
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().kind, ErrorKind::damaged);
    }
}

TEST(TensorHeads, SafetensorsAreReadBackAsTheyWereMeant) {
    std::vector<NewTensor> tensors = {{"z", "F8_E4M3", {3}, 3}, {"b\"", "BF16", {2, 2}, 8}, {"a", "BF16", {}, 2}, {"wide", "F64", {0}, 0}};
    auto head = safetensors_head(tensors, {{"format", "pt"}});
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(head->bytes.size() % 8, 0u);
    EXPECT_THAT(head->order, testing::ElementsAre(3, 2, 1, 0));
    auto parsed = parse_safetensors(head->bytes, head->bytes.size() + 13);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(parsed->metadata.at("format"), "pt");
    ASSERT_EQ(parsed->tensors.size(), 4u);
    EXPECT_EQ(parsed->tensors[1].name, "a");
    EXPECT_EQ(parsed->tensors[2].name, "b\"");
    EXPECT_THAT(parsed->tensors[2].shape, testing::ElementsAre(2, 2));
    EXPECT_EQ(parsed->tensors[3].dtype, "F8_E4M3");
}

TEST(TensorHeads, WhatTheFormatCannotHoldIsNamed) {
    auto why = [](std::vector<NewTensor> const& tensors) {
        auto head = safetensors_head(tensors, {});
        return head ? std::string() : head.error().message;
    };
    EXPECT_THAT(why({{"t", "C128", {1}, 16}}), testing::HasSubstr("'t': safetensors has no elements of type C128"));
    EXPECT_THAT(why({{"t", "F32", {1}, 4}, {"t", "F32", {1}, 4}}), testing::HasSubstr("'t' is there twice"));
    EXPECT_THAT(why({{"__metadata__", "F32", {1}, 4}}), testing::HasSubstr("no such name"));
    EXPECT_THAT(why({{"\xff", "F32", {1}, 4}}), testing::HasSubstr("no such name"));
    EXPECT_FALSE(npy_head("BF16", {}));
}

TEST(TensorHeads, NumPyFilesAreReadBack) {
    for (auto const& shape : std::vector<std::vector<std::uint64_t>>{{}, {5}, {2, 3}}) {
        auto head = npy_head("F32", shape);
        ASSERT_TRUE(head);
        EXPECT_EQ(head->size() % 64, 0u);
        auto file = *head;
        file.resize(file.size() + 4 * *element_count(shape));
        auto model = read_model(MemoryAccess(file), "x.npy");
        ASSERT_TRUE(model);
        EXPECT_EQ(model->verdict, ModelVerdict::verified) << testing::PrintToString(model->reasons);
        ASSERT_EQ(model->tensors.size(), 1u);
        EXPECT_EQ(model->tensors[0].shape, shape);
        EXPECT_EQ(model->tensors[0].offset, head->size());
    }
}

}  // namespace
}  // namespace holdfast
