#include "repo/self_documents.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "repo/emergency_kit.h"
#include "repo/test_world.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

struct SelfTest : testing::Test {
    SeededRandom random{5};
    ManualClock clock{*parse_rfc3339("2026-01-01T00:00:00Z")};
    std::unique_ptr<Executor> executor = make_seeded_executor(1);
    RepositoryWorld world{clock, random, *executor, {}, {}};
    TestStore store;
    KeyBundle admin = create_repository(store, world, as_bytes("secret"), {}).value();
    std::unique_ptr<Repository> repository = open(admin);
    std::unique_ptr<Repository> writer = open(add(Role::writer));

    std::unique_ptr<Repository> open(KeyBundle const& keys) {
        return std::move(*open_repository(store, keys.clone(), world, {}, {}));
    }
    KeyBundle add(Role role) {
        return add_bundle(*open(admin), {.roles = static_cast<Roles>(role), .label = "w"}, {})
            .value();
    }
    std::vector<std::string> keys() {
        auto all = store.keys("self/2");
        return all;
    }
};

TEST_F(SelfTest, TheNewestIsFoundAndNamesItsWriter) {
    EXPECT_EQ(self_latest(*repository, "plan", {}).error().kind, ErrorKind::not_found);
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("old"), {}));
    // In the same nanosecond, and another name.
    ASSERT_TRUE(self_put(*writer, "plan", as_bytes("new"), {}));
    ASSERT_TRUE(self_put(*writer, "plan.yaml", as_bytes("other"), {}));
    auto found = self_latest(*repository, "plan", {});
    ASSERT_TRUE(found);
    EXPECT_EQ(to_text(found->bytes), "new");
    EXPECT_EQ(found->signer.id, writer->keys().id);
    EXPECT_EQ(found->signer.label, "w");
    EXPECT_THAT(found->notices, IsEmpty());
    auto names = self_list(*repository, {}).value();
    ASSERT_THAT(names, SizeIs(3));
    EXPECT_EQ(to_text(self_get(*repository, "plan", names[0].time, {})->bytes), "old");
    EXPECT_EQ(self_get(*repository, "plan", Time{}, {}).error().kind, ErrorKind::not_found);
}

TEST_F(SelfTest, OnlyReadersOpen) {
    ASSERT_TRUE(self_put(*writer, "plan", as_bytes("telephone numbers"), {}));
    EXPECT_EQ(self_latest(*writer, "plan", {}).error().kind, ErrorKind::key_refused);
    auto reader = open(add(Role::reader));
    EXPECT_EQ(to_text(self_latest(*reader, "plan", {})->bytes), "telephone numbers");
    EXPECT_EQ(self_put(*reader, "plan", as_bytes("x"), {}).error().kind, ErrorKind::key_refused);
    // The index key alone does not show it.
    auto document = writer->open(DocumentKind::self, store.objects.at(keys()[0]), {});
    ASSERT_TRUE(document);
    EXPECT_THAT(to_text(document->plain), testing::Not(HasSubstr("telephone")));
}

TEST_F(SelfTest, SeesEveryFlipAndTruncationAndTakesTheOneBefore) {
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("old"), {}));
    clock.advance(std::chrono::seconds(1));
    ASSERT_TRUE(self_put(*repository, "plan", as_bytes("new"), {}));
    auto const key = keys().back();
    auto const whole = store.objects[key];
    for (std::size_t i = 0; i < whole.size(); ++i) {
        store.objects[key] = whole;
        store.objects[key][i] ^= 1;
        auto found = self_latest(*repository, "plan", {});
        ASSERT_TRUE(found) << i;
        EXPECT_EQ(to_text(found->bytes), "old");
        EXPECT_THAT(found->notices, SizeIs(1));
        store.objects[key].resize(i);
        EXPECT_EQ(self_get(*repository, "plan", clock.now(), {}).error().kind, ErrorKind::damaged);
    }
    store.objects[keys().front()] = {};
    EXPECT_EQ(self_latest(*repository, "plan", {}).error().kind, ErrorKind::damaged);
}

TEST_F(SelfTest, AnotherNameOrTimeIsRefused) {
    ASSERT_TRUE(self_put(*repository, "contacts", as_bytes("old"), {}));
    auto object = store.objects.at(keys()[0]);
    auto renamed = "self/" + to_key_time(clock.now()) + "-plan";
    store.objects[renamed] = object;
    EXPECT_THAT(self_latest(*repository, "plan", {}).error().message, HasSubstr("another one"));
    auto later = clock.now() + std::chrono::hours(1);
    store.objects["self/" + to_key_time(later) + "-contacts"] = object;
    auto found = self_latest(*repository, "contacts", {});
    EXPECT_EQ(found->time, clock.now());
    EXPECT_THAT(found->notices, SizeIs(1));
}

TEST(EmergencyKit, SaysHowToRecoverAndHoldsNoSecret) {
    SeededRandom random(1);
    auto keys = generate_first_bundle(random, "x");
    auto kit = emergency_kit({.url = "/backups/main",
                              .repository = keys.repository,
                              .created = *parse_rfc3339("2026-11-22T10:31:07Z"),
                              .admin = keys.admin_public,
                              .version = "0.1.0"});
    for (auto text : {std::string("holdfast rescue /backups/main"), keys.repository.hex(),
                      std::string("2026-11-22T10:31:07Z"), fingerprint(keys.admin_public),
                      std::string("Password      ____")})
        EXPECT_THAT(kit, HasSubstr(text));
    for (auto secret : {keys.index_key.view(), keys.id_key.view(), keys.sign.seed.view(),
                        keys.data_private->view(), keys.admin_sign->seed.view()})
        EXPECT_THAT(kit, testing::Not(HasSubstr(to_hex(secret))));
    EXPECT_THAT(fingerprint(keys.admin_public), SizeIs(39));
    for (std::size_t at = 0, end; (end = kit.find('\n', at)) != kit.npos; at = end + 1)
        EXPECT_LE(end - at, 80u);
}

}  // namespace
}  // namespace holdfast
