#pragma once

// What every store promises (store.h), as tests. A test program that includes this once names its
// stores:
//
//   INSTANTIATE_TEST_SUITE_P(Local, StoreConformance, testing::Values(StoreMaker{"local",
//   make_local}),
//                            [](auto const& info) { return info.param.name; });

#include <atomic>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <memory>
#include <thread>

#include "os/clock.h"
#include "store/store.h"

namespace holdfast {

// An empty store, and what must be cleaned up after it.
struct MadeStore {
    std::unique_ptr<Store> store;
    std::shared_ptr<void> place;
};

struct StoreMaker {
    std::string name;
    std::function<MadeStore()> make;
};

inline void PrintTo(StoreMaker const& maker, std::ostream* out) {
    *out << maker.name;
}

class StoreConformance : public testing::TestWithParam<StoreMaker> {
  protected:
    void SetUp() override {
        made_ = GetParam().make();
        ASSERT_TRUE(made_.store);
    }
    Store& store() { return *made_.store; }

    static ObjectKey key(std::string text) { return ObjectKey(std::move(text)); }
    static Bytes noise(std::size_t size, std::uint32_t seed) {
        Bytes bytes(size);
        for (auto& byte : bytes) {
            seed = seed * 1664525 + 1013904223;
            byte = static_cast<std::uint8_t>(seed >> 24);
        }
        return bytes;
    }
    void put(std::string const& text, ByteView bytes) {
        auto done = store().put(key(text), bytes, {});
        ASSERT_TRUE(done) << text << ": " << done.error().message;
    }
    std::vector<std::string> list(std::string_view prefix) {
        std::vector<std::string> keys;
        auto listed = store().list(prefix,
                                   [&](ObjectInfo const& object) -> Result<void> {
                                       keys.push_back(object.key.text());
                                       return {};
                                   },
                                   {});
        EXPECT_TRUE(listed) << listed.error().message;
        return keys;
    }
    template <typename Value>
    static ErrorKind kind_of(Result<Value> const& result) {
        EXPECT_FALSE(result);
        return result ? ErrorKind::internal : result.error().kind;
    }

    MadeStore made_;
};

TEST_P(StoreConformance, GivesBackWhatWasPut) {
    for (std::size_t size : {0, 1, 4096, 100'000, (5 << 20) + 3}) {
        auto bytes = noise(size, 7);
        auto name = "packs/aa/" + std::to_string(size);
        put(name, bytes);
        auto got = store().get(key(name), {});
        ASSERT_TRUE(got) << got.error().message;
        EXPECT_EQ(*got == bytes, true) << size;
    }
}

TEST_P(StoreConformance, PartsAreOneObject) {
    auto a = noise(1000, 1);
    auto c = noise(5000, 2);
    ByteView parts[] = {a, {}, c};
    ASSERT_TRUE(store().put(key("parts"), parts, {}));
    Bytes whole = a;
    whole.insert(whole.end(), c.begin(), c.end());
    EXPECT_EQ(store().get(key("parts"), {}), whole);
    // The same bytes, cut otherwise, are the same object.
    EXPECT_TRUE(store().put(key("parts"), whole, {}));
    ASSERT_TRUE(store().put(key("none"), std::span<ByteView const>(), {}));
    EXPECT_EQ(store().get(key("none"), {}), Bytes());
}

TEST_P(StoreConformance, MissingObjectIsNotFound) {
    put("packs/aa/one", as_bytes("1"));
    for (auto const* name : {"none", "packs/aa/two", "packs/bb/one", "packs", "packs/aa"}) {
        EXPECT_EQ(kind_of(store().get(key(name), {})), ErrorKind::not_found) << name;
        EXPECT_EQ(kind_of(store().get_range(key(name), 0, 0, {})), ErrorKind::not_found) << name;
        std::uint8_t byte;
        EXPECT_EQ(kind_of(store().read(key(name), 0, {&byte, 1}, {})), ErrorKind::not_found) << name;
        EXPECT_EQ(kind_of(store().head(key(name), {})), ErrorKind::not_found) << name;
    }
    auto error = store().get(key("packs/bb/one"), {}).error();
    EXPECT_THAT(error.message, testing::HasSubstr("packs/bb/one"));
}

TEST_P(StoreConformance, SameBytesAgainIsASuccess) {
    auto bytes = noise(10'000, 3);
    put("a/b", bytes);
    put("a/b", bytes);
    EXPECT_EQ(list(""), std::vector<std::string>{"a/b"});
}

TEST_P(StoreConformance, OtherBytesAreRefusedAndTheOldOnesStay) {
    auto bytes = noise(10'000, 3);
    put("a/b", bytes);
    auto changed = bytes;
    changed.back() ^= 1;
    auto longer = bytes;
    longer.push_back(0);
    auto shorter = bytes;
    shorter.pop_back();
    for (auto const& other : {changed, longer, shorter, Bytes()}) {
        auto done = store().put(key("a/b"), other, {});
        EXPECT_EQ(kind_of(done), ErrorKind::exists);
        EXPECT_THAT(done.error().message, testing::HasSubstr("a/b"));
    }
    EXPECT_EQ(store().get(key("a/b"), {}), bytes);
}

TEST_P(StoreConformance, ReplacePutsOneObjectInThePlaceOfAnother) {
    put("packs/aa/one", noise(10'000, 3));
    put("packs/aa/two", noise(10, 4));
    for (std::size_t size : {10'000, 20'000, 1, 0, (5 << 20) + 3}) {
        auto bytes = noise(size, static_cast<std::uint32_t>(size + 5));
        for (int again = 0; again < 2; ++again) {
            auto done = store().replace(key("packs/aa/one"), bytes, {});
            ASSERT_TRUE(done) << size << ": " << done.error().message;
            EXPECT_EQ(store().get(key("packs/aa/one"), {}) == bytes, true) << size;
        }
        EXPECT_EQ(store().head(key("packs/aa/one"), {})->size, size);
    }
    EXPECT_EQ(store().get(key("packs/aa/two"), {}), noise(10, 4));
    // One that is gone is put.
    ASSERT_TRUE(store().replace(key("packs/bb/three"), as_bytes("3"), {}));
    EXPECT_EQ(store().get(key("packs/bb/three"), {}), to_bytes("3"));
    EXPECT_EQ(list(""), (std::vector<std::string>{"packs/aa/one", "packs/aa/two", "packs/bb/three"}));
    // And from then on it is as put-once as any other.
    EXPECT_EQ(kind_of(store().put(key("packs/bb/three"), as_bytes("4"), {})), ErrorKind::exists);
}

TEST_P(StoreConformance, RangesAreExact) {
    auto bytes = noise(10'000, 4);
    put("a", bytes);
    struct Range {
        std::uint64_t offset;
        std::uint64_t length;
    };
    for (auto [offset, length] :
         {Range{0, 10'000}, {0, 1}, {9'999, 1}, {5'000, 123}, {0, 0}, {10'000, 0}}) {
        auto got = store().get_range(key("a"), offset, length, {});
        ASSERT_TRUE(got) << offset << ' ' << length;
        auto expected = ByteView(bytes).subspan(offset, length);
        EXPECT_TRUE(std::ranges::equal(*got, expected)) << offset << ' ' << length;
        Bytes into(length, 0xee);
        ASSERT_TRUE(store().read(key("a"), offset, into, {})) << offset << ' ' << length;
        EXPECT_EQ(into, *got) << offset << ' ' << length;
    }
}

TEST_P(StoreConformance, RangeBeyondTheEndIsDamage) {
    put("a", noise(1000, 5));
    auto huge = ~std::uint64_t{0};
    struct Range {
        std::uint64_t offset;
        std::uint64_t length;
    };
    for (auto [offset, length] : {Range{0, 1001},
                                  {1000, 1},
                                  {1001, 0},
                                  {999, 2},
                                  {huge, 1},
                                  {1, huge},
                                  {huge, huge},
                                  {0, huge}}) {
        EXPECT_EQ(kind_of(store().get_range(key("a"), offset, length, {})), ErrorKind::damaged)
            << offset << ' ' << length;
    }
}

TEST_P(StoreConformance, HeadTellsSizeAndTime) {
    auto before = system_clock().now() - std::chrono::minutes(5);
    put("a/b", noise(1234, 6));
    auto info = store().head(key("a/b"), {});
    ASSERT_TRUE(info);
    EXPECT_EQ(info->key.text(), "a/b");
    EXPECT_EQ(info->size, 1234U);
    EXPECT_GT(info->modified, before);
    EXPECT_LT(info->modified, system_clock().now() + std::chrono::minutes(5));
}

TEST_P(StoreConformance, ListsInTheOrderOfKeys) {
    // '-' and '.' sort before '/', letters and digits after it: directories alone would come out
    // wrong.
    std::vector<std::string> keys = {
        "B",     "a-b",           "a.b",        "a/b",        "a/b-c", "a/b.c", "a/c/d",
        "a/c/e", "a/c0",          "a0",         "ab",         "ab-/x", "ab./x", "b/a",
        "b/z",   "holdfast.json", "packs/00/x", "packs/ff/y", "z"};
    // "a/b-c" and "a/b.c" lie beside "a/b"; no key is a folder of another.
    std::ranges::sort(keys);
    for (std::size_t i = 0; i < keys.size(); ++i)
        put(keys[(i * 7) % keys.size()], as_bytes("x"));
    EXPECT_EQ(list(""), keys);
}

TEST_P(StoreConformance, ListsByPrefix) {
    for (auto const* name :
         {"packs/00/a", "packs/00/b", "packs/01/a", "packs-old/x", "pack", "q"}) {
        put(name, as_bytes(name));
    }
    using Keys = std::vector<std::string>;
    EXPECT_EQ(list("packs/00/"), (Keys{"packs/00/a", "packs/00/b"}));
    EXPECT_EQ(list("packs/0"), (Keys{"packs/00/a", "packs/00/b", "packs/01/a"}));
    EXPECT_EQ(list("packs/"), (Keys{"packs/00/a", "packs/00/b", "packs/01/a"}));
    EXPECT_EQ(list("packs"), (Keys{"packs-old/x", "packs/00/a", "packs/00/b", "packs/01/a"}));
    EXPECT_EQ(list("packs/00/a"), (Keys{"packs/00/a"}));
    EXPECT_EQ(list("packs/00/a/"), Keys{});
    EXPECT_EQ(list("packs/02/"), Keys{});
    EXPECT_EQ(list("none/at/all/"), Keys{});
}

TEST_P(StoreConformance, ListTellsSizes) {
    put("a/b", noise(321, 1));
    std::uint64_t size = 0;
    ASSERT_TRUE(store().list("a/",
                             [&](ObjectInfo const& object) -> Result<void> {
                                 size = object.size;
                                 return {};
                             },
                             {}));
    EXPECT_EQ(size, 321U);
}

TEST_P(StoreConformance, AnErrorOfTheVisitorEndsTheList) {
    for (auto const* name : {"a", "b", "c"})
        put(name, as_bytes("x"));
    int visited = 0;
    auto listed = store().list("",
                               [&](ObjectInfo const&) -> Result<void> {
                                   if (++visited == 2)
                                       return fail(ErrorKind::check_failed, "enough");
                                   return {};
                               },
                               {});
    EXPECT_EQ(kind_of(listed), ErrorKind::check_failed);
    EXPECT_EQ(listed.error().message, "enough");
    EXPECT_EQ(visited, 2);
}

TEST_P(StoreConformance, TheVisitorMayUseTheStore) {
    for (auto const* name : {"a/1", "a/2", "a/3"})
        put(name, as_bytes("x"));
    ASSERT_TRUE(store().list("a/",
                             [&](ObjectInfo const& object) -> Result<void> {
                                 TRY(store().get(object.key, {}));
                                 return store().remove(object.key, {});
                             },
                             {}));
    EXPECT_EQ(list(""), std::vector<std::string>{});
}

TEST_P(StoreConformance, RemovedObjectIsGoneAndItsKeyIsFree) {
    put("a/b", as_bytes("first"));
    put("a/c", as_bytes("stays"));
    ASSERT_TRUE(store().remove(key("a/b"), {}));
    EXPECT_EQ(kind_of(store().get(key("a/b"), {})), ErrorKind::not_found);
    EXPECT_EQ(list(""), std::vector<std::string>{"a/c"});
    put("a/b", as_bytes("second"));
    EXPECT_EQ(store().get(key("a/b"), {}), to_bytes("second"));
}

TEST_P(StoreConformance, RemovingNothingIsASuccess) {
    EXPECT_TRUE(store().remove(key("a"), {}));
    EXPECT_TRUE(store().remove(key("a/b/c"), {}));
    put("d", as_bytes("x"));
    EXPECT_TRUE(store().remove(key("d"), {}));
    EXPECT_TRUE(store().remove(key("d"), {}));
}

TEST_P(StoreConformance, LongestKeysWork) {
    auto segment = std::string(255, 'x');
    std::string longest = segment + "/" + std::string(254, 'y') + "/";
    longest.resize(512, 'z');
    put(longest, as_bytes("far"));
    put("s", as_bytes("near"));
    EXPECT_EQ(store().get(key(longest), {}), to_bytes("far"));
    EXPECT_EQ(list(segment.substr(0, 10)), std::vector<std::string>{longest});
}

TEST_P(StoreConformance, AStoppedCallerGetsCancelledAndNothingIsStored) {
    put("a", as_bytes("x"));
    std::stop_source source;
    source.request_stop();
    auto stop = source.get_token();
    EXPECT_EQ(kind_of(store().put(key("b"), as_bytes("y"), stop)), ErrorKind::cancelled);
    EXPECT_EQ(kind_of(store().get(key("a"), stop)), ErrorKind::cancelled);
    EXPECT_EQ(kind_of(store().get_range(key("a"), 0, 1, stop)), ErrorKind::cancelled);
    EXPECT_EQ(kind_of(store().head(key("a"), stop)), ErrorKind::cancelled);
    EXPECT_EQ(kind_of(store().remove(key("a"), stop)), ErrorKind::cancelled);
    EXPECT_EQ(kind_of(store().list(
                  "", [](auto const&) -> Result<void> { return {}; }, stop)),
              ErrorKind::cancelled);
    EXPECT_EQ(list(""), std::vector<std::string>{"a"});
}

TEST_P(StoreConformance, StopDuringAListEndsIt) {
    for (auto const* name : {"a", "b", "c"})
        put(name, as_bytes("x"));
    std::stop_source source;
    int visited = 0;
    auto listed = store().list(
        "",
        [&](ObjectInfo const&) -> Result<void> {
            ++visited;
            source.request_stop();
            return {};
        },
        source.get_token());
    EXPECT_EQ(kind_of(listed), ErrorKind::cancelled);
    EXPECT_EQ(visited, 1);
}

TEST_P(StoreConformance, OfManyWritersOfAKeyOneWins) {
    for (int round = 0; round < 10; ++round) {
        auto name = "race/" + std::to_string(round);
        std::atomic<int> winners = 0;
        std::atomic<int> losers = 0;
        std::vector<Bytes> contents;
        for (std::uint32_t i = 0; i < 4; ++i)
            contents.push_back(noise(50'000, 100 + i));
        {
            std::vector<std::jthread> threads;
            for (auto const& content : contents) {
                threads.emplace_back([&] {
                    auto done = store().put(key(name), content, {});
                    if (done)
                        ++winners;
                    if (!done && done.error().kind == ErrorKind::exists)
                        ++losers;
                });
            }
        }
        EXPECT_EQ(winners, 1);
        EXPECT_EQ(losers, 3);
        auto got = store().get(key(name), {});
        ASSERT_TRUE(got);
        EXPECT_EQ(std::ranges::count(contents, *got), 1);
    }
}

TEST_P(StoreConformance, ManyWritersOfTheSameBytesAllSucceed) {
    auto bytes = noise(50'000, 8);
    std::atomic<int> good = 0;
    {
        std::vector<std::jthread> threads;
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&] {
                for (int n = 0; n < 5; ++n) {
                    if (store().put(key("same/" + std::to_string(n)), bytes, {}))
                        ++good;
                }
            });
        }
    }
    EXPECT_EQ(good, 20);
    EXPECT_EQ(list("").size(), 5U);
}

TEST_P(StoreConformance, DiscardedObjectIsGoneAndItsKeyIsFree) {
    put("a/b", as_bytes("first"));
    ASSERT_TRUE(store().discard(key("a/b"), {}));
    ASSERT_TRUE(store().discard(key("a/b"), {}));
    EXPECT_EQ(kind_of(store().get(key("a/b"), {})), ErrorKind::not_found);
    put("a/b", as_bytes("second"));
    EXPECT_EQ(store().get(key("a/b"), {}), to_bytes("second"));
}

TEST_P(StoreConformance, ListsWhileOthersPutAndRemove) {
    for (int i = 0; i < 20; ++i)
        put("stay/" + std::to_string(100 + i), as_bytes("x"));
    std::jthread writer([&](std::stop_token stop) {
        for (int i = 0; !stop.stop_requested(); ++i) {
            auto name = key("stay/" + std::to_string(200 + i % 10));
            EXPECT_TRUE(store().put(name, as_bytes("y"), {}));
            EXPECT_TRUE(store().remove(name, {}));
        }
    });
    for (int i = 0; i < 20; ++i) {
        auto keys = list("stay/");
        EXPECT_TRUE(std::ranges::is_sorted(keys));
        EXPECT_EQ(std::ranges::count_if(keys, [](auto const& k) { return k < "stay/200"; }), 20);
    }
}

TEST_P(StoreConformance, TellsWhatItIs) {
    EXPECT_FALSE(store().describe().empty());
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(StoreConformance);

}  // namespace holdfast
