// S3Store against a real server.

#include "store/s3_store.h"

#include <cstdlib>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "radosgw.h"
#include "store/conformance.h"
#include "store/s3_xml.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

std::unique_ptr<Radosgw> server;

std::string no_environment(char const*) {
    return {};
}

S3StoreOptions options_for(std::string const& place) {
    S3StoreOptions options;
    auto address = parse_s3_url(server->url(place), no_environment);
    EXPECT_TRUE(address) << address.error().message;
    options.client.address = *address;
    options.client.credentials.environment = [](char const* name) {
        std::string_view const wanted = name;
        return std::string(wanted == "AWS_ACCESS_KEY_ID"       ? Radosgw::kAccessKey
                           : wanted == "AWS_SECRET_ACCESS_KEY" ? Radosgw::kSecretKey
                                                               : "");
    };
    options.client.patience.give_up_after = std::chrono::seconds(20);
    options.create = true;
    return options;
}

std::unique_ptr<S3Store> open(S3StoreOptions options) {
    auto store = S3Store::open(std::move(options), {});
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
}

// Each store has a prefix of its own in one bucket.
std::string next_place() {
    static int count = 0;
    return fmt::format("conformance/a place/{}", ++count);
}

MadeStore make_plain() {
    return {open(options_for(next_place())), nullptr};
}
MadeStore make_small() {
    auto options = options_for(next_place());
    options.page_keys = 3;
    options.multipart_above = options.part_bytes = 5 << 20;
    return {open(std::move(options)), nullptr};
}

// In a bucket with Object Lock every key has versions, and the first one counts.
MadeStore make_lockable() {
    auto bucket = options_for("lockable");
    bucket.create = true;
    bucket.lock = std::chrono::hours(1);
    EXPECT_TRUE(open(bucket));
    auto options = options_for("lockable/" + next_place());
    options.page_keys = 7;
    return {open(std::move(options)), nullptr};
}

INSTANTIATE_TEST_SUITE_P(S3, StoreConformance,
                         testing::Values(StoreMaker{"radosgw", make_plain},
                                         StoreMaker{"radosgw_object_lock", make_lockable},
                                         StoreMaker{"radosgw_small_pages_and_parts", make_small}),
                         [](auto const& info) { return info.param.name; });

Bytes noise(std::size_t size) {
    Bytes bytes(size);
    SeededRandom(size).fill(bytes);
    return bytes;
}

TEST(S3Store, UploadsInPartsAndReadsBack) {
    auto options = options_for("parts/x");
    options.multipart_above = 5 << 20;
    options.part_bytes = 5 << 20;
    auto store = open(std::move(options));
    auto bytes = noise((23 << 20) + 17);
    ByteView const all = bytes;
    ByteView const parts[] = {all.first(3), all.subspan(3, 9 << 20), all.subspan((9 << 20) + 3)};
    ObjectKey const key("packs/aa/large");
    auto done = store->put(key, parts, {});
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(store->get(key, {}) == bytes);
    EXPECT_TRUE(store->put(key, bytes, {}));
    bytes.back() ^= 1;
    auto other = store->put(key, bytes, {});
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().kind, ErrorKind::exists);
    auto range = store->get_range(key, 10 << 20, 1000, {});
    ASSERT_TRUE(range);
    EXPECT_TRUE(std::ranges::equal(*range, all.subspan(10 << 20, 1000)));
}

TEST(S3Store, ConnectionsAreKept) {
    auto store = open(options_for("kept/x"));
    for (int i = 0; i < 50; ++i)
        ASSERT_TRUE(store->put(ObjectKey("k" + std::to_string(i)), as_bytes("x"), {}));
    EXPECT_EQ(store->connections_opened(), 1U);
}

TEST(S3Store, AbandonedUploadsAreAborted) {
    auto options = options_for("sweep/x");
    options.multipart_above = options.part_bytes = 5 << 20;
    S3Client client(options.client);
    ASSERT_TRUE(open(options));
    auto begin = [&](std::string const& key) {
        auto begun = client.send({.method = "POST", .key = key, .query = {{"uploads", ""}}}, {});
        EXPECT_TRUE(begun) << begun.error().error.message;
    };
    auto count = [&] {
        auto answer = client.send({.method = "GET", .query = {{"uploads", ""}}}, {});
        EXPECT_TRUE(answer);
        auto root = parse_xml(as_text(answer->body));
        EXPECT_TRUE(root);
        return std::ranges::count_if(root->children,
                                     [](auto const& one) { return one.name == "Upload"; });
    };
    begin("packs/aa/one");
    EXPECT_EQ(count(), 1);
    // Younger than a day: somebody may be at it.
    ASSERT_TRUE(open(options)->put(ObjectKey("a"), as_bytes("x"), {}));
    EXPECT_EQ(count(), 1);
    options.upload_abandoned_after = std::chrono::seconds(-60);
    ASSERT_TRUE(open(options)->put(ObjectKey("b"), as_bytes("x"), {}));
    EXPECT_EQ(count(), 0);
}

TEST(S3Store, MissingBucketIsNotAnEmptyOne) {
    auto options = options_for("no-such-bucket-here");
    options.create = false;
    auto store = S3Store::open(options, {});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().kind, ErrorKind::not_found);
    EXPECT_THAT(store.error().message, HasSubstr("no-such-bucket-here"));
}

TEST(S3Store, WrongSecretIsRefusedAndNotShown) {
    ASSERT_TRUE(open(options_for("conformance")));
    auto options = options_for("conformance");
    options.client.credentials.environment = [](char const* name) {
        std::string_view const wanted = name;
        return std::string(wanted == "AWS_ACCESS_KEY_ID"       ? Radosgw::kAccessKey
                           : wanted == "AWS_SECRET_ACCESS_KEY" ? "a-wrong-secret"
                                                               : "");
    };
    auto store = S3Store::open(options, {});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(store.error().message, HasSubstr("SignatureDoesNotMatch"));
    EXPECT_THAT(store.error().message + store.error().hint, Not(HasSubstr("a-wrong-secret")));
    EXPECT_FALSE(store.error().hint.empty());
}

TEST(S3Store, VirtualHostStyleNamesTheBucketInTheHost) {
    ASSERT_TRUE(open(options_for("by-host")));
    auto options = options_for("by-host");
    // What the resolver says about BUCKET.localhost: 127.0.0.1 (RFC 6761).
    auto address = parse_s3_url(
        fmt::format("s3://by-host/p?endpoint=http://localhost:{}&style=virtual", server->port()),
        no_environment);
    ASSERT_TRUE(address);
    options.client.address = *address;
    auto store = open(options);
    ASSERT_TRUE(store);
    ASSERT_TRUE(store->put(ObjectKey("a"), as_bytes("x"), {}));
    auto by_path = options_for("by-host/p");
    EXPECT_EQ(open(by_path)->get(ObjectKey("a"), {}), to_bytes("x"));
}

}  // namespace
}  // namespace holdfast

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    if (testing::GTEST_FLAG(list_tests))
        return RUN_ALL_TESTS();
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
