#include "os/machine.h"

#include <cerrno>
#include <charconv>
#include <climits>
#include <csignal>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/text.h"
#include "os/fd.h"

namespace holdfast {
namespace {

// A file of /proc, which is small.
std::string read_proc(std::string const& path) {
    Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file)
        return {};
    char buffer[4096];
    auto size = read(file.get(), buffer, sizeof buffer);
    return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
}

// When the process started, in clock ticks since boot: field 22 of /proc/PID/stat. The second field
// is the program's name, which may hold anything: counted from the last parenthesis.
std::optional<std::uint64_t> start_of(pid_t pid) {
    auto text = read_proc(fmt::format("/proc/{}/stat", pid));
    auto at = text.rfind(')');
    if (at == std::string::npos || at + 2 > text.size())
        return std::nullopt;
    auto fields = split(std::string_view(text).substr(at + 2), ' ');
    constexpr std::size_t kStartField = 22 - 3;
    if (fields.size() <= kStartField)
        return std::nullopt;
    std::uint64_t start = 0;
    auto const& field = fields[kStartField];
    auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), start);
    if (error != std::errc())
        return std::nullopt;
    return start;
}

// Where a pid means something: one boot of one kernel, one pid name space. At most 33 characters.
std::string pid_place() {
    struct stat space {};
    stat("/proc/self/ns/pid", &space);
    auto boot = boot_id();
    std::erase(boot, '-');
    return fmt::format("{}-{}", boot.substr(0, 16), space.st_ino);
}

}  // namespace

std::string host_name() {
    char buffer[HOST_NAME_MAX + 1] = {};
    return gethostname(buffer, sizeof buffer - 1) == 0 ? buffer : "";
}

std::string system_name() {
    utsname name{};
    if (uname(&name) != 0) return "";
    return std::string(name.sysname) + " " + name.release + " " + name.machine;
}

std::string boot_id() {
    auto text = read_proc("/proc/sys/kernel/random/boot_id");
    while (!text.empty() && text.back() == '\n')
        text.pop_back();
    return text;
}

pid_t process_id() {
    return getpid();
}

std::string process_name() {
    return fmt::format("{}-{}-{}", pid_place(), getpid(), start_of(getpid()).value_or(0));
}

bool process_may_live(std::string_view name) {
    auto place = pid_place() + "-";
    if (!name.starts_with(place))
        return true;
    auto fields = split(name.substr(place.size()), '-');
    if (fields.size() != 2)
        return true;
    pid_t pid = 0;
    std::uint64_t start = 0;
    auto number = [](std::string const& text, auto& value) {
        auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        return error == std::errc() && end == text.data() + text.size();
    };
    if (!number(fields[0], pid) || !number(fields[1], start) || pid <= 0)
        return true;
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return false;
    // Somebody has this number now: the same process only if it started at the same moment.
    auto found = start_of(pid);
    return !found || *found == start;
}

Result<Space> space_of(std::string const& path) {
    struct statvfs stat {};
    if (statvfs(path.c_str(), &stat) != 0) {
        return fail(
            errno_error(fmt::format("look at the free space of '{}'", printable(path)), errno));
    }
    return Space{stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize};
}

}  // namespace holdfast
