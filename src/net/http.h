#pragma once

#include <condition_variable>
#include <expected>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"

namespace holdfast {

struct HttpRequest {
    std::string method = "GET";
    // Sent as it stands: encoded by the caller, "." and ".." and double slashes are kept.
    std::string url;
    // Host, Content-Length and Connection are added. Neither names nor values hold line breaks:
    // asserted.
    std::vector<std::pair<std::string, std::string>> headers = {};
    // The concatenation is the body; must stay alive until the answer. May be sent twice.
    std::span<ByteView const> body = {};
    // An answer with a longer body is a failure, before it is stored.
    std::uint64_t answer_bytes_max = 16 << 20;
};

struct HttpAnswer {
    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    Bytes body;

    // Empty when there is none.
    std::string_view header(std::string_view name) const;
};

// No whole answer came. `transient`: the same request may work later (nobody there, a reset, too
// slow); false: something has to be mended first (a certificate, the CA file, the URL), or it was
// cancelled. Whether the server has acted on the request is never known.
struct HttpFailure {
    Error error;
    bool transient = false;
};

struct HttpClientOptions {
    // PEM file with the authorities to trust instead of the system's.
    std::string ca_file = {};
    // Requests at the same time, each over a connection of its own that is kept alive; more wait.
    unsigned connections_max = 16;
    // To a connection, TLS included.
    Duration connect_timeout = std::chrono::seconds(10);
    // While no byte moves in either direction.
    Duration stall_timeout = std::chrono::seconds(30);
};

// HTTP/1.1 over libcurl. Redirections are not followed (a signature holds for one host), proxies of
// the environment not used. Any status is an answer. Thread-safe.
class HttpClient {
  public:
    explicit HttpClient(HttpClientOptions options);
    ~HttpClient();

    // Ends within moments when `stop` is requested.
    std::expected<HttpAnswer, HttpFailure> send(HttpRequest const& request, std::stop_token stop);

    // Connections opened so far: shows that they are reused.
    std::uint64_t connections_opened() const;

  private:
    struct Line;
    std::unique_ptr<Line> take_line(std::stop_token const& stop);
    void give_back(std::unique_ptr<Line> line);

    HttpClientOptions options_;
    mutable std::mutex mutex_;
    std::condition_variable_any free_;
    std::vector<std::unique_ptr<Line>> idle_;
    unsigned in_use_ = 0;
    std::uint64_t opened_ = 0;
};

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, the one form that is still written). `damaged`
// otherwise.
Result<Time> parse_http_date(std::string_view text);

// Percent-encodes every byte but A-Z a-z 0-9 - . _ ~ (RFC 3986), upper-case digits.
std::string percent_encode(std::string_view text);
// The same with slashes left as they are.
std::string percent_encode_path(std::string_view text);

}  // namespace holdfast
