#include "store/faulty_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/memory_store.h"

namespace holdfast {
namespace {

using Effect = FaultyStore::Effect;
using Operation = FaultyStore::Operation;

class Faulty : public testing::Test {
  protected:
    std::vector<std::string> list() {
        std::vector<std::string> found;
        auto listed =
            store_.list("",
                        [&](ObjectInfo const& object) -> Result<void> {
                            found.push_back(object.key.text() + ":" + std::to_string(object.size));
                            return {};
                        },
                        {});
        EXPECT_TRUE(listed);
        return found;
    }

    MemoryStore inner_;
    FaultyStore store_{inner_};
    ObjectKey key_{"a/b"};
};

TEST_F(Faulty, FailsTheChosenOperationBeforeItsEffect) {
    store_.fail_operation(1, ErrorKind::no_space, Effect::none);
    EXPECT_FALSE(store_.get(key_, {}));
    auto put = store_.put(key_, as_bytes("x"), {});
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind, ErrorKind::no_space);
    EXPECT_FALSE(inner_.get(key_, {}));
    EXPECT_TRUE(store_.put(key_, as_bytes("x"), {}));
    EXPECT_EQ(store_.operations(), 3U);
}

TEST_F(Faulty, FailsTheChosenOperationAfterItsEffect) {
    store_.fail_operation(0, ErrorKind::unreachable, Effect::done);
    auto put = store_.put(key_, as_bytes("x"), {});
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind, ErrorKind::unreachable);
    EXPECT_EQ(inner_.get(key_, {}), to_bytes("x"));
}

TEST_F(Faulty, FailsEverythingFromSomePointOn) {
    store_.fail_from(1, ErrorKind::unreachable);
    EXPECT_TRUE(store_.put(key_, as_bytes("x"), {}));
    EXPECT_EQ(store_.get(key_, {}).error().kind, ErrorKind::unreachable);
    EXPECT_EQ(store_.head(key_, {}).error().kind, ErrorKind::unreachable);
    EXPECT_EQ(store_.get_range(key_, 0, 1, {}).error().kind, ErrorKind::unreachable);
    EXPECT_EQ(store_.remove(key_, {}).error().kind, ErrorKind::unreachable);
    EXPECT_TRUE(inner_.get(key_, {}));
    store_.heal();
    EXPECT_TRUE(store_.get(key_, {}));
}

TEST_F(Faulty, FlipsABit) {
    ASSERT_TRUE(store_.put(key_, as_bytes("abc"), {}));
    store_.flip_bit(key_, 8 + 1);
    EXPECT_EQ(store_.get(key_, {}), to_bytes("a`c"));
    EXPECT_EQ(store_.get_range(key_, 1, 2, {}), to_bytes("`c"));
    EXPECT_EQ(inner_.get(key_, {}), to_bytes("abc"));
    store_.flip_bit(key_, 8 + 1);
    EXPECT_EQ(store_.get(key_, {}), to_bytes("abc"));
}

TEST_F(Faulty, Truncates) {
    ASSERT_TRUE(store_.put(key_, as_bytes("abc"), {}));
    store_.truncate(key_, 2);
    EXPECT_EQ(store_.get(key_, {}), to_bytes("ab"));
    EXPECT_EQ(store_.get_range(key_, 1, 2, {}).error().kind, ErrorKind::damaged);
    EXPECT_EQ(store_.head(key_, {})->size, 2U);
    EXPECT_EQ(list(), std::vector<std::string>{"a/b:2"});
}

TEST_F(Faulty, Drops) {
    ASSERT_TRUE(store_.put(key_, as_bytes("abc"), {}));
    ASSERT_TRUE(store_.put(ObjectKey("z"), as_bytes("stays"), {}));
    store_.drop(key_);
    EXPECT_EQ(store_.get(key_, {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(store_.get_range(key_, 0, 1, {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(store_.head(key_, {}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(list(), std::vector<std::string>{"z:5"});
    store_.heal();
    EXPECT_TRUE(store_.get(key_, {}));
}

TEST_F(Faulty, HookSeesEachOperationAndMayEndTheProcess) {
    std::vector<std::pair<Operation, std::string>> seen;
    store_.set_hook([&](std::uint64_t number, Operation operation, std::string_view key) {
        EXPECT_EQ(number, seen.size());
        seen.emplace_back(operation, key);
    });
    (void)store_.put(key_, as_bytes("x"), {});
    (void)store_.get(key_, {});
    list();
    (void)store_.remove(key_, {});
    EXPECT_EQ(seen, (decltype(seen){{Operation::put, "a/b"},
                                    {Operation::get, "a/b"},
                                    {Operation::list, ""},
                                    {Operation::remove, "a/b"}}));
    store_.set_hook([](std::uint64_t, Operation operation, std::string_view) {
        if (operation == Operation::put)
            _exit(77);
    });
    EXPECT_EXIT((void)store_.put(key_, as_bytes("x"), {}), testing::ExitedWithCode(77), "");
}

}  // namespace
}  // namespace holdfast
