#pragma once

// What everything over libcurl shares. Only for src/net.

#include <curl/curl.h>
#include <memory>
#include <string>

#include "base/result.h"

namespace holdfast::curl {

struct FreeHandle {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct FreeUrl {
    void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct FreeText {
    void operator()(char* text) const { curl_free(text); }
};
using Handle = std::unique_ptr<CURL, FreeHandle>;
using List = std::unique_ptr<curl_slist, FreeList>;

// A handle with what holds for every transfer: no signals, no proxy of the environment, TLS 1.2 or
// later, certificates and host names verified. Initialises the library on first use; thread-safe.
Handle make_handle();

struct Url {
    std::string scheme;
    std::string host;  // without the brackets of an IPv6 address
    bool has_user;
    std::string path;  // at least "/"
};
// `usage` when the text is no URL.
Result<Url> parse_url(std::string const& text);

// localhost, 127.0.0.0/8, ::1: connections that never leave this machine.
bool is_loopback(std::string const& host);

}  // namespace holdfast::curl
