#include "net/curl.h"

#include <arpa/inet.h>
#include <cassert>
#include <fmt/format.h>

#include "base/text.h"

namespace holdfast::curl {

Handle make_handle() {
    static CURLcode const started = curl_global_init(CURL_GLOBAL_DEFAULT);
    assert(started == CURLE_OK);
    Handle handle(curl_easy_init());
    assert(handle);
    curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle.get(), CURLOPT_PROXY, "");
    curl_easy_setopt(handle.get(), CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    curl_easy_setopt(handle.get(), CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(handle.get(), CURLOPT_SSL_VERIFYHOST, 2L);
    return handle;
}

Result<Url> parse_url(std::string const& text) {
    std::unique_ptr<CURLU, FreeUrl> url(curl_url());
    assert(url);
    auto bad = [&] {
        return fail(ErrorKind::usage, fmt::format("'{}' is not a URL", printable(text)));
    };
    if (text.find('\0') != std::string::npos)
        return bad();
    auto code = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME);
    if (code != CURLUE_OK)
        return bad();
    auto part = [&](CURLUPart which) {
        char* value = nullptr;
        curl_url_get(url.get(), which, &value, 0);
        std::unique_ptr<char, FreeText> owned(value);
        return std::string(value ? value : "");
    };
    Url result{part(CURLUPART_SCHEME), part(CURLUPART_HOST),
               !part(CURLUPART_USER).empty() || !part(CURLUPART_PASSWORD).empty(),
               part(CURLUPART_PATH)};
    if (result.host.starts_with('[') && result.host.ends_with(']')) {
        result.host = result.host.substr(1, result.host.size() - 2);
    }
    return result;
}

bool is_loopback(std::string const& host) {
    if (host == "localhost")
        return true;
    in_addr v4{};
    if (inet_pton(AF_INET, host.c_str(), &v4) == 1)
        return ntohl(v4.s_addr) >> 24 == 127;
    in6_addr v6{};
    return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace holdfast::curl
