// Uploads in parts through every fault that they can meet: an upload becomes the whole object, or nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/fake_s3.h"
#include "store/s3_store.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using Sent = FakeAnswer::Sent;

std::string test_keys(char const* name) {
    std::string_view const wanted = name;
    return wanted == "AWS_ACCESS_KEY_ID" ? "key" : wanted == "AWS_SECRET_ACCESS_KEY" ? "secret" : "";
}

// After how long a server that says nothing is given up. A sanitizer takes its time with the parts, too, and is not
// taken for silence.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr auto kStall = 3s;
#else
constexpr auto kStall = 500ms;
#endif

// A bucket that also takes uploads in parts.
class Multipart : public testing::Test {
  protected:
    void SetUp() override {
        auto address = parse_s3_url("s3://bucket?endpoint=" + server_.url(), test_keys).value();
        auto store = S3Store::open({.client = {.address = address,
                                               .credentials = {.environment = test_keys, .clock = clock_},
                                               .http = {.stall_timeout = kStall},
                                               .clock = clock_,
                                               .random = random_},
                                    .multipart_above = 5 << 20,
                                    .part_bytes = 5 << 20,
                                    .parts_at_once = 2},
                                   {});
        ASSERT_TRUE(store) << store.error().message;
        store_ = std::move(*store);
        // Now it knows whether conditions are kept to.
        ASSERT_TRUE(store_->put(ObjectKey("settle"), as_bytes("x"), {}));
        SeededRandom(9).fill(bytes_);
    }

    FakeAnswer answer(FakeRequest const& request) {
        constexpr std::string_view kBucket = "/bucket/";
        auto key = request.path.substr(std::min(kBucket.size(), request.path.size()));
        if (request.method == "POST" && request.query.starts_with("uploads")) {
            std::lock_guard const lock(mutex_);
            auto id = "upload-" + std::to_string(++count_);
            open_[id];
            return {.body = "<InitiateMultipartUploadResult><UploadId>" + id +
                            "</UploadId></InitiateMultipartUploadResult>"};
        }
        auto id = request.value("uploadId");
        if (id.empty()) return bucket_.answer(request);
        std::lock_guard const lock(mutex_);
        auto upload = open_.find(id);
        if (upload == open_.end()) return fake_error(404, "NoSuchUpload");
        if (request.method == "PUT") {
            auto part = std::stoi(request.value("partNumber"));
            upload->second[part] = request.body;
            return {.headers = {{"ETag", fmt::format("\"{}\"", part)}}};
        }
        if (request.method == "DELETE") {
            ++aborted_;
            open_.erase(upload);
            return {.status = 204};
        }
        std::string whole;
        for (auto const& [part, text] : upload->second) whole += text;
        bucket_.keep(key, whole);
        open_.erase(upload);
        return {.body = "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>"};
    }

    using Script = std::function<std::optional<FakeAnswer>(FakeRequest const&)>;
    // The next `times` requests for which `is_it` holds get this answer; `after` also did what was asked.
    void fail_next(int times, std::function<bool(FakeRequest const&)> is_it, FakeAnswer with, bool after = false) {
        std::lock_guard const lock(script_mutex_);
        script_ = [this, left = times, is_it, with, after](FakeRequest const& request) mutable -> std::optional<FakeAnswer> {
            if (left == 0 || !is_it(request)) return std::nullopt;
            --left;
            if (after) (void)answer(request);
            return with;
        };
    }
    static bool is_part(FakeRequest const& request) { return request.method == "PUT" && request.query.contains("partNumber"); }
    static bool is_begin(FakeRequest const& request) { return request.method == "POST" && request.query.starts_with("uploads"); }
    static bool is_end(FakeRequest const& request) { return request.method == "POST" && request.query.starts_with("uploadId"); }

    void expect_stored(std::string const& key) {
        auto put = store_->put(ObjectKey(key), bytes_, {});
        ASSERT_TRUE(put) << put.error().message;
        EXPECT_TRUE(store_->get_range(ObjectKey(key), 0, bytes_.size(), {}) == bytes_);
        std::lock_guard const lock(mutex_);
        EXPECT_TRUE(open_.empty()) << "an upload is left behind";
    }

    Bytes bytes_ = Bytes((11 << 20) + 7);
    FakeBucket bucket_;
    std::mutex mutex_;
    std::map<std::string, std::map<int, std::string>> open_;
    int count_ = 0, aborted_ = 0;
    std::mutex script_mutex_;
    Script script_;
    FakeServer server_{[this](FakeRequest const& request) {
        {
            std::lock_guard const lock(script_mutex_);
            if (auto scripted = script_ ? script_(request) : std::nullopt) return *scripted;
        }
        return answer(request);
    }};
    ManualClock clock_{*parse_rfc3339("2026-11-22T00:00:00Z")};
    SeededRandom random_{1};
    std::unique_ptr<S3Store> store_;
};

TEST_F(Multipart, WithoutAFaultItIsOneObject) { expect_stored("plain"); }

TEST_F(Multipart, EveryStepIsTriedAgain) {
    int n = 0;
    FakeAnswer const faults[] = {fake_error(503, "SlowDown"),          fake_error(500, "InternalError"),
                                 {.sent = Sent::reset},                {.sent = Sent::silence},
                                 fake_error(200, "InternalError"),     {.body = "<Half"}};
    for (auto const& fault : faults) {
        for (auto is_it : {is_begin, is_part, is_end}) {
            SCOPED_TRACE(++n);
            fail_next(2, is_it, fault);
            expect_stored("again-" + std::to_string(n));
        }
    }
}

TEST_F(Multipart, APartWithoutATagIsSentAgain) {
    fail_next(2, is_part, {});
    expect_stored("tagless");
}

TEST_F(Multipart, AnEndWhoseAnswerIsLostIsRecognised) {
    for (auto sent : {Sent::reset, Sent::silence}) {
        fail_next(1, is_end, {.sent = sent}, true);
        expect_stored(sent == Sent::reset ? "reset" : "silence");
    }
    EXPECT_EQ(aborted_, 0);
}

TEST_F(Multipart, WhatIsRefusedLeavesNothing) {
    int refused = 0;
    for (auto is_it : {is_begin, is_part, is_end}) {
        auto key = "refused-" + std::to_string(++refused);
        fail_next(1'000, is_it, fake_error(403, "AccessDenied"));
        auto put = store_->put(ObjectKey(key), bytes_, {});
        ASSERT_FALSE(put);
        EXPECT_EQ(put.error().kind, ErrorKind::unreachable);
        EXPECT_THAT(put.error().message, HasSubstr("AccessDenied"));
        fail_next(0, is_it, {});
        EXPECT_EQ(store_->head(ObjectKey(key), {}).error().kind, ErrorKind::not_found);
        EXPECT_TRUE(open_.empty());
    }
    EXPECT_EQ(aborted_, 2);
}

TEST_F(Multipart, OneThatWasFasterIsNotOverwritten) {
    std::string const other(bytes_.size(), 'o');
    // Between the parts and their end.
    fail_next(1, [&](FakeRequest const& request) {
        if (is_part(request)) bucket_.keep("raced", other);
        return false;
    }, {});
    auto put = store_->put(ObjectKey("raced"), bytes_, {});
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().kind, ErrorKind::exists);
    EXPECT_EQ(to_text(*store_->get_range(ObjectKey("raced"), 0, 10, {})), "oooooooooo");
    EXPECT_TRUE(open_.empty());
}

// The metadata service of an instance (IMDSv2): a token first, then the role, then its credentials; new ones
// before these run out.
TEST(InstanceCredentials, ComeFromTheMetadataServiceAndAreRenewed) {
    ManualClock clock(*parse_rfc3339("2026-11-22T00:00:00Z"));
    std::atomic<int> tokens = 0, given = 0, refused = 0;
    FakeServer metadata([&](FakeRequest const& request) -> FakeAnswer {
        if (request.path == "/latest/api/token") {
            if (request.method != "PUT" || request.header("x-aws-ec2-metadata-token-ttl-seconds").empty())
                return {.status = 400};
            return {.body = "token-" + std::to_string(++tokens)};
        }
        if (request.header("x-aws-ec2-metadata-token") != "token-" + std::to_string(tokens)) {
            ++refused;
            return {.status = 401};
        }
        if (request.path == "/latest/meta-data/iam/security-credentials/") return {.body = "backup role\n"};
        if (request.path != "/latest/meta-data/iam/security-credentials/backup%20role") return {.status = 404};
        auto until = to_rfc3339(clock.now() + 1h);
        return {.body = fmt::format(R"({{"Code":"Success","AccessKeyId":"id-{0}","SecretAccessKey":"secret-{0}",)"
                                    R"("Token":"session-{0}","Expiration":"{1}"}})",
                                    ++given, until)};
    });
    FakeBucket bucket;
    std::mutex mutex;
    std::set<std::string> sessions;
    FakeServer server([&](FakeRequest const& request) {
        std::lock_guard const lock(mutex);
        sessions.insert(request.header("x-amz-security-token"));
        return bucket.answer(request);
    });
    auto environment = [&](char const* name) {
        return std::string_view(name) == "AWS_EC2_METADATA_SERVICE_ENDPOINT" ? metadata.url() : std::string();
    };
    auto store = S3Store::open({.client = {.address = parse_s3_url("s3://bucket?endpoint=" + server.url(), environment).value(),
                                           .credentials = {.environment = environment, .clock = clock},
                                           .clock = clock}},
                               {});
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE((*store)->put(ObjectKey("a"), as_bytes("x"), {}));
    EXPECT_EQ(given, 1);
    clock.advance(50min);
    ASSERT_TRUE((*store)->put(ObjectKey("b"), as_bytes("x"), {}));
    EXPECT_EQ(given, 1);
    clock.advance(6min);
    ASSERT_TRUE((*store)->put(ObjectKey("c"), as_bytes("x"), {}));
    EXPECT_EQ(given, 2);
    EXPECT_EQ(refused, 0);
    EXPECT_EQ(sessions, (std::set<std::string>{"session-1", "session-2"}));
}

}  // namespace
}  // namespace holdfast
