#include "os/process_table.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/text.h"
#include "os/clock.h"
#include "os/fd.h"
#include "os/file.h"

namespace holdfast {
namespace {

namespace fs = std::filesystem;

constexpr Duration kPause = std::chrono::milliseconds(20);

bool is_below(std::string const& link, std::string const& directory) {
    std::error_code failed;
    auto const target = fs::read_symlink(link, failed).string();  // "/a/b (deleted)" when it is gone
    if (failed || !target.starts_with(directory)) return false;
    auto const rest = std::string_view(target).substr(directory.size());
    return rest.empty() || rest.front() == '/' || rest.starts_with(" (deleted)");
}

bool works_below(pid_t pid, std::string const& directory) {
    auto const proc = "/proc/" + std::to_string(pid);
    return is_below(proc + "/cwd", directory) || is_below(proc + "/root", directory) ||
           is_below(proc + "/exe", directory);
}

std::string name_of(pid_t pid) {
    auto const comm = read_file("/proc/" + std::to_string(pid) + "/comm", 4096);
    if (!comm) return "?";
    auto text = to_text(*comm);
    if (text.ends_with('\n')) text.pop_back();
    return printable(text);
}

std::string command_of(pid_t pid) {
    auto const words = read_file("/proc/" + std::to_string(pid) + "/cmdline", 1 << 20);
    if (!words) return {};
    auto text = to_text(*words);
    std::ranges::replace(text, '\0', ' ');
    return text;
}

// Absolute, without a slash at its end.
std::string normal(std::string const& directory) {
    auto text = fs::path(directory).lexically_normal().string();
    while (text.size() > 1 && text.ends_with('/')) text.pop_back();
    return text;
}

// One process that cannot become another one while we hold it.
class Held {
  public:
    explicit Held(pid_t pid) : handle_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
    explicit operator bool() const { return static_cast<bool>(handle_); }
    void signal(int number) const { ::syscall(SYS_pidfd_send_signal, handle_.get(), number, nullptr, 0); }
    bool ended() const {
        pollfd poll{.fd = handle_.get(), .events = POLLIN, .revents = 0};
        return ::poll(&poll, 1, 0) == 1;
    }

  private:
    Fd handle_;
};

}  // namespace

Result<std::vector<ProcessBelow>> processes_below(std::string const& directory) {
    auto const below = normal(directory);
    std::vector<ProcessBelow> found;
    std::error_code failed;
    fs::directory_iterator entries("/proc", failed);
    for (; !failed && entries != fs::directory_iterator(); entries.increment(failed)) {
        auto const text = entries->path().filename().string();
        pid_t pid = 0;
        auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
        if (error != std::errc() || end != text.data() + text.size() || pid == ::getpid()) continue;
        if (works_below(pid, below)) found.push_back({pid, name_of(pid), command_of(pid)});
    }
    if (failed) return fail(errno_error("read '/proc'", failed.value()));
    return found;
}

Result<std::vector<ProcessBelow>> stop_processes_below(std::string const& directory, Duration grace) {
    auto const below = normal(directory);
    std::vector<ProcessBelow> ended;
    auto& clock = system_clock();
    // Twice: what was started while the first were being ended is ended too.
    for (int number : {SIGTERM, SIGKILL, SIGKILL}) {
        auto const found = TRY(processes_below(directory));
        std::vector<Held> held;
        for (auto const& process : found) {
            Held handle(process.pid);
            if (!handle || !works_below(process.pid, below)) continue;
            handle.signal(number);
            held.push_back(std::move(handle));
            ended.push_back(process);
        }
        auto const deadline = clock.elapsed() + grace;
        auto const all_ended = [&] {
            for (auto const& handle : held) {
                if (!handle.ended()) return false;
            }
            return true;
        };
        while (!all_ended() && clock.elapsed() < deadline) clock.sleep(kPause, {});
    }
    auto const left = TRY(processes_below(directory));
    if (!left.empty()) {
        return fail(ErrorKind::io, "process " + std::to_string(left.front().pid) + " (" + left.front().name +
                                       ") works below '" + printable(directory) + "' and does not end");
    }
    return ended;
}

}  // namespace holdfast
