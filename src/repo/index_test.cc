#include "repo/index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/test_world.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

ChunkId numbered_chunk(std::uint64_t n) {
    auto hash = sha256(as_bytes(std::to_string(n)));
    return ChunkId::from_bytes(hash);
}

BundleId bundle(std::uint8_t n) {
    BundleId id;
    id.bytes.fill(n);
    return id;
}

// A pack of `frames` frames with three chunks each, numbered from `first`.
PackSummary make_pack(std::uint8_t seed, std::size_t frames, std::uint64_t first) {
    PackSummary pack;
    pack.id.bytes.fill(seed);
    pack.header.data_key.bytes.fill(2);
    pack.header.ephemeral.fill(seed);
    std::uint64_t end = kPackHeaderBytes;
    for (std::size_t i = 0; i < frames; ++i) {
        std::uint32_t raw = 0;
        for (std::uint32_t c = 0; c < 3; ++c) {
            auto length = 100 + static_cast<std::uint32_t>(i) + c;
            pack.directory.chunks.push_back({numbered_chunk(first++), length});
            raw += length;
        }
        pack.directory.frames.push_back(
            {.codec = Codec::raw, .kind = ChunkKind::tree, .stored = raw + 16, .chunks = 3, .raw = raw});
        end += raw + 16;
    }
    auto body = end + 500;
    pack.bytes = body + (body + kSectorBytes - 1) / kSectorBytes * 16 + 48;
    return pack;
}

TEST(IndexSegment, RoundTripsAndRefusesTruncationAndFlips) {
    std::vector<PackSummary> packs = {make_pack(1, 2, 0), make_pack(2, 5, 100)};
    auto const bytes = encode_segment(packs);
    EXPECT_EQ(*decode_segment(bytes), packs);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_FALSE(decode_segment(ByteView(bytes).first(size))) << size;
    }
    for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
        auto bad = bytes;
        bad[i / 8] ^= static_cast<std::uint8_t>(1u << i % 8);
        auto back = decode_segment(bad);
        if (back) {
            EXPECT_EQ(encode_segment(*back), bad) << i;
        }
    }
    auto longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(decode_segment(longer));
    auto beyond = packs;
    beyond[0].bytes = 64 + 48;
    EXPECT_FALSE(decode_segment(encode_segment(beyond)));
}

TEST(Index, FindsEveryChunkWithItsPlace) {
    Index index(bundle(1));
    std::vector<PackSummary> packs;
    for (std::uint8_t i = 0; i < 40; ++i) packs.push_back(make_pack(i, 50, i * 1000u));
    index.add(bundle(1), packs);
    EXPECT_EQ(index.chunks(), 40u * 150);
    for (std::size_t p = 0; p < packs.size(); ++p) {
        EXPECT_EQ(index.directory(p).value(), packs[p].directory);
        std::uint64_t offset = kPackHeaderBytes;
        std::size_t c = 0;
        for (std::uint32_t f = 0; f < 50; ++f) {
            std::uint32_t at = 0;
            for (int i = 0; i < 3; ++i, ++c) {
                auto const& chunk = packs[p].directory.chunks[c];
                auto found = index.find(chunk.id).value();
                ASSERT_EQ(found.size(), 1u);
                EXPECT_EQ(found[0].pack, packs[p].id);
                EXPECT_EQ(found[0].header, packs[p].header);
                EXPECT_EQ(found[0].frame_number, f);
                EXPECT_EQ(found[0].frame, packs[p].directory.frames[f]);
                EXPECT_EQ(found[0].frame_offset, offset);
                EXPECT_EQ(found[0].offset, at);
                EXPECT_EQ(found[0].length, chunk.length);
                at += chunk.length;
            }
            offset += packs[p].directory.frames[f].stored;
        }
    }
    EXPECT_TRUE(index.find(numbered_chunk(999'999))->empty());
    EXPECT_TRUE(Index(bundle(1)).find(numbered_chunk(1))->empty());
}

TEST(Index, TheSamePackTwiceIsOnce) {
    Index index(bundle(1));
    std::vector<PackSummary> packs = {make_pack(1, 2, 0)};
    index.add(bundle(1), packs);
    index.add(bundle(1), packs);
    EXPECT_EQ(index.packs()->size(), 1u);
    EXPECT_EQ(index.find(numbered_chunk(0))->size(), 1u);
}

TEST(Index, ReusesOnlyWhatThisWriterWrote) {
    Index index(bundle(1));
    std::vector keys = {make_pack(1, 1, 0).header.data_key};
    std::vector<PackSummary> theirs = {make_pack(1, 1, 0)};
    index.add(bundle(2), theirs);
    EXPECT_FALSE(index.may_reuse(numbered_chunk(0), keys));
    EXPECT_EQ(index.find(numbered_chunk(0))->size(), 1u);
    // Once it has stored the chunk itself, both places are known, its own first.
    std::vector<PackSummary> ours = {make_pack(7, 1, 0)};
    index.add(bundle(1), ours);
    EXPECT_TRUE(index.may_reuse(numbered_chunk(0), keys));
    auto found = index.find(numbered_chunk(0)).value();
    ASSERT_EQ(found.size(), 2u);
    EXPECT_EQ(found[0].pack, ours[0].id);
    EXPECT_EQ(found[1].pack, theirs[0].id);
    // Not where its readers could not open it.
    EXPECT_FALSE(index.may_reuse(numbered_chunk(0), std::vector{DataKeyId::from_bytes(numbered_chunk(9).view())}));
    EXPECT_FALSE(index.may_reuse(numbered_chunk(0), {}));
}

TEST(Index, PacksThatAreGoneAreNotReused) {
    Index index(bundle(1));
    std::vector keys = {make_pack(1, 1, 0).header.data_key};
    std::vector<PackSummary> packs = {make_pack(1, 1, 0), make_pack(2, 1, 10), make_pack(3, 1, 20)};
    index.add(bundle(1), packs);
    auto nothing_proven = [](IndexPack const&) { return false; };
    ASSERT_TRUE(index.choose_reusable({{packs[0].id, packs[0].bytes}, {packs[1].id, packs[1].bytes - 1}}, nothing_proven));
    EXPECT_TRUE(index.may_reuse(numbered_chunk(0), keys));
    EXPECT_FALSE(index.may_reuse(numbered_chunk(10), keys));  // cut off
    EXPECT_FALSE(index.may_reuse(numbered_chunk(20), keys));  // missing
}

class IndexRefresh : public testing::Test {
  protected:
    void put_segment(TestRepository& repository, std::vector<PackSummary> const& packs) {
        auto object = repository.seal(DocumentKind::index, encode_segment(packs));
        ASSERT_TRUE(store.put(segment_key(object), object, {}));
    }
    std::shared_ptr<Index> refresh(RefreshOptions options = {}) {
        auto index = refresh_index(repository, options, {});
        EXPECT_TRUE(index) << index.error().message;
        return index ? *index : nullptr;
    }

    TestStore store;
    SeededRandom random{1};
    std::unique_ptr<Executor> executor = make_thread_executor(2);
    TestRepository repository{store, *executor, random, generate_first_bundle(random, "test")};
};

TEST_F(IndexRefresh, LoadsEverySegmentOnce) {
    for (std::uint8_t i = 0; i < 30; ++i) put_segment(repository, {make_pack(i, 2, i * 10u)});
    std::size_t gets = 0;
    std::mutex mutex;
    store.before = [&](std::string_view operation, ObjectKey const&) -> Result<void> {
        std::lock_guard lock(mutex);
        gets += operation == "get" ? 1 : 0;
        return {};
    };
    EXPECT_EQ(refresh()->packs()->size(), 30u);
    EXPECT_EQ(gets, 30u);
    put_segment(repository, {make_pack(99, 2, 5000)});
    EXPECT_EQ(refresh()->packs()->size(), 31u);
    EXPECT_EQ(gets, 31u);
    // A segment that went away takes its packs along.
    store.objects.erase(store.keys("index/").front());
    EXPECT_EQ(refresh()->packs()->size(), 30u);
}

TEST_F(IndexRefresh, DamagedSegmentsAreNotedAndTheOthersRead) {
    put_segment(repository, {make_pack(1, 2, 0)});
    put_segment(repository, {make_pack(2, 2, 10)});
    auto key = store.keys("index/").front();
    auto const good = store.objects[key];
    for (std::size_t i = 0; i < good.size(); ++i) {
        store.objects[key][i] ^= 1;
        auto index = refresh();
        EXPECT_EQ(index->packs()->size(), 1u);
        ASSERT_EQ(index->damaged().size(), 1u) << i;
        EXPECT_EQ(index->damaged()[0].key, key);
        store.objects[key][i] ^= 1;
    }
    // Mended, it is read again.
    EXPECT_EQ(refresh()->packs()->size(), 2u);
    EXPECT_TRUE(refresh()->damaged().empty());
}

TEST_F(IndexRefresh, ASegmentUnderAnothersNameIsDamaged) {
    put_segment(repository, {make_pack(1, 2, 0)});
    store.objects["index/" + std::string(64, '0')] = store.objects.begin()->second;
    auto index = refresh();
    ASSERT_EQ(index->damaged().size(), 1u);
    EXPECT_THAT(index->damaged()[0].error.message, HasSubstr("other bytes than its name says"));
}

TEST_F(IndexRefresh, AStrangersSegmentIsDamaged) {
    TestRepository stranger{store, *executor, random, generate_first_bundle(random, "stranger")};
    put_segment(stranger, {make_pack(1, 2, 0)});
    EXPECT_EQ(refresh()->damaged().size(), 1u);
    EXPECT_EQ(refresh()->chunks(), 0u);
}

TEST_F(IndexRefresh, AStoreThatDoesNotAnswerIsAnError) {
    put_segment(repository, {make_pack(1, 2, 0)});
    store.before = [](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation == "get") return fail(ErrorKind::unreachable, "no answer");
        return {};
    };
    auto index = refresh_index(repository, {}, {});
    ASSERT_FALSE(index);
    EXPECT_EQ(index.error().kind, ErrorKind::unreachable);
    std::stop_source stop;
    stop.request_stop();
    EXPECT_EQ(refresh_index(repository, {}, stop.get_token()).error().kind, ErrorKind::cancelled);
}

}  // namespace
}  // namespace holdfast
