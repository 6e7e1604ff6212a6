#include "repo/memory_pool.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace holdfast {
namespace {

TEST(MemoryPool, GivesTheSameMemoryAgain) {
    MemoryPool pool(10u << 20);
    auto memory = pool.take(1u << 20);
    ASSERT_EQ(memory->size(), 1u << 20);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory->view().data()) % 4096, 0u);
    memory->span()[7] = 42;
    Slice slice{memory, memory->view().subspan(7, 1)};
    auto const* data = memory->view().data();
    memory.reset();
    EXPECT_NE(pool.take(1u << 20)->view().data(), data);  // the slice still needs it
    EXPECT_EQ(slice.bytes[0], 42);
    slice = {};
    EXPECT_NE(pool.take(2u << 20)->view().data(), data);  // another size
    auto again = pool.take(1u << 20);
    EXPECT_EQ(again->view().data(), data);
    EXPECT_NE(pool.take(1u << 20)->view().data(), data);  // it is out
}

TEST(MemoryPool, KeepsNoMoreThanItMay) {
    MemoryPool pool(3u << 20);
    std::uint8_t const* kept = nullptr;
    {
        auto first = pool.take(2u << 20), second = pool.take(2u << 20);
        kept = second->view().data();  // goes first, and is kept; there is no room for the other
    }
    auto again = pool.take(2u << 20);
    EXPECT_EQ(again->view().data(), kept);
}

TEST(MemoryPool, MemoryMayOutliveIt) {
    std::shared_ptr<Memory> memory;
    {
        MemoryPool pool(1u << 20);
        memory = pool.take(4096);
    }
    memory->span()[4095] = 1;
}

}  // namespace
}  // namespace holdfast
