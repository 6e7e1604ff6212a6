#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>

#include "base/text.h"
#include "store/local_store.h"
#include "store/percent.h"
#include "store/rclone_store.h"
#include "store/s3_store.h"
#include "store/store.h"

namespace holdfast {
namespace {

// "s3" of "s3://bucket" and of "s3:host:path"; empty for a path. One letter is no scheme, and a
// colon after a slash belongs to a path.
std::string_view scheme_of(std::string_view url) {
    auto colon = url.find(':');
    if (colon == std::string_view::npos || colon < 2)
        return {};
    auto scheme = url.substr(0, colon);
    for (char c : scheme) {
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+'))
            return {};
    }
    bool known = scheme == "s3" || scheme == "sftp" || scheme == "rclone" || scheme == "file";
    return known || url.substr(colon).starts_with("://") ? scheme : std::string_view();
}

Result<std::string> path_of(std::string_view url) {
    if (!url.starts_with("file:"))
        return std::string(url);
    auto rest = url.substr(5);
    if (rest.starts_with("//localhost/"))
        rest.remove_prefix(11);
    if (rest.starts_with("//"))
        rest.remove_prefix(2);
    if (!rest.starts_with('/')) {
        return fail(ErrorKind::usage,
                    fmt::format("store '{}': a file URL names an absolute path", printable(url)),
                    "write file:///path, with three slashes");
    }
    return decode_percent(rest);
}

// Absolute, without "." and "..", without a slash at the end. Symbolic links stay: "..", too, is
// taken by name.
Result<std::string> make_absolute(std::string const& path) {
    std::error_code error;
    auto absolute = std::filesystem::absolute(path, error);
    if (error) {
        return fail(
            errno_error(fmt::format("find the path of '{}'", printable(path)), error.value()));
    }
    auto text = absolute.lexically_normal().string();
    while (text.size() > 1 && text.ends_with('/'))
        text.pop_back();
    return text;
}

Result<std::unique_ptr<Store>> open_s3(std::string_view url, OpenStoreOptions options) {
    auto environment = [](char const* name) {
        auto const* value = std::getenv(name);
        return std::string(value ? value : "");
    };
    S3StoreOptions s3;
    s3.create = options.create;
    s3.lock = options.lock;
    s3.for_good = std::move(options.for_good);
    auto& client = s3.client;
    client.address = TRY(parse_s3_url(url, environment));
    client.http.ca_file = client.address.ca_file;
    client.credentials.profile = client.address.profile;
    client.credentials.given = std::move(options.credentials);
    auto store = TRY(S3Store::open(std::move(s3), options.stop));
    return std::unique_ptr<Store>(std::move(store));
}

}  // namespace

Result<std::unique_ptr<Store>> open_store(std::string_view url, OpenStoreOptions options) {
    if (url.empty() || url.find('\0') != std::string_view::npos) {
        return fail(ErrorKind::usage, "the store has no name", "give a path or file:///path");
    }
    auto scheme = scheme_of(url);
    if (scheme == "s3")
        return open_s3(url, std::move(options));
    if (options.lock) {
        return fail(ErrorKind::usage, fmt::format("store '{}' cannot lock objects", printable(url)),
                    "only s3: buckets with Object Lock can: take `lock` out of the plan");
    }
    if (scheme == "rclone") {
        RcloneStoreOptions rclone;
        rclone.address = TRY(parse_rclone_url(url));
        rclone.create = options.create;
        auto store = TRY(RcloneStore::open(std::move(rclone), options.stop));
        return std::unique_ptr<Store>(std::move(store));
    }
    if (scheme == "sftp") {
        return fail(ErrorKind::usage, "there is no store kind 'sftp:'",
                    "rclone speaks it: rclone:REMOTE:PATH, with a remote that `rclone config` makes");
    }
    if (!scheme.empty() && scheme != "file") {
        return fail(ErrorKind::usage, fmt::format("there is no store kind '{}:'", scheme),
                    "give a path, file:///path, s3://bucket/prefix or rclone:REMOTE:PATH");
    }
    auto path = TRY(path_of(url));
    path = TRY(make_absolute(path));
    auto store = TRY(LocalStore::open(path, {.create = options.create}));
    return std::unique_ptr<Store>(std::move(store));
}

}  // namespace holdfast
