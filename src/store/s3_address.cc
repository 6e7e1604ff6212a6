#include "store/s3_address.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/text.h"
#include "net/http.h"
#include "store/percent.h"

namespace holdfast {
namespace {

constexpr char kHint[] =
    "write s3://bucket/prefix?region=NAME, and endpoint=https://host:port for a server that is not "
    "AWS";
constexpr std::size_t kPrefixBytesMax = 400;  // a key has 512, S3's end at 1,024

std::unexpected<Error> bad(std::string message) {
    return fail(ErrorKind::usage, std::move(message), kHint);
}

bool is_lower_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

// "Bucket naming rules", Amazon S3 User Guide: what every server takes.
bool is_bucket(std::string_view name) {
    return name.size() >= 3 && name.size() <= 63 && is_lower_or_digit(name.front()) &&
           is_lower_or_digit(name.back()) && !name.contains("..") &&
           std::ranges::all_of(name,
                               [](char c) { return is_lower_or_digit(c) || c == '-' || c == '.'; });
}

bool is_word(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.';
    });
}

Result<void> take_endpoint(S3Address& address, std::string_view url) {
    auto end = url.find("://");
    auto scheme = url.substr(0, end);
    if (end == std::string_view::npos || (scheme != "http" && scheme != "https"))
        return bad("the endpoint of an object store begins with https:// or http://");
    auto host = url.substr(end + 3);
    if (host.ends_with('/'))
        host.remove_suffix(1);
    bool fits = !host.empty() && std::ranges::all_of(host, [](char c) {
        return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
               c == ':' || c == '[' || c == ']';
    });
    if (!fits)
        return bad("the endpoint of an object store is a host and a port, without a path or user");
    auto own_port = scheme == "https" ? ":443" : ":80";
    if (host.ends_with(own_port))
        host.remove_suffix(std::string_view(own_port).size());
    address.scheme = scheme;
    address.host = host;
    return {};
}

}  // namespace

std::string S3Address::describe() const {
    auto text = "s3://" + bucket + "/" + prefix;
    text.pop_back();
    return printable(text);
}

std::string S3Address::path_of(std::string_view key) const {
    auto path = path_style ? "/" + bucket : std::string();
    if (!key.empty())
        path += "/" + percent_encode_path(prefix + std::string(key));
    return path.empty() ? "/" : path;
}

Result<S3Address> parse_s3_url(std::string_view url,
                               std::function<std::string(char const*)> const& environment) {
    if (!url.starts_with("s3://"))
        return bad("the URL of an object store begins with s3://");
    auto rest = url.substr(5);
    auto question = rest.find('?');
    auto place = rest.substr(0, question);
    auto slash = place.find('/');

    S3Address address;
    address.bucket = place.substr(0, slash);
    if (!is_bucket(address.bucket)) {
        return bad(fmt::format("'{}' cannot be the name of a bucket",
                               printable(std::string_view(address.bucket).substr(0, 100))));
    }
    if (slash != std::string_view::npos)
        address.prefix = TRY(decode_percent(place.substr(slash + 1)));
    while (address.prefix.ends_with('/'))
        address.prefix.pop_back();
    bool odd =
        address.prefix.starts_with('/') || address.prefix.contains("//") ||
        address.prefix.size() > kPrefixBytesMax || !is_utf8(address.prefix) ||
        std::ranges::any_of(address.prefix, [](unsigned char c) { return c < ' ' || c == 0x7f; });
    for (auto const& segment : split(address.prefix, '/'))
        odd = odd || segment == "." || segment == "..";
    if (odd)
        return bad("the prefix in an object store is a plain path of at most 400 bytes");
    if (!address.prefix.empty())
        address.prefix += '/';

    std::string endpoint, style;
    if (question != std::string_view::npos) {
        for (auto const& item : split(rest.substr(question + 1), '&')) {
            auto equals = item.find('=');
            auto name = item.substr(0, equals);
            auto value = equals == std::string::npos ? "" : item.substr(equals + 1);
            auto* target = name == "region"     ? &address.region
                           : name == "endpoint" ? &endpoint
                           : name == "style"    ? &style
                           : name == "ca"       ? &address.ca_file
                           : name == "profile"  ? &address.profile
                                                : nullptr;
            if (target == nullptr) {
                // Not its value: it may be a secret that somebody put there.
                return bad(fmt::format("there is no option '{}' of an object store",
                                       printable(std::string_view(name).substr(0, 100))));
            }
            *target = TRY(decode_percent(value));
        }
    }
    for (auto const* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
        if (address.region.empty())
            address.region = environment(name);
    }
    if (address.region.empty())
        address.region = "us-east-1";
    if (!is_word(address.region))
        return bad("the region of an object store is a name such as eu-central-1");
    if (address.ca_file.empty())
        address.ca_file = environment("AWS_CA_BUNDLE");
    if (!address.ca_file.empty() && !address.ca_file.starts_with('/'))
        return bad("ca names an absolute path");

    address.aws = endpoint.empty();
    if (address.aws) {
        auto china = address.region.starts_with("cn-") ? ".cn" : "";
        endpoint = fmt::format("https://s3.{}.amazonaws.com{}", address.region, china);
    }
    TRY(take_endpoint(address, endpoint));
    if (!style.empty() && style != "path" && style != "virtual")
        return bad("style is path or virtual");
    // A certificate for *.s3… does not fit a bucket with dots.
    bool dotted = address.bucket.contains('.');
    address.path_style = style == "path" || (style.empty() && (!address.aws || dotted));
    if (!address.path_style)
        address.host = address.bucket + "." + address.host;
    return address;
}

}  // namespace holdfast
