#pragma once

#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <stop_token>

#include "net/aws_credentials.h"
#include "net/http.h"
#include "os/clock.h"
#include "os/random.h"
#include "store/s3_address.h"

namespace holdfast {

// How often and how long a request is tried.
struct S3Patience {
    // From the first attempt to the last; a request that runs is not cut off by it.
    Duration give_up_after = std::chrono::minutes(5);
    // The wait before attempt n + 1 is drawn from 0 to min(longest, first * 2^n) ("full jitter"),
    // and is at least what the server asks for (Retry-After).
    Duration wait_first = std::chrono::milliseconds(100);
    Duration wait_longest = std::chrono::seconds(20);
};

struct S3Request {
    std::string method;
    std::string key = {};  // below the prefix; empty: the bucket
    std::vector<std::pair<std::string, std::string>> query = {};
    std::vector<std::pair<std::string, std::string>> headers = {};
    std::span<ByteView const> body = {};
    std::string body_sha256 = {};  // hexadecimal; computed when empty
    std::uint64_t answer_bytes_max = 16 << 20;
    // What is wrong with an answer that claims success; it is asked for again, a few times.
    std::function<std::optional<Error>(HttpAnswer const&)> fault = {};
};

// Why a request failed for good. `status` and `code` are the server's ("NoSuchKey"); 0 and empty
// when it did not answer.
struct S3Failure {
    Error error;
    int status = 0;
    std::string code = {};
};
using S3Answer = std::expected<HttpAnswer, S3Failure>;

struct S3ClientOptions {
    S3Address address;
    AwsCredentialOptions credentials = {};
    HttpClientOptions http = {};
    S3Patience patience = {};
    Clock& clock = system_clock();
    Random& random = system_random();
};

// One request to an S3 server at a time from each caller: signed, repeated while that makes sense,
// its failure explained. Thread-safe.
//
// Repeated: no connection, resets, time-outs, 5xx, 429 and SlowDown, answers that are not whole,
// and, once, credentials that have expired.
class S3Client {
  public:
    explicit S3Client(S3ClientOptions options);

    // An answer has a status of 2xx.
    S3Answer send(S3Request const& request, std::stop_token stop);
    S3Answer send(S3Request const& request, std::stop_token stop, S3Patience const& patience);

    S3Address const& address() const { return options_.address; }
    S3Patience const& patience() const { return options_.patience; }
    Clock& clock() { return options_.clock; }
    std::uint64_t connections_opened() const { return http_.connections_opened(); }

  private:
    struct Verdict {
        S3Failure failure;
        bool again = false;
        bool expired = false;
        Duration wait_at_least{0};
    };
    std::expected<HttpAnswer, HttpFailure> attempt(S3Request const& request,
                                                   AwsCredentials const& credentials,
                                                   std::stop_token const& stop);
    Verdict judge(S3Request const& request, HttpAnswer const& answer,
                  AwsCredentials const& credentials);
    Duration draw_wait(S3Patience const& patience, int attempt);

    S3ClientOptions options_;
    HttpClient http_;
    AwsCredentialSource credentials_;
};

}  // namespace holdfast
