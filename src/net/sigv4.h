#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/time.h"
#include "crypto/secret.h"

namespace holdfast {

// What proves to an AWS-like service who asks. Shared, never copied: the secret is wiped once.
struct AwsCredentials {
    std::string access_key;
    Secret secret_key;
    std::string session_token = {};    // secret, too; empty for long-lived keys
    std::optional<Time> expires = {};  // nullopt: they do not
    std::string source = {};           // for messages: "the environment"

    AwsCredentials() = default;
    AwsCredentials(AwsCredentials&&) = default;
    AwsCredentials& operator=(AwsCredentials&&) = default;
    ~AwsCredentials() { wipe(session_token); }
};

// A request as it is signed. Names and values are not encoded yet.
struct AwsRequest {
    std::string method;
    std::string host;  // as in the Host header: with the port when it is not the scheme's own
    std::string path;  // encoded once (percent_encode_path)
    std::vector<std::pair<std::string, std::string>> query = {};
    std::vector<std::pair<std::string, std::string>> headers = {};  // names in any case
    std::string payload_sha256;                                     // hexadecimal
};

// AWS Signature Version 4 for S3 ("Authenticating Requests: Using the Authorization Header",
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html): the path is
// encoded once and never normalised, and all headers of the request are signed. Returns the
// headers to add: x-amz-date, x-amz-content-sha256, x-amz-security-token, Authorization.
std::vector<std::pair<std::string, std::string>> sign_aws_request(AwsRequest const& request,
                                                                  AwsCredentials const& credentials,
                                                                  std::string_view region,
                                                                  std::string_view service,
                                                                  Time now);

// The query as it is signed and sent: sorted, encoded, "name=" also without a value.
std::string canonical_query(std::vector<std::pair<std::string, std::string>> query);

}  // namespace holdfast
