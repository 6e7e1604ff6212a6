#include <gtest/gtest.h>

#include "repo/test_world.h"
#include "repo/wal_log.h"

namespace holdfast {
namespace {

struct WalTest : testing::Test {
    SeededRandom random{3};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    TestStore store;
    KeyBundle admin = generate_first_bundle(random, "admin");
    std::shared_ptr<TestRepository::Certificates> certificates =
        std::make_shared<TestRepository::Certificates>();
    TestRepository repository{store, *executor, random, admin.clone(), certificates};
    TestRepository writer{store, *executor, random,
                          generate_bundle(admin, static_cast<Roles>(Role::writer), "writer", random), certificates};
    TestRepository reader{store, *executor, random,
                          generate_bundle(admin, static_cast<Roles>(Role::reader), "reader", random), certificates};
    WalStream stream = wal_stream(admin, "database", "postgres 7");
    Time now = parse_rfc3339("2026-11-27T10:00:00Z").value();

    // What the log holds at a position, the same in every test.
    static Bytes log_bytes(std::uint64_t first, std::uint64_t end) {
        Bytes bytes;
        for (auto at = first; at < end; ++at) bytes.push_back(static_cast<std::uint8_t>(at * 31 >> 3));
        return bytes;
    }
    std::string put(TestRepository& by, std::uint32_t timeline, std::uint64_t first, Bytes const& raw) {
        auto sealed = seal_wal_range(by, stream, timeline, first, raw, now);
        EXPECT_TRUE(sealed) << sealed.error().message;
        auto stored = store.put(ObjectKey(sealed->key), sealed->parts(), {});
        EXPECT_TRUE(stored) << stored.error().message;
        return sealed->key;
    }
    std::string put(std::uint64_t first, std::uint64_t end) { return put(writer, 1, first, log_bytes(first, end)); }
    Result<WalStretch> read(std::uint64_t first, std::uint64_t end) {
        auto log = list_wal(reader, stream, {}).value();
        return read_wal(reader, log, 1, first, end, {});
    }
};

TEST_F(WalTest, WhatAWriterStoresOnlyAReaderOpens) {
    auto key = put(100, 5000);
    auto object = store.objects.at(key);
    auto opened = open_wal(reader, key, object, {});
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(opened->raw, log_bytes(100, 5000));
    EXPECT_EQ(opened->known, now);
    auto refused = open_wal(writer, key, object, {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::key_refused);
    // But it can tell whether it is whole, and when it was.
    EXPECT_TRUE(check_wal(writer, key, object, {}));
    EXPECT_EQ(wal_known_time(writer, key, {}).value(), now);
    auto sealed = seal_wal_range(reader, stream, 1, 0, log_bytes(0, 9), now);
    ASSERT_FALSE(sealed);
    EXPECT_EQ(sealed.error().kind, ErrorKind::key_refused);
}

TEST_F(WalTest, TheLongestObjectComesBack) {
    auto raw = noise(kWalObjectRawMax / 2, 1);
    auto soft = prose(kWalObjectRawMax / 2, 2);
    raw.insert(raw.end(), soft.begin(), soft.end());
    auto key = put(writer, 3, 1u << 24, raw);
    EXPECT_LT(store.objects.at(key).size(), raw.size() * 3 / 4);
    EXPECT_EQ(open_wal(reader, key, store.objects.at(key), {}).value().raw, raw);
}

TEST_F(WalTest, EveryFlipOfAByteIsNoticed) {
    auto key = put(7, 300);
    auto const object = store.objects.at(key);
    for (std::size_t at = 0; at < object.size(); at += kFlipStride) {
        auto flipped = object;
        flipped[at] ^= 0x40;
        auto opened = open_wal(reader, key, flipped, {});
        ASSERT_FALSE(opened) << at;
        EXPECT_TRUE(opened.error().kind == ErrorKind::damaged) << at << ": " << opened.error().message;
        EXPECT_FALSE(check_wal(writer, key, flipped, {})) << at;
        EXPECT_FALSE(check_bare_wal(flipped)) << at;
    }
    for (std::size_t size = 0; size < object.size(); size += kFlipStride)
        EXPECT_FALSE(open_wal(reader, key, ByteView(object).first(size), {})) << size;
    auto longer = object;
    longer.push_back(0);
    EXPECT_FALSE(open_wal(reader, key, longer, {}));
}

TEST_F(WalTest, AnObjectUnderAnothersNameIsRefused) {
    auto key = put(100, 200);
    auto object = store.objects.at(key);
    auto id = writer.keys().id;
    auto other_stream = wal_stream(admin, "database", "postgres 8");
    auto other_dataset = wal_stream(admin, "elsewhere", "postgres 7");
    for (auto const& name : {wal_key(stream, WalRangeName{2, 100, 200, id}), wal_key(stream, WalRangeName{1, 101, 201, id}),
                             wal_key(stream, WalRangeName{1, 100, 200, admin.id}),
                             wal_key(other_stream, WalRangeName{1, 100, 200, id}),
                             wal_key(other_dataset, WalRangeName{1, 100, 200, id})}) {
        auto opened = open_wal(reader, name, object, {});
        ASSERT_FALSE(opened) << name;
        EXPECT_EQ(opened.error().kind, ErrorKind::damaged);
    }
}

TEST_F(WalTest, KeysAreReadAsTheyAreWritten) {
    WalRangeName range{0x1a, 0x16B374D848, 0x16B4000000, writer.keys().id};
    auto key = wal_key(stream, range);
    EXPECT_TRUE(is_object_key(key));
    auto parsed = parse_wal_key(key);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->range, range);
    EXPECT_EQ(parsed->stream, stream);
    auto history = wal_history_name(writer.keys(), 2, as_bytes("1\t0/1\n"));
    auto parsed_history = parse_wal_key(wal_key(stream, history));
    ASSERT_TRUE(parsed_history);
    EXPECT_EQ(parsed_history->history, history);
    for (auto const& wrong : {key + "0", key + "/x", key.substr(1), key.substr(0, key.size() - 1), std::string("wal/"),
                              wal_key(stream, WalRangeName{1, 5, 5, range.writer}),
                              wal_key(stream, WalRangeName{0, 5, 6, range.writer})})
        EXPECT_FALSE(parse_wal_key(wrong)) << wrong;
}

TEST_F(WalTest, AReaderTakesTheUnion) {
    put(100, 250);
    put(200, 400);
    put(repository, 1, 380, log_bytes(380, 600));  // by another writer
    put(100, 110);
    put(700, 800);
    put(writer, 2, 600, log_bytes(600, 700));  // of another timeline
    auto log = list_wal(writer, stream, {}).value();
    std::vector<WalSpan> expected{{100, 600}, {700, 800}};
    EXPECT_EQ(log.timelines.at(1).covered(), expected);
    EXPECT_EQ(log.timelines.at(1).contiguous_from(100), 600u);
    EXPECT_EQ(log.timelines.at(1).contiguous_from(650), 650u);
    EXPECT_EQ(log.timelines.at(1).contiguous_from(600), 600u);
    auto all = read(100, 900).value();
    EXPECT_EQ(all.bytes, log_bytes(100, 600));
    EXPECT_EQ(read(105, 599).value().bytes, log_bytes(105, 599));
    EXPECT_TRUE(read(50, 120).value().bytes.empty());
    EXPECT_EQ(list_wal(reader, "database", {}).value().size(), 1u);
    EXPECT_TRUE(list_wal(reader, "another", {}).value().empty());
}

TEST_F(WalTest, RangesThatDisagreeAreLoud) {
    put(100, 250);
    auto other = log_bytes(200, 300);
    other[20] ^= 1;
    put(repository, 1, 200, other);
    auto stretch = read(100, 300);
    ASSERT_FALSE(stretch);
    EXPECT_EQ(stretch.error().kind, ErrorKind::damaged);
    EXPECT_NE(stretch.error().message.find("0/DC"), std::string::npos) << stretch.error().message;
    // What they do not share is not touched by it.
    EXPECT_EQ(read(100, 200).value().bytes, log_bytes(100, 200));
}

TEST_F(WalTest, ADamagedObjectIsNamedAndOthersStandIn) {
    auto whole = put(0, 400);
    put(100, 300);
    put(0, 150);
    store.objects.at(whole)[200] ^= 1;
    auto stretch = read(0, 400).value();
    EXPECT_EQ(stretch.bytes, log_bytes(0, 300));
    ASSERT_EQ(stretch.damaged.size(), 1u);
    EXPECT_NE(stretch.damaged[0].message.find(whole), std::string::npos);
}

TEST_F(WalTest, AStoreThatIsAwayIsNoGap) {
    put(0, 400);
    store.before = [](std::string_view operation, ObjectKey const&) -> Result<void> {
        if (operation == "get") return fail(ErrorKind::unreachable, "away");
        return {};
    };
    auto stretch = read(0, 400);
    ASSERT_FALSE(stretch);
    EXPECT_EQ(stretch.error().kind, ErrorKind::unreachable);
}

TEST_F(WalTest, HistoriesOfTimelines) {
    auto store_history = [&](TestRepository& by, std::string_view text) {
        auto sealed = seal_wal_history(by, stream, 2, as_bytes(text)).value();
        EXPECT_TRUE(store.put(ObjectKey(sealed.key), sealed.parts(), {}));
    };
    auto log = [&] { return list_wal(reader, stream, {}).value(); };
    EXPECT_EQ(read_wal_history(reader, log(), 2, {}).error().kind, ErrorKind::not_found);
    store_history(writer, "1\t0/3000148\tpromoted\n");
    store_history(repository, "1\t0/3000148\tpromoted\n");
    EXPECT_EQ(as_text(read_wal_history(reader, log(), 2, {}).value()), "1\t0/3000148\tpromoted\n");
    store_history(writer, "1\t0/4000000\tpromoted\n");
    EXPECT_EQ(read_wal_history(reader, log(), 2, {}).error().kind, ErrorKind::damaged);
}

TEST_F(WalTest, TheSameBytesAreNeverSealedAlike) {
    auto a = seal_wal_range(writer, stream, 1, 0, log_bytes(0, 100), now).value();
    auto b = seal_wal_range(writer, stream, 1, 0, log_bytes(0, 100), now).value();
    EXPECT_EQ(a.key, b.key);
    EXPECT_NE(a.content, b.content);
}

}  // namespace
}  // namespace holdfast
