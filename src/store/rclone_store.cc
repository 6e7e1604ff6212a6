#include "store/rclone_store.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/units.h"
#include "store/errors.h"
#include "store/s3_parts.h"

namespace holdfast {

using nlohmann::json;
using store_errors::check;

namespace {

constexpr std::uint64_t kReadBytesMax = std::uint64_t{4} << 30;
constexpr Duration kStartTimeout = std::chrono::seconds(30);
constexpr Duration kOpenWithin = std::chrono::seconds(20);
constexpr std::uint64_t kArrivedStepBytes = 8 << 20;
// What a user may have set for a server of their own must not open or move this one.
std::vector<std::string> const kForeignVariables = {"RCLONE_RC_HTPASSWD", "RCLONE_RC_BASEURL", "RCLONE_RC_CERT",
                                                    "RCLONE_RC_KEY",      "RCLONE_RC_NO_AUTH", "RCLONE_RC_FILES",
                                                    "RCLONE_RC_ADDR"};

std::string random_hex(Random& random) {
    std::array<std::uint8_t, 16> bytes;
    random.fill(bytes);
    return to_hex(bytes);
}

// "http://127.0.0.1:35405" of what rclone says when it serves.
std::string base_in(std::string_view said) {
    auto at = said.find("http://127.0.0.1:");
    if (at == said.npos) return {};
    auto end = said.find('/', at + 7);
    return end == said.npos ? std::string() : std::string(said.substr(at, end - at));
}

std::string last_line(std::string text) {
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return printable(text.substr(text.rfind('\n') + 1).substr(0, 300));
}

// The error that rclone answered with, and whether the same may work later.
struct Refusal {
    Error error;
    bool again = false;
};
Refusal refusal_of(HttpAnswer const& answer) {
    auto parsed = json::parse(answer.body.begin(), answer.body.end(), nullptr, false);
    auto said = parsed.is_object() && parsed.contains("error") && parsed["error"].is_string()
                    ? parsed["error"].get<std::string>()
                    : fmt::format("status {}", answer.status);
    auto says = [&](std::string_view text) { return said.find(text) != said.npos; };
    Error error{ErrorKind::unreachable, "rclone says: " + printable(said.substr(0, 500)), {}};
    if (answer.status == 404 || says("not found") || says("is a directory") || says("not a directory")) {
        error.kind = ErrorKind::not_found;
        return {error};
    }
    if (says("no space left") || says("quota")) {
        error.kind = ErrorKind::no_space;
        return {error};
    }
    if (says("didn't find section in config file") || says("didn't find backend")) {
        error.kind = ErrorKind::usage;
        error.hint = "`rclone config` makes the remote, `rclone listremotes` shows those that there are";
        return {error};
    }
    return {error, answer.status >= 500};
}

}  // namespace

Result<RcloneAddress> parse_rclone_url(std::string_view url) {
    constexpr std::string_view kScheme = "rclone:";
    auto wrong = [&](std::string_view why) {
        return fail(ErrorKind::usage, fmt::format("store '{}': {}", printable(url), why),
                    "write rclone:REMOTE:PATH, with a remote that `rclone listremotes` shows");
    };
    if (!url.starts_with(kScheme)) return wrong("it is no rclone URL");
    auto place = url.substr(kScheme.size());
    if (place.find(':') == place.npos && !place.starts_with('/')) return wrong("it names no remote");
    // Brackets delimit it in rclone's own addresses.
    if (place.find_first_of(std::string_view("[]\0\n", 4)) != place.npos) return wrong("it holds a character that can't be");
    // ":sftp,host=h,pass=x:/path": everybody who can list processes or read the plan would see it.
    auto options = place.starts_with('/') ? std::string_view() : place.substr(0, place.rfind(':'));
    for (auto const& option : split(options, ',')) {
        auto name = option.substr(0, option.find('='));
        for (std::string_view secret : {"pass", "password", "secret", "token", "key", "secret_access_key", "key_pem"}) {
            if (option.size() > name.size() && (name == secret || name.ends_with("_" + std::string(secret)))) {
                return fail(ErrorKind::usage, fmt::format("an rclone URL holds a secret: '{}'", printable(name)),
                            "put it into rclone's configuration (`rclone config`), and name the remote");
            }
        }
    }
    return RcloneAddress{std::string(place)};
}

struct RcloneStore::Server {
    std::unique_ptr<ChildProcess> child;
    std::unique_ptr<HttpClient> http;
    std::string base;
    std::string authorization;
};

struct RcloneStore::Entry {
    std::string name;
    std::uint64_t size = 0;
    Time modified;
    bool directory = false;
};

// Of several puts of one key in this program, one at a time: each looks first.
class RcloneStore::Turn {
  public:
    static Result<std::unique_ptr<Turn>> take(RcloneStore& store, std::string const& key, std::stop_token const& stop) {
        std::unique_lock lock(store.mutex_);
        if (!store.free_.wait(lock, stop, [&] { return !store.taken_.contains(key); }))
            return fail(ErrorKind::cancelled, "stopped");
        store.taken_.insert(key);
        return std::unique_ptr<Turn>(new Turn(store, key));
    }
    ~Turn() {
        {
            std::lock_guard const lock(store_.mutex_);
            store_.taken_.erase(key_);
        }
        store_.free_.notify_all();
    }
    Turn(Turn const&) = delete;
    Turn& operator=(Turn const&) = delete;

  private:
    Turn(RcloneStore& store, std::string key) : store_(store), key_(std::move(key)) {}
    RcloneStore& store_;
    std::string key_;
};

RcloneStore::RcloneStore(RcloneStoreOptions options) : options_(std::move(options)) {}
RcloneStore::~RcloneStore() = default;

pid_t RcloneStore::pid() const {
    std::lock_guard const lock(mutex_);
    return server_ ? server_->child->pid() : 0;
}

Result<std::shared_ptr<RcloneStore::Server>> RcloneStore::start(std::stop_token const& stop) {
    auto password = random_hex(options_.random);
    Command command{.argv = {options_.program, "rcd", "--rc-serve", "--rc-addr", "127.0.0.1:0", "--log-level", "NOTICE"},
                    .environment = {{"RCLONE_RC_USER", "holdfast"}, {"RCLONE_RC_PASS", password}},
                    .environment_removed = kForeignVariables};
    auto started = ChildProcess::start(std::move(command));
    if (!started && started.error().kind == ErrorKind::not_found) {
        return fail(ErrorKind::not_found, fmt::format("there is no program '{}' here", options_.program),
                    "install rclone: apt-get install rclone");
    }
    auto server = std::make_shared<Server>();
    server->child = TRY(std::move(started));
    auto begun = system_clock().elapsed();
    while (server->base.empty()) {
        if (server->child->wait(std::chrono::milliseconds(20), stop)) {
            return fail(ErrorKind::unreachable, "rclone ended: " + last_line(server->child->output_tail()));
        }
        TRY(check(stop));
        server->base = base_in(server->child->output_tail());
        if (system_clock().elapsed() - begun > kStartTimeout)
            return fail(ErrorKind::unreachable, "rclone does not begin to serve");
    }
    server->http = std::make_unique<HttpClient>(HttpClientOptions{.stall_timeout = options_.stall_timeout});
    server->authorization = "Basic " + s3::base64(as_bytes("holdfast:" + password));
    return server;
}

Result<std::shared_ptr<RcloneStore::Server>> RcloneStore::server(std::stop_token const& stop) {
    std::lock_guard const lock(mutex_);
    if (server_ && !server_->child->wait(Duration(0))) return server_;
    server_ = nullptr;
    server_ = TRY(start(stop));
    return server_;
}

Result<HttpAnswer> RcloneStore::ask(HttpRequest request, std::string_view path, std::stop_token const& stop) {
    auto& clock = options_.clock;
    auto began = clock.elapsed();
    auto const headers = request.headers;
    auto longest = options_.wait_first;
    for (int attempts = 1;; ++attempts) {
        TRY(check(stop));
        Refusal refusal;
        auto server = this->server(stop);
        if (!server) {
            refusal = {server.error(), server.error().kind == ErrorKind::unreachable};
        } else {
            request.url = (*server)->base + std::string(path);
            request.headers = headers;
            request.headers.emplace_back("Authorization", (*server)->authorization);
            auto answer = (*server)->http->send(request, stop);
            if (answer && answer->status >= 200 && answer->status < 300) return std::move(*answer);
            if (answer) {
                refusal = refusal_of(*answer);
            } else {
                refusal = {std::move(answer.error().error), answer.error().transient};
                if ((*server)->child->wait(Duration(0))) {
                    refusal.error.message = "rclone ended: " + last_line((*server)->child->output_tail());
                }
            }
        }
        // Drawn, so that many do not come back at the same instant.
        std::array<std::uint8_t, 2> drawn;
        options_.random.fill(drawn);
        auto wait = longest / 2 + longest / 2 * (drawn[0] * 256 + drawn[1]) / 65536;
        longest = std::min(longest * 2, options_.wait_longest);
        if (!refusal.again || clock.elapsed() - began + wait >= options_.give_up_after)
            return fail(std::move(refusal.error).within(describe()));
        if (!clock.sleep(wait, stop)) return fail(ErrorKind::cancelled, "stopped");
    }
}

Result<HttpAnswer> RcloneStore::call(std::string_view command, std::string const& text, std::stop_token const& stop) {
    ByteView const body = as_bytes(text);
    return ask({.method = "POST",
                .url = {},
                .headers = {{"Content-Type", "application/json"}},
                .body = {&body, 1},
                .answer_bytes_max = std::uint64_t{1} << 30},
               fmt::format("/operations/{}", command), stop);
}

namespace {

// {"Name", "Size", "ModTime", "IsDir"}; nothing when it is not of that form.
template <typename Entry>
std::optional<Entry> entry_of(json const& item) {
    Entry entry;
    auto const text = [&](char const* name) {
        auto found = item.find(name);
        return found != item.end() && found->is_string() ? found->template get<std::string>() : std::string();
    };
    entry.name = text("Name");
    auto directory = item.find("IsDir");
    entry.directory = directory != item.end() && directory->is_boolean() && directory->template get<bool>();
    auto size = item.find("Size");
    auto modified = parse_rfc3339(text("ModTime"));
    bool sized = size != item.end() && size->is_number_integer() && size->template get<std::int64_t>() >= 0;
    if (entry.name.empty() || (!entry.directory && (!sized || !modified))) return {};
    if (!entry.directory) {
        entry.size = size->template get<std::uint64_t>();
        entry.modified = *modified;
    }
    return entry;
}

std::unexpected<Error> no_answer(std::string_view what) {
    return fail(ErrorKind::unreachable, fmt::format("rclone's answer is not what it should be ({})", what),
                "rclone 1.60 or later is needed");
}

std::string path_of_object(std::string const& file_system, std::string const& key) {
    return "/%5B" + percent_encode_path(file_system) + "%5D/" + percent_encode_path(key);
}

}  // namespace

Result<std::unique_ptr<RcloneStore>> RcloneStore::open(RcloneStoreOptions options, std::stop_token stop) {
    auto const patience = options.give_up_after;
    bool const create = options.create;
    options.give_up_after = std::min(patience, kOpenWithin);
    std::unique_ptr<RcloneStore> store(new RcloneStore(std::move(options)));
    auto what = fmt::format("open store '{}'", printable(store->describe()));
    json place{{"fs", store->options_.address.file_system}, {"remote", ""}};
    if (create) {
        auto made = store->call("mkdir", place.dump(), stop);
        if (!made) return fail(std::move(made).error().within(what));
    }
    place["opt"] = {{"noMimeType", true}, {"noModTime", true}};
    auto found = store->call("list", place.dump(), stop);
    // A cloud without folders has none that is empty.
    if (!found && !(create && found.error().kind == ErrorKind::not_found))
        return fail(std::move(found).error().within(what));
    store->options_.give_up_after = patience;
    return store;
}

Result<std::optional<RcloneStore::Entry>> RcloneStore::stat(std::string const& path, std::stop_token const& stop) {
    auto answer = call("stat", json{{"fs", options_.address.file_system}, {"remote", path}}.dump(), stop);
    if (!answer && answer.error().kind == ErrorKind::not_found) return std::optional<Entry>{};
    if (!answer) return fail(std::move(answer).error());
    auto& whole = *answer;
    auto parsed = json::parse(whole.body.begin(), whole.body.end(), nullptr, false);
    if (!parsed.is_object() || !parsed.contains("item")) return no_answer("stat");
    auto const& item = parsed["item"];
    if (item.is_null()) return std::optional<Entry>{};
    auto entry = item.is_object() ? entry_of<Entry>(item) : std::nullopt;
    if (!entry) return no_answer("stat");
    if (entry->directory) return std::optional<Entry>{};
    return entry;
}

// Whether the key holds these bytes; `exists` when it holds others.
Result<bool> RcloneStore::holds(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token const& stop) {
    auto entry = TRY(stat(key.text(), stop));
    if (!entry) return false;
    auto size = total_size(parts);
    if (entry->size != size) return store_errors::taken(key);
    for (std::uint64_t at = 0; at < size; at += kArrivedStepBytes) {
        auto got = get_range(key, at, std::min(kArrivedStepBytes, size - at), stop);
        if (!got && got.error().kind == ErrorKind::not_found) return false;
        if (!got) return fail(std::move(got).error());
        ByteView rest = *got;
        for (auto piece : s3::slice(parts, at, got->size())) {
            if (!std::ranges::equal(piece, rest.first(piece.size()))) return store_errors::taken(key);
            rest = rest.subspan(piece.size());
        }
    }
    return true;
}

Result<void> RcloneStore::upload(std::string const& name, std::span<ByteView const> parts, std::stop_token const& stop) {
    // RFC 7578. The boundary is drawn: no object holds it.
    auto boundary = "holdfast-" + random_hex(options_.random);
    auto head = fmt::format("--{}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{}\"\r\n"
                            "Content-Type: application/octet-stream\r\n\r\n",
                            boundary, name);
    auto tail = fmt::format("\r\n--{}--\r\n", boundary);
    std::vector<ByteView> body{as_bytes(head)};
    body.insert(body.end(), parts.begin(), parts.end());
    body.push_back(as_bytes(tail));
    auto path = fmt::format("/operations/uploadfile?fs={}&remote={}", percent_encode(options_.address.file_system),
                            percent_encode(kUploads));
    TRY(ask({.method = "POST",
             .url = {},
             .headers = {{"Content-Type", "multipart/form-data; boundary=" + boundary}},
             .body = body},
            path, stop));
    return {};
}

Result<void> RcloneStore::put(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token stop) {
    TRY(check(stop));
    auto turn = TRY(Turn::take(*this, key.text(), stop));
    bool const there = TRY(holds(key, parts, stop));
    if (there) return {};
    return place(key, parts, stop);
}

Result<void> RcloneStore::replace(ObjectKey const& key, ByteView bytes, std::stop_token stop) {
    TRY(check(stop));
    auto turn = TRY(Turn::take(*this, key.text(), stop));
    return place(key, {&bytes, 1}, stop);
}

Result<void> RcloneStore::place(ObjectKey const& key, std::span<ByteView const> parts, std::stop_token const& stop) {
    auto name = random_hex(options_.random);
    auto what = fmt::format("put object '{}'", key.text());
    TRY(upload(name, parts, stop).within(what));
    auto const& remote = options_.address.file_system;
    auto from = std::string(kUploads) + "/" + name;
    auto arrived = stat(from, stop);
    if (arrived && (!*arrived || (*arrived)->size != total_size(parts)))
        arrived = fail(ErrorKind::unreachable, describe() + ": an upload arrived cut off");
    // IgnoreTimes: else rclone takes what replaces another object of its size within a second for the same.
    auto moved = arrived ? call("movefile",
                                json{{"srcFs", remote}, {"srcRemote", from}, {"dstFs", remote}, {"dstRemote", key.text()},
                                     {"_config", {{"IgnoreTimes", true}}}}.dump(),
                                stop)
                         : Result<HttpAnswer>(fail(std::move(arrived).error()));
    if (moved) return {};
    // The answer to a move that was made may have got lost: what was repeated then found nothing to move.
    auto after = holds(key, parts, stop);
    if (after && *after) return {};
    (void)call("deletefile", json{{"fs", remote}, {"remote", from}}.dump(), {});
    if (!after && after.error().kind == ErrorKind::exists) return fail(std::move(after).error());
    auto error = std::move(moved).error();
    // That what was uploaded is gone is the store's failure, and not an object that is missing.
    if (error.kind == ErrorKind::not_found) error.kind = ErrorKind::unreachable;
    return fail(std::move(error).within(what));
}

Result<Bytes> RcloneStore::get(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    auto answer = ask({.url = {}, .answer_bytes_max = kReadBytesMax},
                      path_of_object(options_.address.file_system, key.text()), stop);
    if (!answer && answer.error().kind == ErrorKind::not_found) return store_errors::missing(key);
    if (!answer) return fail(std::move(answer).error());
    return std::move(answer->body);
}

Result<Bytes> RcloneStore::get_range(ObjectKey const& key, std::uint64_t offset, std::uint64_t length,
                                     std::stop_token stop) {
    TRY(check(stop));
    // No server can be asked for nothing, or for more than there can be.
    if (length == 0 || length > kReadBytesMax || offset > kReadBytesMax) {
        auto info = TRY(head(key, stop));
        if (!store_errors::in_range(info.size, offset, length))
            return store_errors::too_short(key, info.size, offset, length);
        return Bytes();
    }
    auto answer = ask({.url = {},
                       .headers = {{"Range", fmt::format("bytes={}-{}", offset, offset + length - 1)}},
                       .answer_bytes_max = std::max<std::uint64_t>(length, 64 << 10)},
                      path_of_object(options_.address.file_system, key.text()), stop);
    if (!answer && answer.error().kind == ErrorKind::not_found) return store_errors::missing(key);
    if (!answer) return fail(std::move(answer).error());
    auto& whole = *answer;
    auto range = whole.header("content-range");
    auto size = s3::parse_number(range.substr(std::min(range.find('/'), range.size() - 1) + 1));
    if (whole.status != 206 || !size) return no_answer("a range that was not kept to");
    if (!store_errors::in_range(*size, offset, length)) return store_errors::too_short(key, *size, offset, length);
    if (whole.body.size() != length || !range.starts_with(fmt::format("bytes {}-", offset)))
        return no_answer("another range");
    return std::move(whole.body);
}

Result<ObjectInfo> RcloneStore::head(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    auto entry = TRY(stat(key.text(), stop));
    if (!entry) return store_errors::missing(key);
    return ObjectInfo{key, entry->size, entry->modified};
}

Result<void> RcloneStore::walk(std::string const& directory, std::string_view prefix,
                               std::function<Result<void>(ObjectInfo const&)> const& visit,
                               std::stop_token const& stop) {
    auto answer = call("list",
                       json{{"fs", options_.address.file_system}, {"remote", directory}, {"opt", {{"noMimeType", true}}}}.dump(),
                       stop);
    // Not there yet, or not any more: a cloud without folders has none that is empty.
    if (!answer && answer.error().kind == ErrorKind::not_found) return {};
    if (!answer) return fail(std::move(answer).error());
    auto& whole = *answer;
    auto parsed = json::parse(whole.body.begin(), whole.body.end(), nullptr, false);
    if (!parsed.is_object() || !parsed.contains("list")) return no_answer("list");
    std::vector<Entry> entries;
    for (auto const& item : parsed["list"]) {
        auto entry = item.is_object() ? entry_of<Entry>(item) : std::nullopt;
        if (!entry) return no_answer("list");
        if (!entry->name.starts_with('.')) entries.push_back(std::move(*entry));
    }
    // In the order of keys: what is below a folder sorts by its slash.
    auto sorted_by = [](Entry const& entry) { return entry.name + (entry.directory ? "/" : ""); };
    std::ranges::sort(entries, {}, sorted_by);
    for (auto const& entry : entries) {
        TRY(check(stop));
        auto path = directory.empty() ? entry.name : directory + "/" + entry.name;
        if (entry.directory) {
            auto below = path + "/";
            if (below.starts_with(prefix) || prefix.starts_with(below)) TRY(walk(path, prefix, visit, stop));
        } else if (path.starts_with(prefix) && is_object_key(path)) {
            TRY(visit({ObjectKey(path), entry.size, entry.modified}));
        }
    }
    return {};
}

Result<void> RcloneStore::list(std::string_view prefix,
                               std::function<Result<void>(ObjectInfo const&)> const& visit, std::stop_token stop) {
    assert(is_object_key(std::string(prefix) + "x"));
    TRY(check(stop));
    auto slash = prefix.rfind('/');
    TRY(walk(std::string(slash == prefix.npos ? "" : prefix.substr(0, slash)), prefix, visit, stop));
    return check(stop);
}

Result<void> RcloneStore::remove(ObjectKey const& key, std::stop_token stop) {
    TRY(check(stop));
    auto done = call("deletefile", json{{"fs", options_.address.file_system}, {"remote", key.text()}}.dump(), stop);
    if (done || done.error().kind == ErrorKind::not_found) return {};
    return fail(std::move(done).error().within(fmt::format("remove object '{}'", key.text())));
}

}  // namespace holdfast
