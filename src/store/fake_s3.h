#pragma once

// For tests: an HTTP server on a free port of this machine that answers, or fails to, as a test
// says; and a bucket that it can serve.

#include <arpa/inet.h>
#include <atomic>
#include <cassert>
#include <ctime>
#include <fmt/format.h>
#include <functional>
#include <map>
#include <mutex>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <set>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "crypto/crypto.h"
#include "os/fd.h"
#include "store/percent.h"

namespace holdfast {

struct FakeRequest {
    std::string method, path, query;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;

    std::string header(std::string const& name) const {
        auto found = headers.find(name);
        return found == headers.end() ? "" : found->second;
    }
    // The value of a query's name, decoded; empty when there is none.
    std::string value(std::string const& name) const {
        auto text = "&" + query;
        auto at = text.find("&" + name + "=");
        if (at == std::string::npos)
            return "";
        at += name.size() + 2;
        return decode_percent(text.substr(at, text.find('&', at) - at)).value_or("");
    }
};

struct FakeAnswer {
    int status = 200;
    std::map<std::string, std::string> headers = {};
    std::string body = {};
    // What is sent: everything, half of the body and then a reset, nothing and a reset, nothing
    // ever.
    enum class Sent { whole, half, reset, silence } sent = Sent::whole;
};

inline FakeAnswer fake_error(int status, std::string const& code) {
    return {.status = status,
            .body = fmt::format("<?xml version=\"1.0\"?><Error><Code>{}</Code><Message>because"
                                "</Message></Error>",
                                code)};
}

class FakeServer {
  public:
    using Answer = std::function<FakeAnswer(FakeRequest const&)>;

    explicit FakeServer(Answer answer)
        : answer_(std::move(answer)), socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* any = reinterpret_cast<sockaddr*>(&address);
        bool good = bind(socket_.get(), any, size) == 0 && listen(socket_.get(), 50) == 0 &&
                    getsockname(socket_.get(), any, &size) == 0;
        assert(good);
        port_ = ntohs(address.sin_port);
        acceptor_ = std::jthread([this](std::stop_token stop) { accept(stop); });
    }
    ~FakeServer() {
        acceptor_.request_stop();
        acceptor_.join();
        connections_.clear();
    }
    std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }
    int requests() const { return requests_; }

  private:
    static bool readable(int fd) {
        pollfd entry{fd, POLLIN, 0};
        return poll(&entry, 1, 20) > 0;
    }
    void accept(std::stop_token const& stop) {
        while (!stop.stop_requested()) {
            if (!readable(socket_.get()))
                continue;
            int fd = ::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC);
            if (fd >= 0) {
                connections_.emplace_back([this, fd](std::stop_token end) { serve(Fd(fd), end); });
            }
        }
    }
    void serve(Fd fd, std::stop_token const& stop) {
        std::string text;
        auto more = [&] {
            while (!readable(fd.get())) {
                if (stop.stop_requested())
                    return false;
            }
            char buffer[65536];
            auto got = recv(fd.get(), buffer, sizeof buffer, 0);
            if (got > 0)
                text.append(buffer, static_cast<std::size_t>(got));
            return got > 0;
        };
        for (;;) {
            while (text.find("\r\n\r\n") == std::string::npos) {
                if (!more())
                    return;
            }
            auto end = text.find("\r\n\r\n");
            FakeRequest request = parse(text.substr(0, end));
            text.erase(0, end + 4);
            auto length = request.header("content-length");
            std::size_t size = length.empty() ? 0 : std::stoul(length);
            while (text.size() < size) {
                if (!more())
                    return;
            }
            request.body = text.substr(0, size);
            text.erase(0, size);
            ++requests_;
            if (!send_answer(fd, request, answer_(request), stop))
                return;
        }
    }
    static FakeRequest parse(std::string const& head) {
        FakeRequest request;
        auto line_end = head.find("\r\n");
        auto line = head.substr(0, line_end);
        request.method = line.substr(0, line.find(' '));
        auto target = line.substr(line.find(' ') + 1);
        target.erase(target.find(' '));
        request.path = target.substr(0, target.find('?'));
        if (target.find('?') != std::string::npos)
            request.query = target.substr(target.find('?') + 1);
        while (line_end != std::string::npos) {
            auto begin = line_end + 2;
            line_end = head.find("\r\n", begin);
            auto header = head.substr(begin, line_end - begin);
            auto name = header.substr(0, header.find(':'));
            for (char& c : name)
                c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            auto value = header.substr(header.find(':') + 1);
            request.headers[name] = value.starts_with(' ') ? value.substr(1) : value;
        }
        return request;
    }
    static bool send_answer(Fd& fd, FakeRequest const& request, FakeAnswer const& answer,
                            std::stop_token const& stop) {
        using Sent = FakeAnswer::Sent;
        if (answer.sent == Sent::silence) {
            while (!stop.stop_requested())
                std::this_thread::sleep_for(std::chrono::milliseconds(10));
            return false;
        }
        bool whole = answer.sent == Sent::whole;
        auto text = fmt::format("HTTP/1.1 {} Said\r\n", answer.status);
        if (!answer.headers.contains("Content-Length"))
            text += fmt::format("Content-Length: {}\r\n", answer.body.size());
        for (auto const& [name, value] : answer.headers)
            text += name + ": " + value + "\r\n";
        text += "\r\n";
        if (request.method != "HEAD" && answer.status != 204)
            text += whole ? answer.body : answer.body.substr(0, answer.body.size() / 2);
        if (answer.sent == Sent::reset)
            text.clear();
        for (std::size_t at = 0; at < text.size();) {
            auto sent = send(fd.get(), text.data() + at, text.size() - at, MSG_NOSIGNAL);
            if (sent <= 0)
                return false;
            at += static_cast<std::size_t>(sent);
        }
        if (whole)
            return true;
        linger const now{1, 0};  // closing resets
        setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
        return false;
    }

    Answer answer_;
    Fd socket_;
    int port_ = 0;
    std::atomic<int> requests_ = 0;
    std::vector<std::jthread> connections_;  // of the acceptor alone
    std::jthread acceptor_;
};

// What an S3 server does with objects of one bucket, path-style. Thread-safe.
class FakeBucket {
  public:
    bool conditional = true;  // keeps to If-None-Match
    std::size_t page_keys = 1000;

    FakeAnswer answer(FakeRequest const& request) {
        std::lock_guard const lock(mutex_);
        auto key = request.path.substr(std::min(request.path.size(), request.path.find('/', 1)));
        if (key.size() <= 1)
            return request.query.starts_with("uploads") ? fake_error(501, "NotImplemented")
                                                        : list(request);
        key.erase(0, 1);
        auto found = objects_.find(key);
        if (request.method == "PUT") {
            if (conditional && found != objects_.end() && !request.header("if-none-match").empty())
                return fake_error(412, "PreconditionFailed");
            objects_[key] = {request.body, request.header("x-amz-meta-holdfast-sha256")};
            ++puts;
            return {.headers = {{"ETag", "\"x\""}}};
        }
        if (request.method == "DELETE") {
            objects_.erase(key);
            return {.status = 204};
        }
        if (found == objects_.end())
            return fake_error(404, "NoSuchKey");
        auto const& object = found->second;
        FakeAnswer answer{.headers = {{"ETag", "\"x\""},
                                      {"Last-Modified", http_date()},
                                      {"x-amz-meta-holdfast-sha256", object.sha256}},
                          .body = object.body};
        auto range = request.header("range");
        if (range.starts_with("bytes=")) {
            auto first = std::stoul(range.substr(6));
            auto last = std::min<std::size_t>(std::stoul(range.substr(range.find('-') + 1)),
                                              object.body.size() - 1);
            if (first >= object.body.size())
                return fake_error(416, "InvalidRange");
            answer.status = 206;
            answer.body = object.body.substr(first, last - first + 1);
            answer.headers["Content-Range"] =
                fmt::format("bytes {}-{}/{}", first, last, object.body.size());
        }
        return answer;
    }
    bool holds(std::string const& key) {
        std::lock_guard const lock(mutex_);
        return objects_.contains(key);
    }
    void keep(std::string const& key, std::string const& body) {
        std::lock_guard const lock(mutex_);
        objects_[key] = {body, to_hex(sha256(as_bytes(body)))};
    }
    std::atomic<int> puts = 0;

    // A page of a list with these keys.
    static FakeAnswer page(std::vector<std::string> const& keys, std::string const& next,
                           std::size_t counted, std::vector<std::size_t> const& sizes = {}) {
        auto text = fmt::format(
            "<?xml version=\"1.0\"?><ListBucketResult><KeyCount>{}</KeyCount>"
            "<IsTruncated>{}</IsTruncated>",
            counted, next.empty() ? "false" : "true");
        if (!next.empty() && next != "-")
            text += "<NextContinuationToken>" + next + "</NextContinuationToken>";
        for (std::size_t i = 0; i < keys.size(); ++i) {
            text += fmt::format(
                "<Contents><Key>{}</Key><Size>{}</Size><LastModified>"
                "2026-11-22T10:00:00.000Z</LastModified></Contents>",
                keys[i], i < sizes.size() ? sizes[i] : 1);
        }
        return {.body = text + "</ListBucketResult>"};
    }

  private:
    struct Object {
        std::string body, sha256;
    };
    static std::string http_date() {
        auto now = std::time(nullptr);
        tm parts{};
        gmtime_r(&now, &parts);
        char text[40];
        std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        return text;
    }
    FakeAnswer list(FakeRequest const& request) {
        auto after = std::max(request.value("continuation-token"), request.value("start-after"));
        std::vector<std::string> keys;
        std::vector<std::size_t> sizes;
        std::string next;
        for (auto at = objects_.upper_bound(after); at != objects_.end(); ++at) {
            if (keys.size() == page_keys) {
                next = keys.back();
                break;
            }
            keys.push_back(at->first);
            sizes.push_back(at->second.body.size());
        }
        return page(keys, next, keys.size(), sizes);
    }

    std::mutex mutex_;
    std::map<std::string, Object> objects_;
};

}  // namespace holdfast
