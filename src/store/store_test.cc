// All stores against the same promises, and what belongs to the interface itself.

#include "store/store.h"

#include <filesystem>
#include <gtest/gtest.h>

#include "os/simulated_file_system.h"
#include "store/conformance.h"
#include "store/fake_s3.h"
#include "store/faulty_store.h"
#include "store/local_store.h"
#include "store/memory_store.h"
#include "store/s3_store.h"
#include "store/test_directory.h"

namespace holdfast {
namespace {

MadeStore make_memory() {
    return {std::make_unique<MemoryStore>(), nullptr};
}

MadeStore make_local() {
    auto place = std::make_shared<TestDirectory>();
    auto store = open_store(place->path() + "/store", {.create = true});
    return {store ? std::move(*store) : nullptr, place};
}

MadeStore make_simulated() {
    auto files = std::make_shared<SimulatedFileSystem>(1);
    files->set_short_io(true);
    auto store = LocalStore::open("/store", {.files = *files, .create = true});
    return {store ? std::move(*store) : nullptr, files};
}

MadeStore make_faulty() {
    auto inner = std::make_shared<MemoryStore>();
    return {std::make_unique<FaultyStore>(*inner), inner};
}

// Under the sanitizers, too; over a real server in tests/integration.
MadeStore make_s3() {
    struct Place {
        FakeBucket bucket;
        FakeServer server{[this](FakeRequest const& request) { return bucket.answer(request); }};
    };
    auto place = std::make_shared<Place>();
    place->bucket.page_keys = 3;
    auto environment = [](char const* name) {
        return std::string(std::string_view(name).starts_with("AWS_") ? "us-test-1" : "");
    };
    S3StoreOptions options;
    options.client.address =
        *parse_s3_url("s3://bucket?ca=/none&endpoint=" + place->server.url(), environment);
    options.client.credentials.environment = environment;
    auto store = S3Store::open(options, {});
    EXPECT_TRUE(store) << store.error().message;
    return {store ? std::move(*store) : nullptr, place};
}

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance,
                         testing::Values(StoreMaker{"memory", make_memory},
                                         StoreMaker{"local", make_local},
                                         StoreMaker{"simulated", make_simulated},
                                         StoreMaker{"faulty", make_faulty},
                                         StoreMaker{"s3", make_s3}),
                         [](auto const& info) { return info.param.name; });

TEST(ObjectKey, TakesWhatIsAllowed) {
    for (std::string text :
         {"a", "Z9", "holdfast.json", "packs/0f/abc-DEF_1.x", "-", "_", "a/b/c"}) {
        EXPECT_TRUE(is_object_key(text)) << text;
        EXPECT_EQ(ObjectKey(text).text(), text);
    }
    EXPECT_TRUE(is_object_key(std::string(255, 'x') + "/" + std::string(254, 'x') + "/x"));
}

TEST(ObjectKey, RefusesEverythingElse) {
    for (std::string text : {"", "/", "/a", "a/", "a//b", ".", "..", "a/../b", ".tmp/x", "a/.b",
                             "a b", "a%b", "\xc3\xa4", "a\\b", "a:b", "a\nb", "a+b"}) {
        EXPECT_FALSE(is_object_key(text)) << text;
    }
    EXPECT_FALSE(is_object_key(std::string("a\0b", 3)));
    EXPECT_FALSE(is_object_key(std::string(256, 'x')));
    EXPECT_FALSE(is_object_key(std::string(255, 'x') + "/" + std::string(255, 'x') + "/x"));
    EXPECT_DEATH(ObjectKey("../etc"), "is_object_key");
}

TEST(OpenStore, KnowsItsKinds) {
    TestDirectory directory;
    auto path = directory.path() + "/with space";
    ASSERT_TRUE(open_store(path, {.create = true}));
    for (auto const& url : {path, path + "/", "file://" + directory.path() + "/with%20space",
                            "file:" + directory.path() + "/with%20space",
                            "file://localhost" + directory.path() + "/x/../with%20space//"}) {
        auto store = open_store(url, {});
        ASSERT_TRUE(store) << url << ": " << store.error().message;
        EXPECT_EQ((*store)->describe(), path);
    }
    auto sftp = open_store("sftp:user@host:/x", {.create = true});
    ASSERT_FALSE(sftp);
    EXPECT_EQ(sftp.error().kind, ErrorKind::usage);
    EXPECT_THAT(sftp.error().hint, testing::HasSubstr("rclone:REMOTE:PATH"));
    auto locked = open_store(path, {.lock = std::chrono::hours(1)});
    ASSERT_FALSE(locked);
    EXPECT_EQ(locked.error().kind, ErrorKind::usage);
    EXPECT_THAT(locked.error().message, testing::HasSubstr("cannot lock objects"));
    for (auto const* url : {"", "http://host/x", "file://host/x", "file:relative", "file:///a%zz",
                            "s3:host/bucket", "rclone:remote", "s3://B", "s3://bucket?secret_key=x"}) {
        auto store = open_store(url, {.create = true});
        ASSERT_FALSE(store) << url;
        EXPECT_EQ(store.error().kind, ErrorKind::usage) << url;
    }
}

TEST(OpenStore, PathWithAColonIsAPath) {
    TestDirectory directory;
    auto path = directory.path() + "/2024:11:22";
    auto store = open_store(path, {.create = true});
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_EQ((*store)->describe(), path);
}

TEST(OpenStore, MissingPlaceIsNotFoundUnlessCreated) {
    TestDirectory directory;
    auto path = directory.path() + "/a/b/c";
    auto missing = open_store(path, {});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
    EXPECT_FALSE(missing.error().hint.empty());
    EXPECT_FALSE(std::filesystem::exists(path));

    ASSERT_TRUE(open_store(path, {.create = true}));
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0700));
    ASSERT_TRUE(open_store(path, {}));
}

TEST(OpenStore, RefusesAFile) {
    TestDirectory directory;
    auto path = directory.path() + "/file";
    directory.write("file", "x");
    for (bool create : {false, true}) {
        auto store = open_store(path, {.create = create});
        ASSERT_FALSE(store);
        EXPECT_EQ(store.error().kind, ErrorKind::usage);
    }
}

}  // namespace
}  // namespace holdfast
