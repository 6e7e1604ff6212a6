#include "repo/chunker.h"
#include "repo/gear_scan.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace holdfast {
namespace {

GearTable const& gear() {
    static GearTable const table = make_gear_table(Bytes(32, 7));
    return table;
}

Bytes random_bytes(std::size_t size, std::uint64_t seed) {
    std::mt19937_64 engine(seed);
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; i += 8) {
        auto value = engine();
        std::memcpy(bytes.data() + i, &value, std::min<std::size_t>(8, size - i));
    }
    return bytes;
}

// Cuts `bytes`, handed over in pieces whose sizes `piece` says.
template <typename Piece>
std::vector<Bytes> cut(ByteView bytes, Layout const& layout, GearTable const& table, Piece piece) {
    MemoryPool pool(64u << 20);
    Chunker chunker(table, layout, pool);
    std::vector<Bytes> chunks;
    auto take = [&] {
        auto chunk = chunker.take().bytes;
        chunks.emplace_back(chunk.begin(), chunk.end());
    };
    while (!bytes.empty()) {
        auto part = bytes.first(std::min<std::size_t>(bytes.size(), piece()));
        bytes = bytes.subspan(part.size());
        while (!part.empty()) {
            part = chunker.feed(part);
            while (chunker.full()) take();
        }
    }
    if (!chunker.empty()) take();
    return chunks;
}

std::vector<Bytes> cut(ByteView bytes, Layout const& layout = {}) {
    return cut(bytes, layout, gear(), [] { return ~std::size_t{0}; });
}

std::vector<std::size_t> sizes(std::vector<Bytes> const& chunks) {
    std::vector<std::size_t> result;
    for (auto const& chunk : chunks) result.push_back(chunk.size());
    return result;
}

Bytes joined(std::vector<Bytes> const& chunks) {
    Bytes result;
    for (auto const& chunk : chunks) result.insert(result.end(), chunk.begin(), chunk.end());
    return result;
}

// A change here means that nothing deduplicates against repositories that exist.
TEST(Chunker, SaysWhatEachChunkIsAnArrayOf) {
    Layout layout{.cut = Layout::Cut::stated, .cuts = {100, 100 + 2 * kStatedChunk, 3'000'000}, .elements = {Element::float32, Element::none}};
    MemoryPool pool(SIZE_MAX);
    Chunker chunker(gear(), layout, pool);
    std::vector<Element> elements;
    auto const all = random_bytes(3'500'000, 7);
    ByteView bytes(all);
    while (!bytes.empty()) {
        bytes = chunker.feed(bytes);
        while (chunker.full()) {
            elements.push_back(chunker.element());
            chunker.take();
        }
    }
    elements.push_back(chunker.element());
    using enum Element;
    EXPECT_EQ(elements, (std::vector{none, float32, float32, none, none})) << "the head, two slices, a gap, the rest";
}

TEST(Chunker, CutsWhereItAlwaysDid) {
    EXPECT_EQ(gear()[0], 11358210506836052094u);
    EXPECT_EQ(gear()[255], 11521207699715199710u);
    EXPECT_EQ(sizes(cut(random_bytes(8 << 20, 1))),
              (std::vector<std::size_t>{1094714, 1858820, 1189675, 402336, 1063082, 1448325, 1293159, 38497}));
}

// What many lanes pass over holds no cut, and their hash is the one that byte after byte leads to.
TEST(Chunker, EveryScanFindsTheSameCuts) {
    auto const pass = gear_pass_avx512();
    if (pass == nullptr) GTEST_SKIP() << "this processor has no AVX-512";
    auto const bytes = random_bytes(4u << 20, 5);
    // A cut each 2^14 bytes, and one in four billion.
    for (auto const mask : {~0ull << 50, ~0ull << 32}) {
        GearPosition one{.at = 100, .hash = 12345}, other = one;
        std::size_t passed = 0, cuts = 0;
        while (one.at < bytes.size()) {
            auto const until = std::min(bytes.size(), one.at + 70'000);
            auto const found = find_cut(gear(), bytes.data(), until, mask, one);
            auto const before = other.at;
            pass(gear(), bytes.data(), until, mask, other);
            passed += other.at - before;
            EXPECT_EQ(find_cut(gear(), bytes.data(), until, mask, other), found);
            ASSERT_EQ(other.at, one.at);
            ASSERT_EQ(other.hash, one.hash);
            cuts += found;
        }
        EXPECT_GT(passed, bytes.size() / 8) << "or nothing was tested";
        EXPECT_EQ(cuts > 100, mask == ~0ull << 50);
    }
}

TEST(Chunker, SizesStayInBoundsAndNearTheAverage) {
    auto bytes = random_bytes(64 << 20, 2);
    auto chunks = cut(bytes);
    EXPECT_EQ(joined(chunks), bytes);
    for (std::size_t i = 0; i + 1 < chunks.size(); ++i) {
        EXPECT_GE(chunks[i].size(), kChunkMin);
        EXPECT_LE(chunks[i].size(), kChunkMax);
    }
    auto average = bytes.size() / chunks.size();
    EXPECT_GT(average, kChunkAverage * 3 / 4);
    EXPECT_LT(average, kChunkAverage * 3 / 2);
    // Bytes without any variety end at the maximum.
    for (auto size : sizes(cut(Bytes(12 << 20, 0)))) EXPECT_EQ(size, kChunkMax);
}

TEST(Chunker, CutsDoNotDependOnHowBytesArrive) {
    auto bytes = random_bytes(12 << 20, 3);
    Layout stated{.cut = Layout::Cut::stated, .cuts = {0, 5, 5, 4, 100'000, 7'000'000}};
    for (auto const& layout : {Layout{}, Layout{.cut = Layout::Cut::pages, .cuts = {}}, stated}) {
        auto whole = cut(bytes, layout);
        for (std::uint64_t seed = 1; seed <= 6; ++seed) {
            SCOPED_TRACE(seed);
            std::mt19937_64 engine(seed);
            auto max = std::size_t{1} << (seed * 4);
            EXPECT_EQ(cut(bytes, layout, gear(), [&] { return 1 + engine() % max; }), whole);
        }
    }
}

TEST(Chunker, AnInsertionMovesOnlyNearbyCuts) {
    auto bytes = random_bytes(32 << 20, 4);
    auto before = cut(bytes);
    std::set<Bytes> known(before.begin(), before.end());
    for (std::size_t at : {std::size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
        auto changed = bytes;
        auto inserted = random_bytes(1000, at);
        changed.insert(changed.begin() + static_cast<std::ptrdiff_t>(at), inserted.begin(), inserted.end());
        std::size_t fresh = 0;
        for (auto const& chunk : cut(changed)) fresh += known.contains(chunk) ? 0 : 1;
        EXPECT_GE(fresh, 1u);
        EXPECT_LE(fresh, 5u) << "at " << at;
    }
}

TEST(Chunker, AnotherKeyCutsElsewhere) {
    auto bytes = random_bytes(16 << 20, 5);
    auto other = make_gear_table(Bytes(32, 8));
    EXPECT_NE(sizes(cut(bytes)), sizes(cut(bytes, {}, other, [] { return ~std::size_t{0}; })));
}

TEST(Chunker, PagesLieOnTheirGridBehindAHoleToo) {
    auto bytes = random_bytes(3 * kPagesChunk, 6);
    Layout pages{.cut = Layout::Cut::pages, .cuts = {}};
    EXPECT_EQ(sizes(cut(bytes, pages)), (std::vector<std::size_t>(3, kPagesChunk)));
    MemoryPool pool(64u << 20);
    Chunker chunker(gear(), pages, pool);
    chunker.skip(8192);
    auto rest = chunker.feed(bytes);
    ASSERT_TRUE(chunker.full());
    EXPECT_EQ(chunker.take().bytes.size(), kPagesChunk - 8192);
    while (!chunker.full()) rest = chunker.feed(rest);
    EXPECT_EQ(chunker.take().bytes.size(), kPagesChunk);
}

TEST(Chunker, StatedCutsAndEveryMebibyteBetweenThem) {
    Layout layout{.cut = Layout::Cut::stated, .cuts = {100, 100 + kStatedChunk, 3'000'000}};
    EXPECT_EQ(sizes(cut(random_bytes(5'000'000, 7), layout)),
              (std::vector<std::size_t>{100, kStatedChunk, kStatedChunk, 902'748, kStatedChunk, 951'424}));
}

TEST(Chunker, SmallStreamsAreOneChunk) {
    EXPECT_EQ(sizes(cut(random_bytes(1, 8))), (std::vector<std::size_t>{1}));
    EXPECT_EQ(sizes(cut(random_bytes(kChunkMin, 8))), (std::vector<std::size_t>{kChunkMin}));
    EXPECT_TRUE(cut({}).empty());
}

}  // namespace
}  // namespace holdfast
