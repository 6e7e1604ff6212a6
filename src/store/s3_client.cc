#include "store/s3_client.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "crypto/crypto.h"
#include "store/s3_xml.h"

namespace holdfast {
namespace {

constexpr int kUnsoundAnswersMax = 4;
constexpr std::size_t kMessageBytesMax = 300;

// "Error responses", Amazon S3 API Reference.
constexpr std::array kTransientCodes = {
    "InternalError",
    "ServiceUnavailable",
    "SlowDown",
    "SlowDownRead",
    "SlowDownWrite",
    "RequestTimeout",
    "OperationAborted",
    "ConditionalRequestConflict",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    // Our bytes were changed on their way.
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "IncompleteBody",
};
constexpr std::array kExpiredCodes = {"ExpiredToken", "ExpiredTokenException",
                                      "TokenRefreshRequired", "RequestExpired"};

bool is_one_of(auto const& codes, std::string_view code) {
    return std::ranges::find(codes, code) != codes.end();
}

struct Said {
    std::string code;
    std::string message;
};

Said said_in(HttpAnswer const& answer) {
    auto parsed = parse_xml(as_text(answer.body));
    if (!parsed || parsed->name != "Error")
        return {};
    return {std::string(parsed->text_of("Code")), std::string(parsed->text_of("Message"))};
}

// A server may say our secrets back; messages go to logs and screens.
void redact(std::string& text, std::string_view secret) {
    if (secret.size() < 4)
        return;
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret))
        text.replace(at, secret.size(), "***");
}

// Seconds, or a date.
Duration retry_after(HttpAnswer const& answer, Time now) {
    auto text = answer.header("retry-after");
    std::uint32_t seconds = 0;
    auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    if (!text.empty() && error == std::errc() && at == text.data() + text.size())
        return std::chrono::seconds(seconds);
    auto date = parse_http_date(text);
    return date && *date > now ? *date - now : Duration(0);
}

std::string what_of(S3Request const& request, S3Address const& address) {
    return fmt::format("{} {}{}{}", request.method, address.describe(),
                       request.key.empty() ? "" : "/", request.key);
}

struct Advice {
    char const* code;
    ErrorKind kind;
    char const* hint;
};
constexpr std::array kAdvice = {
    Advice{"NoSuchBucket", ErrorKind::not_found, "check the name of the bucket, or make it"},
    Advice{"AccessDenied", ErrorKind::unreachable,
           "these credentials lack the permission; see docs/stores.md for those that are needed"},
    Advice{"InvalidAccessKeyId", ErrorKind::unreachable,
           "the server does not know this access key: check the credentials"},
    Advice{"SignatureDoesNotMatch", ErrorKind::unreachable,
           "check the secret key, and the region and endpoint of the URL"},
    Advice{"InvalidToken", ErrorKind::unreachable, "check the session token"},
    Advice{"RequestTimeTooSkewed", ErrorKind::unreachable, "set this machine's clock (NTP)"},
    Advice{"PermanentRedirect", ErrorKind::unreachable,
           "the bucket lies in another region: write it into the URL (region=)"},
    Advice{"AuthorizationHeaderMalformed", ErrorKind::unreachable,
           "the bucket lies in another region: write it into the URL (region=)"},
    Advice{"QuotaExceeded", ErrorKind::no_space, "make room in the bucket, or raise its quota"},
    Advice{"InvalidObjectState", ErrorKind::unreachable,
           "the object lies in an archive tier: bring it back first"},
};

}  // namespace

S3Client::S3Client(S3ClientOptions options)
    : options_(std::move(options)), http_(options_.http), credentials_(options_.credentials) {}

Duration S3Client::draw_wait(S3Patience const& patience, int attempt) {
    auto longest = patience.wait_first * (std::int64_t{1} << std::min(attempt, 20));
    longest = std::min(longest, patience.wait_longest);
    std::uint32_t drawn = 0;
    Bytes bytes(sizeof drawn);
    options_.random.fill(bytes);
    std::memcpy(&drawn, bytes.data(), sizeof drawn);
    auto share = static_cast<double>(drawn) / 4294967296.0;
    return std::chrono::duration_cast<Duration>(longest * share);
}

std::expected<HttpAnswer, HttpFailure> S3Client::attempt(S3Request const& request,
                                                         AwsCredentials const& credentials,
                                                         std::stop_token const& stop) {
    auto const& address = options_.address;
    AwsRequest to_sign{.method = request.method,
                       .host = address.host,
                       .path = address.path_of(request.key),
                       .query = request.query,
                       .headers = request.headers,
                       .payload_sha256 = request.body_sha256};
    auto added = sign_aws_request(to_sign, credentials, address.region, "s3", options_.clock.now());
    auto query = canonical_query(request.query);
    HttpRequest http{.method = request.method,
                     .url = fmt::format("{}://{}{}{}{}", address.scheme, address.host, to_sign.path,
                                        query.empty() ? "" : "?", query),
                     .headers = request.headers,
                     .body = request.body,
                     .answer_bytes_max = request.answer_bytes_max};
    http.headers.insert(http.headers.end(), added.begin(), added.end());
    return http_.send(http, stop);
}

// What to do about an answer that is no success.
S3Client::Verdict S3Client::judge(S3Request const& request, HttpAnswer const& answer,
                                  AwsCredentials const& credentials) {
    auto said = said_in(answer);
    Verdict verdict;
    auto status = verdict.failure.status = answer.status;
    verdict.failure.code = said.code;
    auto const& code = verdict.failure.code;
    verdict.expired = is_one_of(kExpiredCodes, code);
    // The answer to HEAD has no body that would tell; temporary credentials do expire.
    if (request.method == "HEAD" && (status == 400 || status == 403))
        verdict.expired = !credentials.session_token.empty();
    // 501 says that it will never work.
    verdict.again = (status >= 500 && status != 501 && status != 507) || status == 429 ||
                    status == 408 || status == 409 || is_one_of(kTransientCodes, code);
    // Of 409, these stay as they are.
    for (auto const* lasting :
         {"BucketAlreadyExists", "BucketAlreadyOwnedByYou", "InvalidBucketState", "BucketNotEmpty"})
        verdict.again = verdict.again && code != lasting;
    verdict.wait_at_least = retry_after(answer, options_.clock.now());

    auto& error = verdict.failure.error;
    error.kind = status == 507 ? ErrorKind::no_space : ErrorKind::unreachable;
    error.message = fmt::format("the server says {}{}{}", status, code.empty() ? "" : " ", code);
    if (!said.message.empty())
        error.message += ": " + said.message.substr(0, kMessageBytesMax);
    if (code == "RequestTimeTooSkewed" && !answer.header("date").empty()) {
        error.message +=
            fmt::format("; its clock says {}, ours {}", answer.header("date"),
                        to_rfc3339(std::chrono::floor<std::chrono::seconds>(options_.clock.now())));
    }
    if (auto region = answer.header("x-amz-bucket-region");
        !region.empty() && region != options_.address.region && status >= 300)
        error.message += fmt::format("; the bucket lies in region {}", region);
    redact(error.message, as_text(credentials.secret_key.view()));
    redact(error.message, credentials.session_token);
    error.message = printable(error.message);
    if (status == 301 || status == 307)
        error.hint = "the bucket lies in another region: write it into the URL (region=)";
    if (status == 403 && code.empty())
        error.hint = "check the credentials and what they may do";
    for (auto const& advice : kAdvice) {
        if (code == advice.code) {
            error.kind = advice.kind;
            error.hint = advice.hint;
        }
    }
    return verdict;
}

S3Answer S3Client::send(S3Request const& request, std::stop_token stop) {
    return send(request, std::move(stop), options_.patience);
}

S3Answer S3Client::send(S3Request const& request, std::stop_token stop,
                        S3Patience const& patience) {
    auto hashed = request;
    if (hashed.body_sha256.empty()) {
        Sha256 hash;
        for (auto part : request.body)
            hash.update(part);
        hashed.body_sha256 = to_hex(hash.finish());
    }
    auto what = what_of(request, options_.address);
    auto& clock = options_.clock;
    auto began = clock.elapsed();
    bool renewed = false;
    int unsound = 0;
    for (int attempts = 1;; ++attempts) {
        auto credentials = credentials_.get(stop);
        if (!credentials)
            return std::unexpected(S3Failure{std::move(credentials.error()).within(what)});
        auto answer = attempt(hashed, **credentials, stop);
        Verdict verdict;
        if (!answer) {
            verdict.failure.error = std::move(answer.error().error);
            verdict.again = answer.error().transient;
        } else if (answer->status < 200 || answer->status > 299) {
            verdict = judge(request, *answer, **credentials);
        } else {
            auto fault = request.fault ? request.fault(*answer) : std::nullopt;
            if (!fault)
                return std::move(*answer);
            verdict.failure.error = std::move(*fault);
            verdict.failure.status = answer->status;
            verdict.again = ++unsound < kUnsoundAnswersMax;
        }
        auto& error = verdict.failure.error;
        if (error.kind == ErrorKind::cancelled) {
            error = std::move(error).within(what);
            return std::unexpected(std::move(verdict.failure));
        }
        if (verdict.expired && !renewed) {
            renewed = true;
            credentials_.expired(**credentials);
            continue;
        }
        auto wait = std::max(draw_wait(patience, attempts - 1), verdict.wait_at_least);
        auto spent = clock.elapsed() - began;
        bool again = verdict.again && spent + wait < patience.give_up_after;
        if (!again) {
            if (attempts > 1 && verdict.again) {
                error.message = fmt::format("given up after {} attempts in {}: {}", attempts,
                                            format_duration(spent), error.message);
            }
            error = std::move(error).within(what);
            return std::unexpected(std::move(verdict.failure));
        }
        if (!clock.sleep(wait, stop)) {
            return std::unexpected(
                S3Failure{Error{ErrorKind::cancelled, "stopped", {}}.within(what)});
        }
    }
}

}  // namespace holdfast
