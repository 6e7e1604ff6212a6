#include "net/sigv4.h"

#include <algorithm>
#include <cassert>
#include <fmt/format.h>
#include <map>

#include "crypto/crypto.h"
#include "net/http.h"

namespace holdfast {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// "20130524T000000Z".
std::string basic_time(Time now) {
    auto text = to_rfc3339(std::chrono::floor<std::chrono::seconds>(now));
    std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
    return text;
}

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return text;
}

// Without spaces at the ends, runs of them as one.
std::string squeezed(std::string_view value) {
    std::string result;
    for (char c : value) {
        if (c == ' ' && (result.empty() || result.back() == ' '))
            continue;
        result += c;
    }
    if (!result.empty() && result.back() == ' ')
        result.pop_back();
    return result;
}

Hash32 hmac(ByteView key, std::string_view text) {
    return HmacKey(key).of(as_bytes(text));
}

}  // namespace

std::string canonical_query(Pairs query) {
    for (auto& [name, value] : query) {
        name = percent_encode(name);
        value = percent_encode(value);
    }
    std::ranges::sort(query);
    std::string text;
    for (auto const& [name, value] : query) {
        if (!text.empty())
            text += '&';
        text += name + "=" + value;
    }
    return text;
}

Pairs sign_aws_request(AwsRequest const& request, AwsCredentials const& credentials,
                       std::string_view region, std::string_view service, Time now) {
    auto time = basic_time(now);
    auto day = time.substr(0, 8);
    Pairs added = {{"x-amz-date", time}, {"x-amz-content-sha256", request.payload_sha256}};
    if (!credentials.session_token.empty())
        added.emplace_back("x-amz-security-token", credentials.session_token);

    std::map<std::string, std::string> headers;
    headers["host"] = request.host;
    for (auto const* list : std::initializer_list<Pairs const*>{&request.headers, &added}) {
        for (auto const& [name, value] : *list) {
            auto fresh = headers.emplace(lower(name), squeezed(value)).second;
            assert(fresh);
        }
    }
    std::string lines, names;
    for (auto const& [name, value] : headers) {
        lines += name + ":" + value + "\n";
        names += (names.empty() ? "" : ";") + name;
    }
    auto canonical =
        fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path,
                    canonical_query(request.query), lines, names, request.payload_sha256);
    auto scope = fmt::format("{}/{}/{}/aws4_request", day, region, service);
    auto to_sign = fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", time, scope,
                               to_hex(sha256(as_bytes(canonical))));
    for (auto& [name, value] : headers)
        wipe(value);
    wipe(lines);
    wipe(canonical);

    auto secret = credentials.secret_key.view();
    auto start = Secret::of_size(4 + secret.size());
    std::ranges::copy(as_bytes("AWS4"), start.writable().begin());
    std::ranges::copy(secret, start.writable().begin() + 4);
    auto key = hmac(start.view(), day);
    for (auto step : {region, service, std::string_view("aws4_request")})
        key = hmac(key, step);
    auto signature = hmac(key, to_sign);
    wipe(key);
    added.emplace_back(
        "Authorization",
        fmt::format("AWS4-HMAC-SHA256 Credential={}/{},SignedHeaders={},Signature={}",
                    credentials.access_key, scope, names, to_hex(signature)));
    return added;
}

}  // namespace holdfast
