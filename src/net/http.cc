#include "net/http.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <fmt/format.h>

#include "base/text.h"
#include "net/curl.h"
#include "os/clock.h"

namespace holdfast {
namespace {

constexpr long kSocketBufferBytes = 512 << 10;
constexpr std::size_t kHeaderBytesMax = 64 << 10;

// One exchange: all that libcurl's callbacks need.
struct Exchange {
    std::span<ByteView const> body;
    std::uint64_t body_bytes = 0;
    std::size_t part = 0;  // where the upload stands
    std::size_t at = 0;
    std::uint64_t answer_bytes_max = 0;
    HttpAnswer answer;
    std::size_t header_bytes = 0;
    bool too_long = false;
    // The network's time is never simulated.
    Duration last_moved = system_clock().elapsed();
};

std::size_t give_body(char* to, std::size_t size, std::size_t count, void* context) {
    auto& exchange = *static_cast<Exchange*>(context);
    exchange.last_moved = system_clock().elapsed();
    auto room = size * count;
    std::size_t given = 0;
    while (given < room && exchange.part < exchange.body.size()) {
        auto rest = exchange.body[exchange.part].subspan(exchange.at);
        auto step = std::min(rest.size(), room - given);
        if (step > 0)
            std::memcpy(to + given, rest.data(), step);
        given += step;
        exchange.at += step;
        if (step == rest.size()) {
            ++exchange.part;
            exchange.at = 0;
        }
    }
    return given;
}

// libcurl goes back to the beginning when a kept connection turns out to be dead.
int rewind_body(void* context, curl_off_t offset, int origin) {
    auto& exchange = *static_cast<Exchange*>(context);
    if (origin != SEEK_SET || offset != 0)
        return CURL_SEEKFUNC_CANTSEEK;
    exchange.part = exchange.at = 0;
    return CURL_SEEKFUNC_OK;
}

std::size_t take_body(char* from, std::size_t size, std::size_t count, void* context) {
    auto& exchange = *static_cast<Exchange*>(context);
    exchange.last_moved = system_clock().elapsed();
    auto bytes = size * count;
    auto& body = exchange.answer.body;
    if (bytes > exchange.answer_bytes_max - body.size()) {
        exchange.too_long = true;
        return 0;
    }
    auto const* begin = reinterpret_cast<std::uint8_t const*>(from);
    body.insert(body.end(), begin, begin + bytes);
    return bytes;
}

std::size_t take_header(char* from, std::size_t size, std::size_t count, void* context) {
    auto& exchange = *static_cast<Exchange*>(context);
    exchange.last_moved = system_clock().elapsed();
    std::string_view line(from, size * count);
    exchange.header_bytes += line.size();
    if (exchange.header_bytes > kHeaderBytesMax)
        return 0;
    if (line.starts_with("HTTP/")) {  // also after "100 Continue"
        exchange.answer.headers.clear();
        return line.size();
    }
    auto colon = line.find(':');
    if (colon == std::string_view::npos)
        return line.size();
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    auto value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t'))
        value.remove_prefix(1);
    while (!value.empty() && std::string_view(" \t\r\n").contains(value.back()))
        value.remove_suffix(1);
    exchange.answer.headers[std::move(name)] = std::string(value);
    if (exchange.answer.headers.contains("content-length")) {
        // A hint for the allocation, never trusted beyond what the caller takes anyway.
        auto const& text = exchange.answer.headers["content-length"];
        if (text.size() <= 12 && text.find_first_not_of("0123456789") == std::string::npos &&
            !text.empty()) {
            auto length = std::stoull(text);
            if (length <= exchange.answer_bytes_max)
                exchange.answer.body.reserve(length);
        }
    }
    return line.size();
}

struct Meaning {
    bool transient;
    char const* hint;
};

Meaning meaning_of(CURLcode code) {
    switch (code) {
        case CURLE_PEER_FAILED_VERIFICATION:
            return {false, "check the server's name and certificate, or name its authority"};
        case CURLE_SSL_CACERT_BADFILE:
            return {false, "check the file with the authorities"};
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
            return {false, "check the address"};
        default:
            return {true, "check the server's address and that it runs"};
    }
}

}  // namespace

std::string_view HttpAnswer::header(std::string_view name) const {
    auto found = headers.find(std::string(name));
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

// A handle with its connection. The multi handle waits for the network and can be woken.
struct HttpClient::Line {
    struct FreeMulti {
        void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
    };
    std::unique_ptr<CURLM, FreeMulti> multi{curl_multi_init()};
    curl::Handle easy = curl::make_handle();
};

HttpClient::HttpClient(HttpClientOptions options) : options_(std::move(options)) {
    assert(options_.connections_max > 0);
}
HttpClient::~HttpClient() = default;

std::uint64_t HttpClient::connections_opened() const {
    std::lock_guard const lock(mutex_);
    return opened_;
}

std::unique_ptr<HttpClient::Line> HttpClient::take_line(std::stop_token const& stop) {
    std::unique_lock lock(mutex_);
    if (!free_.wait(lock, stop, [&] { return in_use_ < options_.connections_max; }))
        return nullptr;
    ++in_use_;
    if (!idle_.empty()) {
        // The one that was used last: its connection is the freshest.
        auto line = std::move(idle_.back());
        idle_.pop_back();
        return line;
    }
    lock.unlock();
    auto line = std::make_unique<Line>();
    assert(line->multi);
    return line;
}

void HttpClient::give_back(std::unique_ptr<Line> line) {
    {
        std::lock_guard const lock(mutex_);
        --in_use_;
        long opened = 0;
        curl_easy_getinfo(line->easy.get(), CURLINFO_NUM_CONNECTS, &opened);
        opened_ += static_cast<std::uint64_t>(opened);
        idle_.push_back(std::move(line));
    }
    free_.notify_one();
}

std::expected<HttpAnswer, HttpFailure> HttpClient::send(HttpRequest const& request,
                                                        std::stop_token stop) {
    auto cancelled = [] {
        return std::unexpected(HttpFailure{{ErrorKind::cancelled, "stopped", {}}, false});
    };
    if (stop.stop_requested())
        return cancelled();
    auto line = take_line(stop);
    if (!line)
        return cancelled();

    Exchange exchange;
    exchange.body = request.body;
    exchange.answer_bytes_max = request.answer_bytes_max;
    for (auto part : request.body)
        exchange.body_bytes += part.size();

    auto* easy = line->easy.get();
    curl::List headers;
    auto add_header = [&](std::string const& text) {
        assert(text.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
        auto* list = curl_slist_append(headers.get(), text.c_str());
        assert(list);
        (void)headers.release();
        headers.reset(list);
    };
    for (auto const& [name, value] : request.headers)
        add_header(value.empty() ? name + ";" : name + ": " + value);
    add_header("Expect:");  // would cost a round trip, or a second where it is not answered
    bool uploads = request.method == "PUT" || request.method == "POST";

    char error_text[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error_text);
    curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_NOBODY, request.method == "HEAD" ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, uploads ? 1L : 0L);
    if (!uploads && request.method != "HEAD")
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
    curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE,
                     static_cast<curl_off_t>(uploads ? exchange.body_bytes : 0));
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, give_body);
    curl_easy_setopt(easy, CURLOPT_READDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, rewind_body);
    curl_easy_setopt(easy, CURLOPT_SEEKDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &exchange);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, kSocketBufferBytes);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kSocketBufferBytes);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    using Milliseconds = std::chrono::milliseconds;
    auto milliseconds = [](Duration time) {
        return static_cast<long>(std::chrono::ceil<Milliseconds>(time).count());
    };
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options_.connect_timeout));
    if (!options_.ca_file.empty()) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
        curl_easy_setopt(easy, CURLOPT_CAPATH, nullptr);
    }

    auto* multi = line->multi.get();
    auto added = curl_multi_add_handle(multi, easy);
    assert(added == CURLM_OK);
    auto code = CURLE_OK;
    bool done = false, stalled = false;
    {
        std::stop_callback const wake(stop, [multi] { curl_multi_wakeup(multi); });
        while (!done && !stalled && !stop.stop_requested()) {
            int running = 0;
            auto worked = curl_multi_perform(multi, &running);
            int left = 0;
            while (auto* message = curl_multi_info_read(multi, &left)) {
                if (message->msg == CURLMSG_DONE) {
                    code = message->data.result;
                    done = true;
                }
            }
            if (done || worked != CURLM_OK)
                break;
            curl_off_t connected = 0;
            curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
            auto limit = options_.stall_timeout;
            if (connected == 0)
                limit = std::max(limit, options_.connect_timeout + std::chrono::seconds(1));
            stalled = system_clock().elapsed() - exchange.last_moved > limit;
            auto wait = std::clamp<long>(milliseconds(limit) / 4, 10, 1000);
            if (!stalled)
                curl_multi_poll(multi, nullptr, 0, static_cast<int>(wait), nullptr);
        }
    }
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle(multi, easy);  // before it is done: closes the connection
    // What lies on our stack must not be found by a later use.
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, nullptr);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, nullptr);
    give_back(std::move(line));

    if (done && code == CURLE_OK) {
        exchange.answer.status = static_cast<int>(status);
        return std::move(exchange.answer);
    }
    if (!done && stop.stop_requested())
        return cancelled();
    auto broken = [](bool transient, std::string message, std::string hint) {
        return std::unexpected(
            HttpFailure{{ErrorKind::unreachable, std::move(message), std::move(hint)}, transient});
    };
    if (stalled) {
        return broken(
            true,
            fmt::format("no byte came or went for {} s",
                        std::chrono::ceil<std::chrono::seconds>(options_.stall_timeout).count()),
            "check the network and the server");
    }
    if (exchange.too_long) {
        return broken(
            true, fmt::format("the answer is longer than {} bytes", request.answer_bytes_max), {});
    }
    auto meaning = meaning_of(code);
    return broken(meaning.transient,
                  *error_text ? printable(error_text) : std::string(curl_easy_strerror(code)),
                  meaning.hint);
}

Result<Time> parse_http_date(std::string_view text) {
    auto bad = [&] {
        return fail(ErrorKind::damaged, fmt::format("'{}' is no date of HTTP", printable(text)));
    };
    // "Sun, 06 Nov 1994 08:49:37 GMT"
    constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (text.size() != 29 || !text.ends_with(" GMT"))
        return bad();
    auto number = [&](std::size_t at, std::size_t size) {
        int value = 0;
        for (char c : text.substr(at, size)) {
            if (c < '0' || c > '9')
                return -1;
            value = value * 10 + (c - '0');
        }
        return value;
    };
    auto month = kMonths.find(text.substr(8, 3));
    auto day = number(5, 2), year = number(12, 4);
    auto hour = number(17, 2), minute = number(20, 2), second = number(23, 2);
    if (month == std::string_view::npos || month % 3 != 0)
        return bad();
    std::chrono::year_month_day date{std::chrono::year(year),
                                     std::chrono::month(static_cast<unsigned>(month / 3 + 1)),
                                     std::chrono::day(static_cast<unsigned>(std::max(day, 0)))};
    if (!date.ok() || year < 1700 || year > 2200 || hour < 0 || hour > 23 || minute < 0 ||
        minute > 59 || second < 0 || second > 60)
        return bad();
    return Time(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
           std::chrono::minutes(minute) + std::chrono::seconds(second);
}

namespace {

std::string encode(std::string_view text, std::string_view also_kept) {
    std::string result;
    result.reserve(text.size());
    for (char c : text) {
        bool kept = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_' || c == '~' || also_kept.contains(c);
        if (kept)
            result += c;
        else
            result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return result;
}

}  // namespace

std::string percent_encode(std::string_view text) {
    return encode(text, "");
}
std::string percent_encode_path(std::string_view text) {
    return encode(text, "/");
}

}  // namespace holdfast
