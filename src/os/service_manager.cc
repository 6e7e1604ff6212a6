#include "os/service_manager.h"

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/fd.h"

namespace holdfast {
namespace {

std::string take(char const* name) {
    auto const* value = std::getenv(name);
    std::string text = value ? value : "";
    ::unsetenv(name);
    return text;
}

std::optional<std::int64_t> number(std::string const& text) {
    std::int64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value <= 0) return {};
    return value;
}

}  // namespace

ServiceManager ServiceManager::from_environment() {
    ServiceManager manager;
    manager.socket_ = take("NOTIFY_SOCKET");
    auto microseconds = number(take("WATCHDOG_USEC"));
    auto process = number(take("WATCHDOG_PID"));
    if (microseconds && (!process || *process == ::getpid())) manager.watchdog_ = std::chrono::microseconds(*microseconds);
    return manager;
}

void ServiceManager::status(std::string_view text) const {
    auto line = "STATUS=" + std::string(text);
    for (auto& c : line) {
        if (c == '\n') c = ' ';
    }
    tell(line);
}

void ServiceManager::tell(std::string_view lines) const {
    sockaddr_un address{};
    if (socket_.empty() || socket_.size() >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, socket_.data(), socket_.size());
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // Linux: a name that is no file
    Fd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) return;
    auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_.size());
    (void)::sendto(fd.get(), lines.data(), lines.size(), MSG_NOSIGNAL | MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&address),
                   length);
}

}  // namespace holdfast
