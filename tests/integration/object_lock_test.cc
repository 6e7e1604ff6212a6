// Object Lock on a real server: a client that holds a writer's key and its own credentials, with every right that
// a bucket's policy can give, tries to destroy what is stored.

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <thread>

#include "radosgw.h"
#include "repo/locks.h"
#include "repo/repository.h"
#include "store/s3_parts.h"
#include "store/s3_store.h"
#include "store/s3_xml.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<Radosgw> server;

std::string no_environment(char const*) { return {}; }

S3StoreOptions options_for(std::string const& place, bool thief = false) {
    S3StoreOptions options;
    options.client.address = parse_s3_url(server->url(place), no_environment).value();
    options.client.credentials.environment = [thief](char const* name) {
        std::string_view const wanted = name;
        if (wanted == "AWS_ACCESS_KEY_ID") return std::string(thief ? "limited" : Radosgw::kAccessKey);
        if (wanted == "AWS_SECRET_ACCESS_KEY") return std::string(thief ? "limited-secret" : Radosgw::kSecretKey);
        return std::string();
    };
    options.client.patience.give_up_after = 20s;
    options.for_good = is_for_good;
    return options;
}

S3StoreOptions locking(std::string const& place, Duration period) {
    auto options = options_for(place);
    options.create = true;
    options.lock = period;
    return options;
}

std::unique_ptr<S3Store> open(S3StoreOptions options) {
    auto store = S3Store::open(std::move(options), {});
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
}

std::vector<std::string> list(Store& store, std::string_view prefix = "") {
    std::vector<std::string> keys;
    auto listed = store.list(prefix,
                             [&](ObjectInfo const& info) -> Result<void> {
                                 keys.push_back(info.key.text());
                                 return {};
                             },
                             {});
    EXPECT_TRUE(listed) << listed.error().message;
    return keys;
}

// Somebody with credentials of their own and all rights to the bucket.
struct Thief {
    explicit Thief(std::string const& bucket, std::string const& place)
        : client(options_for(place, true).client) {
        auto policy = fmt::format(
            R"({{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":["arn:aws:iam:::user/limited"]}},)"
            R"("Action":"s3:*","Resource":["arn:aws:s3:::{0}","arn:aws:s3:::{0}/*"]}}]}})",
            bucket);
        ByteView const body = as_bytes(policy);
        S3Client owner(options_for(bucket).client);
        auto set = owner.send({.method = "PUT", .query = {{"policy", ""}}, .body = {&body, 1}}, {});
        EXPECT_TRUE(set) << set.error().error.message;
    }

    int status(S3Request request) {
        auto answer = client.send(request, {}, {.give_up_after = 1s});
        return answer ? answer->status : answer.error().status;
    }
    struct Found {
        std::string key, version;
        bool marker;
    };
    // All versions and markers below the place.
    std::vector<Found> versions() {
        auto const& prefix = client.address().prefix;
        auto answer = client.send({.method = "GET", .query = {{"versions", ""}, {"prefix", prefix}}}, {});
        EXPECT_TRUE(answer) << answer.error().error.message;
        std::vector<Found> found;
        auto root = parse_xml(as_text(answer->body)).value();
        EXPECT_EQ(root.text_of("IsTruncated"), "false");
        for (auto const& item : root.children) {
            if (item.name != "Version" && item.name != "DeleteMarker") continue;
            found.push_back({std::string(item.text_of("Key")).substr(prefix.size()), std::string(item.text_of("VersionId")),
                             item.name == "DeleteMarker"});
        }
        return found;
    }
    // Everything that could destroy an object, to every object. Returns how many versions were deleted.
    int destroy_all() {
        int deleted = 0;
        auto const before = versions();
        ByteView const garbage = as_bytes("garbage");
        auto shorter = fmt::format(
            "<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            to_rfc3339(std::chrono::floor<std::chrono::seconds>(system_clock().now()) + 2s));
        ByteView const retention = as_bytes(shorter);
        for (auto const& one : before) {
            if (one.marker) continue;
            EXPECT_LT(status({.method = "PUT", .key = one.key, .body = {&garbage, 1}}), 300) << one.key;
            EXPECT_LT(status({.method = "DELETE", .key = one.key}), 300) << one.key;
            if (is_for_good(ObjectKey(one.key))) {
                EXPECT_GE(status({.method = "PUT",
                                  .key = one.key,
                                  .query = {{"retention", ""}, {"versionId", one.version}},
                                  .headers = {{"x-amz-bypass-governance-retention", "true"}},
                                  .body = {&retention, 1}}),
                          400)
                    << one.key;
            }
            auto gone = status({.method = "DELETE",
                                .key = one.key,
                                .query = {{"versionId", one.version}},
                                .headers = {{"x-amz-bypass-governance-retention", "true"}}});
            deleted += gone < 300 && is_for_good(ObjectKey(one.key)) ? 1 : 0;
        }
        ByteView const suspend = as_bytes(
            "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>");
        EXPECT_GE(status({.method = "PUT", .query = {{"versioning", ""}}, .body = {&suspend, 1}}), 400);
        return deleted;
    }

    S3Client client;
};

TEST(ObjectLock, WhatIsLockedStaysAndIsFound) {
    auto options = locking("lock-store/p", 1h);
    options.multipart_above = options.part_bytes = 5 << 20;
    options.page_keys = 3;
    auto store = open(options);
    ASSERT_TRUE(store->can_lock());
    Bytes large((6 << 20) + 5);
    SeededRandom(1).fill(large);
    std::map<std::string, Bytes> objects;
    auto pack = [](char c) { return "packs/" + std::string(2, c) + "/" + std::string(64, c); };
    objects[pack('a')] = to_bytes("small");
    objects[pack('b')] = large;
    objects["keys/one"] = to_bytes("1");
    objects["keys/one-000001"] = to_bytes("2");  // begins as the one before
    objects["holdfast.json"] = to_bytes("{}");
    for (auto const& [key, bytes] : objects) {
        auto put = store->put(ObjectKey(key), bytes, {});
        ASSERT_TRUE(put) << put.error().message;
        auto until = store->locked_until(ObjectKey(key), {});
        ASSERT_TRUE(until && *until) << key;
        EXPECT_GT(**until, system_clock().now() + 50min);
    }
    ASSERT_TRUE(store->put(ObjectKey("writers/lease"), as_bytes("x"), {}));
    EXPECT_EQ(*store->locked_until(ObjectKey("writers/lease"), {}), std::nullopt);

    Thief thief("lock-store", "lock-store/p");
    EXPECT_EQ(thief.destroy_all(), 0);
    // And once more over the garbage, for what is the newest now.
    for (auto const& [key, bytes] : objects) EXPECT_LT(thief.status({.method = "DELETE", .key = key}), 300);

    for (bool same : {true, false}) {
        auto fresh = same ? std::move(store) : open(options_for("lock-store/p"));
        std::vector<std::string> expected;
        for (auto const& [key, bytes] : objects) {
            expected.push_back(key);
            auto got = fresh->get(ObjectKey(key), {});
            ASSERT_TRUE(got) << got.error().message;
            EXPECT_TRUE(*got == bytes) << key;
            EXPECT_EQ(fresh->head(ObjectKey(key), {})->size, bytes.size());
            auto range = fresh->get_range(ObjectKey(key), 1, bytes.size() - 1, {});
            ASSERT_TRUE(range) << range.error().message;
            EXPECT_TRUE(std::ranges::equal(*range, ByteView(bytes).subspan(1)));
            // It still holds these bytes, for writers, too.
            EXPECT_TRUE(fresh->put(ObjectKey(key), bytes, {}));
            EXPECT_EQ(fresh->put(ObjectKey(key), as_bytes("other"), {}).error().kind, ErrorKind::exists);
        }
        EXPECT_EQ(list(*fresh), expected);
        EXPECT_EQ(list(*fresh, "keys/"), (std::vector<std::string>{"keys/one", "keys/one-000001"}));
        EXPECT_EQ(fresh->get(ObjectKey("writers/lease"), {}).error().kind, ErrorKind::not_found);
        EXPECT_EQ(fresh->get(ObjectKey("keys/two"), {}).error().kind, ErrorKind::not_found);
        EXPECT_EQ(fresh->head(ObjectKey("keys/on"), {}).error().kind, ErrorKind::not_found);
    }
}

TEST(ObjectLock, LocksGetLongerAndNeverShorter) {
    auto store = open(locking("lock-longer", 1h));
    ObjectKey const key("keys/a");
    ASSERT_TRUE(store->put(key, as_bytes("x"), {}));
    auto first = store->locked_until(key, {}).value().value();
    auto longer = store->lock_until(key, first + 5h, {});
    ASSERT_TRUE(longer) << longer.error().message;
    EXPECT_GE(store->locked_until(key, {}).value().value(), first + 5h - 1s);
    EXPECT_TRUE(store->lock_until(key, first + 1h, {}));
    EXPECT_GE(store->locked_until(key, {}).value().value(), first + 5h - 1s);
    EXPECT_EQ(store->lock_until(ObjectKey("keys/none"), first, {}).error().kind, ErrorKind::not_found);
    // What was put without a lock gets one.
    auto plain = open(options_for("lock-longer"));
    ASSERT_TRUE(plain->put(ObjectKey("keys/b"), as_bytes("x"), {}));
    EXPECT_EQ(*plain->locked_until(ObjectKey("keys/b"), {}), std::nullopt);
    ASSERT_TRUE(plain->lock_until(ObjectKey("keys/b"), first, {}));
    EXPECT_TRUE(plain->locked_until(ObjectKey("keys/b"), {})->has_value());
}

TEST(ObjectLock, WhatIsRemovedGoesWhenItsLockHasEnded) {
    auto store = open(locking("lock-ends", 10s));
    ObjectKey const key("keys/a");
    ASSERT_TRUE(store->put(key, as_bytes("x"), {}));
    ASSERT_TRUE(store->remove(key, {}));
    EXPECT_THAT(list(*store), ElementsAre("keys/a"));
    EXPECT_EQ(store->get(key, {}), to_bytes("x"));
    auto until = store->locked_until(key, {}).value().value();
    while (system_clock().now() <= until + 1s) std::this_thread::sleep_for(200ms);
    ASSERT_TRUE(store->remove(key, {}));
    EXPECT_THAT(list(*store), ElementsAre());
    EXPECT_EQ(store->get(key, {}).error().kind, ErrorKind::not_found);
    // Its key is free again.
    ASSERT_TRUE(store->put(key, as_bytes("another"), {}));
    EXPECT_EQ(store->get(key, {}), to_bytes("another"));
}

TEST(ObjectLock, ABucketThatCannotIsSaid) {
    auto options = options_for("lock-less");
    options.create = true;
    auto plain = open(options);
    EXPECT_FALSE(plain->can_lock());
    EXPECT_EQ(plain->lock_until(ObjectKey("a"), system_clock().now(), {}).error().kind, ErrorKind::usage);
    auto refused = S3Store::open(locking("lock-less", 1h), {});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::usage);
    EXPECT_THAT(refused.error().message, HasSubstr("lock-less"));
    EXPECT_THAT(refused.error().message, HasSubstr("has no Object Lock"));
}

// The whole: a repository, a compromised writer, and everything restores.
TEST(ObjectLock, ACompromisedWriterCannotDestroyARepository) {
    auto store = open(locking("lock-repository/r", 1h));
    auto executor = make_thread_executor();
    TestDirectory directory;
    auto world = [&](std::string const& machine) {
        return RepositoryWorld{system_clock(), system_random(), *executor, directory.path() + "/" + machine,
                               directory.path() + "/" + machine + "-cache"};
    };
    auto admin = create_repository(*store, world("none"), as_bytes("password"), {}).value();
    auto opened = open_repository(*store, admin.clone(), world("admin"), {}, {}).value();
    auto writer = add_bundle(*opened, {.roles = static_cast<Roles>(Role::writer), .label = "w"}, {}).value();
    auto writing = open_repository(*store, writer.clone(), world("writer"), {}, {}).value();
    auto back_up = [&](std::string_view text) {
        auto ingest = writing->begin_ingest({}, {}).value();
        auto stream = ingest->open_stream(ChunkKind::tree, {});
        EXPECT_TRUE(stream->append(as_bytes(text)));
        RecoveryPoint point;
        point.dataset = "a";
        point.kind = "files";
        point.time = system_clock().now();
        point.tree = stream->finish().value();
        stream.reset();
        auto published = writing->publish(*ingest, std::move(point), {}).value();
        return std::pair(published, ingest->relied_on());
    };
    auto first = back_up("what was stored");
    auto second = back_up("what was stored");  // relies on the first one's pack
    ASSERT_EQ(second.second.size(), 1u);
    auto pass = lock_again(*writing, second.second, 5h, {});
    ASSERT_TRUE(pass) << pass.error().message;
    EXPECT_GT(pass->objects, 5u);
    for (auto const& key : {std::string("holdfast.json"), list(*store, "packs/").front(), list(*store, "index/").front()})
        EXPECT_GT(store->locked_until(ObjectKey(key), {}).value().value(), system_clock().now() + 4h) << key;

    // The writer's own machine, its own key, its own credentials.
    Thief thief("lock-repository", "lock-repository/r");
    EXPECT_EQ(thief.destroy_all(), 0);

    auto bare = open(options_for("lock-repository/r"));
    auto unlocked = unlock_repository(*bare, as_bytes("password"), {});
    ASSERT_TRUE(unlocked) << unlocked.error().message;
    auto restored = open_repository(*bare, std::move(*unlocked), world("bare"), {}, {});
    ASSERT_TRUE(restored) << restored.error().message;
    auto points = (*restored)->points({});
    ASSERT_TRUE(points) << points.error().message;
    EXPECT_EQ(points->points.size(), 2u);
    EXPECT_TRUE(points->damaged.empty());
    auto fetch = (*restored)->begin_fetch({}, {}).value();
    for (auto const& point : points->points)
        EXPECT_EQ(fetch->content(point.point.tree, 1 << 20, {}).value(), to_bytes("what was stored"));
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
    std::string why;
    holdfast::server = holdfast::Radosgw::start(why);
    if (!holdfast::server) {
        std::cout << why << std::endl;
        return why.starts_with("skipped") ? 77 : 1;
    }
    auto result = RUN_ALL_TESTS();
    holdfast::server.reset();
    return result;
}
