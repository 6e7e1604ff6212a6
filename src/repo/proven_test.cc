#include "repo/proven.h"

#include <gmock/gmock.h>

#include "repo/index.h"
#include "repo/test_points.h"

namespace holdfast {
namespace {

using testing::IsEmpty;

class ProvenTest : public PointsTest {
  protected:
    // A machine of its own that only backs up.
    std::unique_ptr<Repository> another_writer() {
        auto bundle = add_bundle(*repository, {.roles = static_cast<Roles>(Role::writer), .label = "w"}, {});
        EXPECT_TRUE(bundle);
        auto opened = open_repository(store, std::move(*bundle), world, {}, {});
        EXPECT_TRUE(opened);
        return std::move(*opened);
    }
    std::size_t packs() { return store.keys("packs/").size(); }
    Verification read_all() {
        repository = open();
        return verified(true);
    }
    PackMarks marks() {
        PackMarks found;
        EXPECT_TRUE(refresh_marks(*repository, found, {}));
        EXPECT_THAT(found.damaged, IsEmpty());
        return found;
    }
    // A pack and a segment that say that `bytes` are the chunk `id`, signed with the key of `writer`.
    PackSummary store_lie(Repository& writer, ChunkId const& id, Bytes const& bytes) {
        auto builder = *PackBuilder::create(keys.repository, keys.data_public, random, std::make_shared<Memory>(8u << 20));
        std::vector<PackChunk> chunks = {{id, static_cast<std::uint32_t>(bytes.size())}};
        auto& frame = builder->reserve(Codec::raw, ChunkKind::data, bytes.size(), chunks);
        EXPECT_TRUE(builder->seal(frame, bytes, bytes));
        auto pack = std::move(*builder).finish(5);
        EXPECT_TRUE(store.put(pack_key(pack.summary.id), pack.views(), {}));
        store_segment(writer, pack.summary);
        return pack.summary;
    }
    void store_segment(Repository& writer, PackSummary const& pack) {
        auto object = writer.seal(DocumentKind::index, encode_segment({&pack, 1}));
        EXPECT_TRUE(store.put(segment_key(object), object, {}));
    }
    ChunkId id_of(ByteView bytes) const {
        HmacKey key(keys.id_key.view());
        auto id = key.of(bytes);
        return ChunkId::from_bytes(id);
    }
};

TEST_F(ProvenTest, MarksComeBackAsTheyWerePut) {
    PackId a, b;
    a.bytes.fill(1), b.bytes.fill(2);
    Hash32 record;
    record.fill(7);
    Time const time{std::chrono::hours(-3)};
    std::vector<PackMark> const put = {{a, record, PackVerdict::whole, time}, {b, {}, PackVerdict::given_up, time}};
    auto plain = encode_marks(time, put);
    EXPECT_EQ(decode_marks(plain), put);
    for (std::size_t size = 0; size < plain.size(); ++size) EXPECT_FALSE(decode_marks(ByteView(plain).first(size)));
    plain.push_back(0);
    EXPECT_FALSE(decode_marks(plain));
    plain.pop_back();
    plain.back() = 4;
    EXPECT_FALSE(decode_marks(plain));
}

TEST_F(ProvenTest, TheYoungestMarkCountsAndOldDocumentsGo) {
    PackMarks known;
    PackMark mark;
    mark.verdict = PackVerdict::whole;
    ASSERT_TRUE(store_marks(*repository, {mark}, known, {}));
    // By a clock that is behind.
    clock.advance(std::chrono::hours(-5));
    mark.verdict = PackVerdict::damaged;
    ASSERT_TRUE(store_marks(*repository, {mark}, known, {}));
    EXPECT_EQ(known.find(PackId{})->verdict, PackVerdict::damaged);
    EXPECT_EQ(store.keys("proven/").size(), 1u);
    EXPECT_EQ(marks().find(PackId{})->verdict, PackVerdict::damaged);
}

TEST_F(ProvenTest, OnlyAReaderSignsMarks) {
    auto writer = another_writer();
    // What a writer's program could send, if it wanted to.
    auto object = writer->seal(DocumentKind::index, encode_marks({}, {}));
    auto key = "proven/" + to_hex(sha256(object));
    store.objects[key] = object;
    PackMarks found;
    ASSERT_TRUE(refresh_marks(*repository, found, {}));
    ASSERT_EQ(found.damaged.size(), 1u);
    EXPECT_EQ(found.damaged[0].first, key);
}

TEST_F(ProvenTest, WritersShareWhatAReaderHasProven) {
    std::vector<Bytes> const files = {noise(300'000, 1)};
    repository = another_writer();
    back_up("a", files);
    auto before = packs();
    // Nobody has proven it yet: the other one stores its own.
    repository = open();
    back_up("b", files);
    auto twice = packs();
    EXPECT_GT(twice, before);
    EXPECT_TRUE(read_all().whole());
    repository = another_writer();
    auto third = back_up("c", files);
    EXPECT_EQ(third.point.stored, 0u);
    repository = open();
    EXPECT_EQ(restore(third), files);
}

TEST_F(ProvenTest, ThePoisonOfAStolenKeyReachesNobody) {
    auto const file = noise(1 << 17, 1);  // a page: one chunk
    auto const garbage = noise(1 << 17, 2);
    auto thief = another_writer();
    store_lie(*thief, id_of(file), garbage);

    // Before and after a reader has looked.
    for (int round = 0; round < 2; ++round) {
        auto writer = another_writer();
        repository = std::move(writer);
        auto point = back_up("victim", {file});
        // Later it shares the honest pack, which is proven by then.
        EXPECT_EQ(point.point.stored > file.size(), round == 0);
        repository = open();
        EXPECT_EQ(restore(point), std::vector<Bytes>{file}) << round;
        // Reading everything names the liar's pack, and proves the honest ones alone.
        auto found = verified(true);
        EXPECT_FALSE(found.damaged.empty());
        EXPECT_TRUE(found.affected_points.empty());
    }
    // Now an honest pack is proven, and shared.
    repository = another_writer();
    auto point = back_up("late", {file});
    repository = open();
    EXPECT_EQ(restore(point), std::vector<Bytes>{file});
}

// The pack is honest and proven; what the thief's segment says of it is not.
TEST_F(ProvenTest, AProofCoversOnlyWhatThePackSaysOfItself) {
    auto const file = noise(1 << 17, 1);
    auto const other = noise(1 << 17, 2);
    auto thief = another_writer();
    auto honest = store_lie(*thief, id_of(other), other);
    read_all();
    ASSERT_EQ(marks().find(honest.id)->verdict, PackVerdict::whole);
    auto claim = honest;
    claim.directory.chunks[0].id = id_of(file);
    store_segment(*thief, claim);
    repository = another_writer();
    auto point = back_up("victim", {file});
    EXPECT_GT(point.point.stored, file.size());
    // What is said truly is shared.
    auto shared = back_up("other", {other});
    EXPECT_LT(shared.point.stored, other.size());
    repository = open();
    EXPECT_EQ(restore(point), std::vector<Bytes>{file});
}

TEST_F(ProvenTest, WhatIsKnownToBeDamagedIsStoredAgain) {
    std::vector<Bytes> const files = {noise(300'000, 1)};
    auto point = back_up("a", files);
    for (auto const& key : store.keys("packs/")) store.objects[key][2000 % store.objects[key].size()] ^= 1;
    EXPECT_FALSE(read_all().whole());
    repository = open();
    auto again = back_up("a", files);
    EXPECT_GT(again.point.stored, 300'000u);
    EXPECT_EQ(restore(again), files);
    EXPECT_EQ(restore(point), files);
}

TEST_F(ProvenTest, ABudgetComesByEverythingOldestFirst) {
    for (std::uint64_t i = 0; i < 6; ++i) back_up("a", {noise(900'000, i)});
    auto const all = packs();
    std::uint64_t runs = 0;
    for (Verification found; found.packs_proven < all; ++runs) {
        ASSERT_LT(runs, 40u);
        repository = open();
        clock.advance(std::chrono::hours(24));
        auto run = verify_repository(*repository, {.data = true, .budget_share = 0.1}, walk_test_tree, {}, {});
        ASSERT_TRUE(run) << run.error().message;
        found = std::move(*run);
        EXPECT_TRUE(found.whole());
        EXPECT_GT(found.bytes_read, 0u);
        EXPECT_LT(found.bytes_read, 2'500'000u);
        EXPECT_EQ(found.unproven_points.empty(), found.packs_proven == all);
    }
    EXPECT_GT(runs, 3u);
    // Nothing is due, or what was read first.
    repository = open();
    auto none = verify_repository(*repository, {.data = true, .older_than = std::chrono::hours(24 * 365)}, walk_test_tree, {}, {});
    EXPECT_EQ(none->bytes_read, 0u);
    clock.advance(std::chrono::hours(1));
    auto one = verify_repository(*repository, {.data = true, .budget_bytes = 1}, walk_test_tree, {}, {});
    EXPECT_GT(one->bytes_read, 0u);
    auto renewed = std::ranges::count_if(marks().all(), [&](auto const& item) { return item.second.time == clock.now(); });
    EXPECT_EQ(renewed, 1);
}

TEST_F(ProvenTest, AStoreThatCanOnlyBeReadIsVerifiedAllTheSame) {
    back_up("a", {noise(300, 1)});
    store.before = [](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation == "put" || operation == "remove") return fail(ErrorKind::io, "read-only");
        return {};
    };
    auto found = read_all();
    EXPECT_TRUE(found.whole());
    EXPECT_TRUE(found.unremembered);
}

}  // namespace
}  // namespace holdfast
