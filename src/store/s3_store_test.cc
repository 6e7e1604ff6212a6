// S3Store against servers that fail in every way that real ones have. What it does with one that
// works is shown by the conformance suite: in store_test.cc over a fake, in tests/integration over
// a real one.

#include "store/s3_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/fake_s3.h"
#include "store/s3_xml.h"
#include "store/test_directory.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using Sent = FakeAnswer::Sent;

constexpr char kSecret[] = "the-secret-key-of-a-test";
constexpr char kToken[] = "the-session-token-of-a-test";

Time const kNow = std::chrono::sys_days(std::chrono::year(2026) / 11 / 22);

std::string variable(char const* name) {
    std::string_view const wanted = name;
    return wanted == "AWS_ACCESS_KEY_ID"       ? "key"
           : wanted == "AWS_SECRET_ACCESS_KEY" ? kSecret
           : wanted == "AWS_SESSION_TOKEN"     ? kToken
                                               : "";
}

// A store over a server that `script` may answer for; the bucket answers else.
class S3Faults : public testing::Test {
  protected:
    using Script = std::function<std::optional<FakeAnswer>(FakeRequest const&)>;

    void SetUp() override { open(); }

    void open() {
        auto address = parse_s3_url("s3://bucket?endpoint=" + server_.url(), variable);
        ASSERT_TRUE(address) << address.error().message;
        std::function<Result<Secret>(std::stop_token)> given;
        if (given_) {
            given = [this](std::stop_token) -> Result<Secret> {
                ++asked_;
                return Secret(as_bytes(*given_));
            };
        }
        S3StoreOptions options{
            .client = {.address = *address,
                       .credentials = {.given = given, .environment = variable, .clock = clock_},
                       .http = {.stall_timeout = 200ms},
                       .clock = clock_,
                       .random = random_}};
        auto store = S3Store::open(std::move(options), {});
        ASSERT_TRUE(store) << store.error().message;
        store_ = std::move(*store);
    }
    // The store has found out whether conditions are kept to.
    void settle() { ASSERT_TRUE(store_->put(ObjectKey("settle"), as_bytes("x"), {})); }
    void script(Script script) {
        std::lock_guard const lock(mutex_);
        script_ = std::move(script);
    }
    // The next `times` requests with this method get this answer.
    void fail_next(int times, std::string const& method, FakeAnswer const& answer) {
        script([left = times, method,
                answer](FakeRequest const& request) mutable -> std::optional<FakeAnswer> {
            if (request.method != method || left == 0)
                return std::nullopt;
            --left;
            return answer;
        });
    }
    Result<void> put(std::string const& key, std::string_view text) {
        return store_->put(ObjectKey(key), as_bytes(text), {});
    }
    std::string get(std::string const& key) {
        auto got = store_->get(ObjectKey(key), {});
        return got ? to_text(*got) : "error: " + got.error().message;
    }
    Result<std::vector<std::string>> list() {
        std::vector<std::string> keys;
        TRY(store_->list("",
                         [&](ObjectInfo const& object) -> Result<void> {
                             keys.push_back(object.key.text());
                             return {};
                         },
                         {}));
        return keys;
    }

    std::mutex mutex_;
    Script script_;
    FakeBucket bucket_;
    FakeServer server_{[this](FakeRequest const& request) {
        {
            std::lock_guard const lock(mutex_);
            if (auto answer = script_ ? script_(request) : std::nullopt)
                return *answer;
        }
        return bucket_.answer(request);
    }};
    ManualClock clock_{kNow};
    SeededRandom random_{1};
    std::optional<std::string> given_;
    int asked_ = 0;
    std::unique_ptr<S3Store> store_;
};

TEST_F(S3Faults, AStormOf503IsWaitedOut) {
    fail_next(8, "PUT", fake_error(503, "ServiceUnavailable"));
    auto done = put("a", "text");
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(get("a"), "text");
}

TEST_F(S3Faults, TenMinutesOf503EndInALoudError) {
    settle();
    fail_next(1'000'000, "PUT", fake_error(503, "SlowDown"));
    auto began = clock_.elapsed();
    auto done = put("a", "text");
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(done.error().message, HasSubstr("s3://bucket/a: given up after "));
    EXPECT_THAT(done.error().message, HasSubstr("503 SlowDown: because"));
    EXPECT_GT(clock_.elapsed() - began, 3min);
    EXPECT_LT(clock_.elapsed() - began, 6min);
    script({});
    EXPECT_TRUE(put("a", "text"));
}

TEST_F(S3Faults, WaitsAsLongAsTheServerAsks) {
    settle();
    auto busy = fake_error(429, "TooManyRequests");
    busy.headers["Retry-After"] = "45";
    fail_next(1, "PUT", busy);
    auto began = clock_.elapsed();
    ASSERT_TRUE(put("a", "text"));
    EXPECT_GE(clock_.elapsed() - began, 45s);

    // Longer than we have patience for: said at once.
    busy.headers["Retry-After"] = "3600";
    fail_next(1, "PUT", busy);
    began = clock_.elapsed();
    EXPECT_FALSE(put("b", "text"));
    EXPECT_LT(clock_.elapsed() - began, 1s);
}

TEST_F(S3Faults, WaitsAreDrawnAndGrow) {
    settle();
    fail_next(12, "PUT", fake_error(500, "InternalError"));
    auto began = clock_.elapsed();
    ASSERT_TRUE(put("a", "text"));
    auto first = clock_.elapsed() - began;
    fail_next(12, "PUT", fake_error(500, "InternalError"));
    began = clock_.elapsed();
    ASSERT_TRUE(put("b", "text"));
    auto second = clock_.elapsed() - began;
    EXPECT_GT(first, 5s);
    EXPECT_LT(first, 120s);
    EXPECT_NE(first, second);
}

TEST_F(S3Faults, AnAnswerThatIsLostAfterTheCommitIsRecognised) {
    settle();
    for (auto lost : {Sent::reset, Sent::silence}) {
        bool done = false;
        script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
            if (request.method != "PUT" || done)
                return std::nullopt;
            done = true;
            (void)bucket_.answer(request);
            return FakeAnswer{.sent = lost};
        });
        auto key = lost == Sent::reset ? "reset" : "silence";
        auto put_it = put(key, "text");
        EXPECT_TRUE(put_it) << put_it.error().message;
        script({});
        EXPECT_EQ(get(key), "text");
        auto other = put(key, "other");
        ASSERT_FALSE(other);
        EXPECT_EQ(other.error().kind, ErrorKind::exists);
        EXPECT_EQ(get(key), "text");
    }
}

TEST_F(S3Faults, ASuccessWithAnErrorInItIsNone) {
    settle();
    auto liar = fake_error(200, "InternalError");
    liar.headers["ETag"] = "\"x\"";
    fail_next(2, "PUT", liar);
    ASSERT_TRUE(put("a", "text"));
    EXPECT_TRUE(bucket_.holds("a"));
    fail_next(2, "GET", liar);
    liar.headers["x-amz-meta-holdfast-sha256"] = std::string(64, '0');
    EXPECT_THAT(list(), testing::Property(&Result<std::vector<std::string>>::value,
                                          ElementsAre("a", "settle")));
    fail_next(2, "GET", liar);
    EXPECT_EQ(get("a"), "text");
    fail_next(100, "PUT", liar);
    auto done = put("b", "text");
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::unreachable);
    EXPECT_THAT(done.error().message, HasSubstr("the server says 200 and then InternalError"));
}

TEST_F(S3Faults, BodiesThatEndEarlyAreReadAgain) {
    bucket_.keep("a", std::string(10'000, 'x') + "y");
    auto whole = std::string(10'000, 'x') + "y";
    for (auto sent : {Sent::half, Sent::reset, Sent::silence}) {
        int left = 2;
        script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
            if (request.method != "GET" || left-- <= 0)
                return std::nullopt;
            auto answer = bucket_.answer(request);
            answer.sent = sent;
            return answer;
        });
        EXPECT_EQ(get("a") == whole, true);
        left = 2;
        auto range = store_->get_range(ObjectKey("a"), 9'000, 1'001, {});
        ASSERT_TRUE(range) << range.error().message;
        EXPECT_EQ(to_text(*range), whole.substr(9'000));
    }
}

TEST_F(S3Faults, WrongBytesAreReadAgainAndThenReported) {
    bucket_.keep("a", "the bytes");
    int left = 1;
    auto lie = [&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        if (request.method != "GET" || left-- <= 0)
            return std::nullopt;
        auto answer = bucket_.answer(request);
        answer.body[0] ^= 1;
        return answer;
    };
    script(lie);
    EXPECT_EQ(get("a"), "the bytes");
    left = 1000;
    auto got = store_->get(ObjectKey("a"), {});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::damaged);
    EXPECT_THAT(got.error().message, HasSubstr("object 'a'"));
    EXPECT_GT(left, 990);  // not for minutes
}

TEST_F(S3Faults, AnotherRangeThanTheOneAskedForIsNotTaken) {
    bucket_.keep("a", "0123456789");
    auto whole = [&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        auto asked = request;
        asked.headers.erase("range");
        return bucket_.answer(asked);
    };
    script(whole);
    auto got = store_->get_range(ObjectKey("a"), 2, 3, {});
    ASSERT_FALSE(got);
    script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        auto asked = request;
        asked.headers["range"] = "bytes=3-5";
        return bucket_.answer(asked);
    });
    got = store_->get_range(ObjectKey("a"), 2, 3, {});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::unreachable);
}

TEST_F(S3Faults, AMissingBucketIsNoMissingObject) {
    script([&](FakeRequest const&) { return fake_error(404, "NoSuchBucket"); });
    ObjectKey const key("a");
    for (auto const& error :
         {store_->get(key, {}).error(), store_->head(key, {}).error(),
          store_->get_range(key, 0, 1, {}).error(), store_->put(key, as_bytes("x"), {}).error()}) {
        EXPECT_THAT(error.message, HasSubstr("NoSuchBucket"));
        EXPECT_THAT(error.message, Not(HasSubstr("not in the store")));
    }
    // A web server that is no object store.
    script([&](FakeRequest const&) { return FakeAnswer{.status = 404, .body = "<html></html>"}; });
    EXPECT_EQ(store_->get(key, {}).error().kind, ErrorKind::unreachable);
}

TEST_F(S3Faults, PagesThatRepeatKeysShowThemOnce) {
    std::vector<std::string> tokens;
    script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        auto token = request.value("continuation-token");
        tokens.push_back(token);
        if (token.empty())
            return FakeBucket::page({"a", "b", "b", "c"}, "1", 4);
        if (token == "1")
            return FakeBucket::page({"b", "c", "d"}, "2", 3);
        if (token == "2")
            return FakeBucket::page({}, "3", 0);  // empty, and not the last
        return FakeBucket::page({"f", "e"}, "", 2);
    });
    auto keys = list();
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_THAT(*keys, ElementsAre("a", "b", "c", "d", "e", "f"));
    EXPECT_THAT(tokens, ElementsAre("", "1", "2", "3"));
}

TEST_F(S3Faults, PagesThatGoRoundInACircleAreLeft) {
    // The same page for every token; going on after the last key works.
    script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        auto after = request.value("start-after");
        if (after.empty())
            return FakeBucket::page({"a", "b"}, "1", 2);
        return FakeBucket::page(
            after == "b" ? std::vector<std::string>{"c"} : std::vector<std::string>{}, "",
            after == "b" ? 1 : 0);
    });
    auto keys = list();
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_THAT(*keys, ElementsAre("a", "b", "c"));
    // It does not: an error, in finite time.
    script([&](FakeRequest const&) { return FakeBucket::page({"a", "b"}, "1", 2); });
    EXPECT_FALSE(list());
    // Truncated without saying where to go on.
    script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        if (request.value("start-after") == "b")
            return FakeBucket::page({"c"}, "", 1);
        return FakeBucket::page({"a", "b"}, "-", 2);
    });
    keys = list();
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_THAT(*keys, ElementsAre("a", "b", "c"));
}

TEST_F(S3Faults, PagesThatLackKeysAreAskedForAgain) {
    int left = 2;
    script([&](FakeRequest const&) -> std::optional<FakeAnswer> {
        if (left-- > 0)
            return FakeBucket::page({"a", "c"}, "", 3);
        return FakeBucket::page({"a", "b", "c"}, "", 3);
    });
    auto keys = list();
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_THAT(*keys, ElementsAre("a", "b", "c"));
    left = 1000;
    EXPECT_FALSE(list());
}

TEST_F(S3Faults, AKeyThatComesTooLateIsAnErrorAndNotLost) {
    script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        if (request.value("continuation-token").empty())
            return FakeBucket::page({"b", "c"}, "1", 2);
        return FakeBucket::page({"a", "d"}, "", 2);
    });
    auto keys = list();
    ASSERT_FALSE(keys);
    EXPECT_THAT(keys.error().message, HasSubstr("order of keys"));
}

TEST_F(S3Faults, AServerThatIgnoresTheConditionIsNotOverwritten) {
    bucket_.conditional = false;
    settle();
    ASSERT_TRUE(put("a", "first"));
    auto other = put("a", "second");
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().kind, ErrorKind::exists);
    EXPECT_EQ(get("a"), "first");
    EXPECT_TRUE(put("a", "first"));
}

TEST_F(S3Faults, AServerWithoutTheConditionIsNotOverwritten) {
    script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        if (request.method == "PUT" && !request.header("if-none-match").empty())
            return fake_error(501, "NotImplemented");
        return std::nullopt;
    });
    ASSERT_TRUE(put("a", "first"));
    auto other = put("a", "second");
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().kind, ErrorKind::exists);
    EXPECT_EQ(get("a"), "first");
}

TEST_F(S3Faults, AConditionThatIsKeptToSavesTheLook) {
    settle();
    auto before = server_.requests();
    ASSERT_TRUE(put("a", "text"));
    EXPECT_EQ(server_.requests() - before, 1);
}

TEST_F(S3Faults, ExpiredCredentialsAreRenewedOnce) {
    given_ = R"({"Version":1,"AccessKeyId":"k1","SecretAccessKey":"s1","SessionToken":"t1"})";
    open();
    settle();
    EXPECT_EQ(asked_, 1);
    script([&](FakeRequest const& request) -> std::optional<FakeAnswer> {
        if (request.header("x-amz-security-token") == "t2")
            return std::nullopt;
        return request.method == "HEAD" ? FakeAnswer{.status = 400}
                                        : fake_error(400, "ExpiredToken");
    });
    given_ = R"({"Version":1,"AccessKeyId":"k2","SecretAccessKey":"s2","SessionToken":"t2"})";
    ASSERT_TRUE(put("a", "text"));
    EXPECT_EQ(asked_, 2);
    // Others that have expired, too: no circle.
    given_ = R"({"AccessKeyId":"k3","SecretAccessKey":"s3","Token":"t3"})";
    script([&](FakeRequest const&) { return fake_error(400, "ExpiredToken"); });
    auto done = put("b", "text");
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("ExpiredToken"));
    EXPECT_EQ(asked_, 3);
}

TEST_F(S3Faults, CredentialsAreRenewedBeforeTheyExpire) {
    auto until = [&](Duration time) {
        return fmt::format(R"({{"AccessKeyId":"k","SecretAccessKey":"s","Token":"t",)"
                           R"("Expiration":"{}"}})",
                           to_rfc3339(clock_.now() + time));
    };
    given_ = until(1h);
    open();
    settle();
    EXPECT_EQ(asked_, 1);
    clock_.advance(56min);
    given_ = until(1h);
    ASSERT_TRUE(put("a", "x"));
    EXPECT_EQ(asked_, 2);
    // While renewal fails, what is still valid serves.
    clock_.advance(57min);
    given_ = "nonsense";
    ASSERT_TRUE(put("b", "x"));
    clock_.advance(4min);
    EXPECT_FALSE(put("c", "x"));
}

TEST_F(S3Faults, SecretsAreNotSaidBack) {
    settle();
    script([&](FakeRequest const& request) {
        auto token = request.header("x-amz-security-token");
        auto answer = fake_error(403, "AccessDenied");
        answer.body = fmt::format(
            "<Error><Code>AccessDenied</Code><Message>your {} and {} are "
            "wrong</Message></Error>",
            token, kSecret);
        return answer;
    });
    auto done = put("a", "text");
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("AccessDenied"));
    auto text = done.error().message + done.error().hint;
    EXPECT_THAT(text, Not(HasSubstr(kSecret)));
    EXPECT_THAT(text, Not(HasSubstr(kToken)));
}

TEST_F(S3Faults, AClockThatIsWrongIsNamed) {
    settle();
    auto answer = fake_error(403, "RequestTimeTooSkewed");
    answer.headers["Date"] = "Mon, 23 Nov 2026 10:00:00 GMT";
    fail_next(1, "PUT", answer);
    auto done = put("a", "text");
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message, HasSubstr("its clock says Mon, 23 Nov 2026 10:00:00 GMT"));
    EXPECT_THAT(done.error().message, HasSubstr("ours 2026-11-22T00:"));
    EXPECT_THAT(done.error().hint, HasSubstr("clock"));
}

TEST_F(S3Faults, AFullBucketIsNoSpace) {
    settle();
    fail_next(1, "PUT", fake_error(403, "QuotaExceeded"));
    auto done = put("a", "text");
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind, ErrorKind::no_space);
}

TEST_F(S3Faults, StopEndsASilentRequestAtOnce) {
    script([&](FakeRequest const&) { return FakeAnswer{.sent = Sent::silence}; });
    std::stop_source source;
    std::jthread const stopper([&] {
        std::this_thread::sleep_for(50ms);
        source.request_stop();
    });
    auto began = system_clock().elapsed();
    auto got = store_->get(ObjectKey("a"), source.get_token());
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().kind, ErrorKind::cancelled);
    EXPECT_LT(system_clock().elapsed() - began, 5s);
}

TEST(S3Open, NobodyThereIsSaidSoon) {
    std::string url;
    {
        FakeServer const gone([](FakeRequest const&) { return FakeAnswer{}; });
        url = gone.url();
    }
    ManualClock clock(kNow);
    S3StoreOptions options{
        .client = {.address = *parse_s3_url("s3://bucket?endpoint=" + url, variable),
                   .credentials = {.environment = variable},
                   .clock = clock}};
    auto store = S3Store::open(options, {});
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().kind, ErrorKind::unreachable);
    EXPECT_LT(clock.elapsed(), 21s);
}

TEST(S3Address, ReadsUrls) {
    auto none = [](char const*) { return std::string(); };
    auto one = parse_s3_url("s3://my-bucket/a%20b/c/?region=eu-west-1", none);
    ASSERT_TRUE(one) << one.error().message;
    EXPECT_EQ(one->prefix, "a b/c/");
    EXPECT_EQ(one->scheme + "://" + one->host + one->path_of("k"),
              "https://my-bucket.s3.eu-west-1.amazonaws.com/a%20b/c/k");
    EXPECT_EQ(one->describe(), "s3://my-bucket/a b/c");
    auto two = parse_s3_url("s3://b.c.d?endpoint=https://host:443&ca=/etc/ca.pem&profile=p", none);
    ASSERT_TRUE(two) << two.error().message;
    EXPECT_EQ(two->host + two->path_of("k"), "host/b.c.d/k");
    EXPECT_EQ(two->path_of(""), "/b.c.d");
    EXPECT_EQ(two->region, "us-east-1");
    EXPECT_EQ(two->ca_file, "/etc/ca.pem");
    auto three = parse_s3_url(
        "s3://bucket/p?endpoint=http%3A%2F%2Fhost%3A9000&style=virtual", [](char const* name) {
            return std::string(name == std::string_view("AWS_REGION") ? "r1" : "");
        });
    ASSERT_TRUE(three) << three.error().message;
    EXPECT_EQ(three->host, "bucket.host:9000");
    EXPECT_EQ(three->region, "r1");
    for (auto const* url :
         {"s3://", "s3:bucket", "s3://ab", "s3://UPPER", "s3://user@bucket", "s3://bucket/../x",
          "s3://bucket//x", "s3://bucket?x=y", "s3://bucket?endpoint=host",
          "s3://bucket?endpoint=https://u:p@host", "s3://bucket?endpoint=https://host/path",
          "s3://bucket?style=other", "s3://bucket?region=a/b", "s3://bucket?ca=relative",
          "s3://bucket/%zz", "s3://bucket/%00"}) {
        auto parsed = parse_s3_url(url, none);
        ASSERT_FALSE(parsed) << url;
        EXPECT_EQ(parsed.error().kind, ErrorKind::usage);
        EXPECT_FALSE(parsed.error().hint.empty() && url != std::string_view("s3://bucket/%zz"));
    }
    auto secret = parse_s3_url("s3://bucket?secret_key=hunter2", none);
    ASSERT_FALSE(secret);
    EXPECT_THAT(secret.error().message + secret.error().hint, Not(HasSubstr("hunter2")));
}

TEST(S3Xml, ReadsWhatServersWrite) {
    auto root = parse_xml(
        "<?xml version=\"1.0\"?>\n<!-- x --><s:R a='1' b=\"<\"><K>a&amp;b&#x41;&lt;</K>"
        "<E/><C><![CDATA[<raw>]]></C></s:R>\n");
    ASSERT_TRUE(root) << root.error().message;
    EXPECT_EQ(root->name, "R");
    EXPECT_EQ(root->text_of("K"), "a&bA<");
    EXPECT_EQ(root->text_of("C"), "<raw>");
    EXPECT_NE(root->find("E"), nullptr);
    EXPECT_EQ(root->find("X"), nullptr);
}

TEST(S3Xml, RefusesEverythingElse) {
    std::string const good = "<a b='c'><d>x&amp;y</d><e/></a>";
    ASSERT_TRUE(parse_xml(good));
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(parse_xml(good.substr(0, size))) << size;
    for (auto const* text : {"<a></b>", "<a/><b/>", "<a>&b;</a>", "<a>&#0;</a>", "<a>&#xd800;</a>",
                             "<!DOCTYPE a><a/>", "x<a/>", "<a b=c/>", "<a>&#99999999;</a>"})
        EXPECT_FALSE(parse_xml(text)) << text;
    std::string deep;
    for (int i = 0; i < 100'000; ++i)
        deep += "<a>";
    EXPECT_FALSE(parse_xml(deep));
}

}  // namespace
}  // namespace holdfast
