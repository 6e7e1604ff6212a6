#include "net/sigv4.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "crypto/crypto.h"
#include "net/http.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

// The examples that AWS publishes, with the credentials it publishes for them: "Examples: Signature
// Calculations" in https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
constexpr char kHost[] = "examplebucket.s3.amazonaws.com";
Time const kNow = std::chrono::sys_days(std::chrono::year(2013) / 5 / 24);

AwsCredentials example() {
    AwsCredentials credentials;
    credentials.access_key = "AKIAIOSFODNN7EXAMPLE";
    credentials.secret_key = Secret(as_bytes("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
    return credentials;
}
std::string sha(std::string_view text) {
    return to_hex(sha256(as_bytes(text)));
}
std::string value_of(std::vector<std::pair<std::string, std::string>> const& headers,
                     std::string_view name) {
    for (auto const& [key, value] : headers) {
        if (key == name)
            return value;
    }
    return {};
}
std::string authorization(AwsRequest const& request) {
    auto credentials = example();
    return value_of(sign_aws_request(request, credentials, "us-east-1", "s3", kNow),
                    "Authorization");
}

TEST(SigV4, SignsTheExampleOfGetObject) {
    auto text = authorization({.method = "GET",
                               .host = kHost,
                               .path = "/test.txt",
                               .headers = {{"Range", "bytes=0-9"}},
                               .payload_sha256 = sha("")});
    EXPECT_EQ(text,
              "AWS4-HMAC-SHA256 "
              "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"
              "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,"
              "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(SigV4, SignsTheExampleOfPutObject) {
    auto text = authorization({.method = "PUT",
                               .host = kHost,
                               .path = percent_encode_path("/test$file.text"),
                               .headers = {{"Date", "Fri, 24 May 2013 00:00:00 GMT"},
                                           {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                               .payload_sha256 = sha("Welcome to Amazon S3.")});
    EXPECT_THAT(
        text,
        HasSubstr("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
}

TEST(SigV4, SignsTheExampleOfAQueryWithoutAValue) {
    auto text = authorization({.method = "GET",
                               .host = kHost,
                               .path = "/",
                               .query = {{"lifecycle", ""}},
                               .payload_sha256 = sha("")});
    EXPECT_THAT(
        text,
        HasSubstr("Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"));
}

TEST(SigV4, SignsTheExampleOfListObjects) {
    auto text = authorization({.method = "GET",
                               .host = kHost,
                               .path = "/",
                               .query = {{"prefix", "J"}, {"max-keys", "2"}},
                               .payload_sha256 = sha("")});
    EXPECT_THAT(
        text,
        HasSubstr("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"));
}

TEST(SigV4, SignsTheSessionToken) {
    auto credentials = example();
    credentials.session_token = "a token/+=";
    auto headers =
        sign_aws_request({.method = "GET", .host = kHost, .path = "/", .payload_sha256 = sha("")},
                         credentials, "us-east-1", "s3", kNow);
    EXPECT_EQ(value_of(headers, "x-amz-security-token"), "a token/+=");
    EXPECT_THAT(value_of(headers, "Authorization"), HasSubstr(";x-amz-security-token,"));
    for (auto const& [name, value] : headers)
        EXPECT_THAT(value, Not(HasSubstr("wJalr")));
}

TEST(SigV4, EncodesAQuery) {
    EXPECT_EQ(canonical_query({{"b", "x/y z"}, {"a", ""}, {"b", "\xc3\xa4=~"}}),
              "a=&b=%C3%A4%3D~&b=x%2Fy%20z");
    EXPECT_EQ(percent_encode_path("/a b/+c"), "/a%20b/%2Bc");
}

}  // namespace
}  // namespace holdfast
