#include "plan/read_file.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fd.h"

namespace holdfast::plan {

Result<ReadFile> read_file(std::string const& path, std::size_t bytes_max) {
    auto what = fmt::format("open '{}'", path);
    Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) return fail(errno_error(what, errno));
    if (!S_ISREG(status.st_mode)) return fail(ErrorKind::usage, what + ": it is not a regular file");

    ReadFile read{.text = {}, .mode = status.st_mode};
    char buffer[64 << 10];
    for (;;) {
        auto size = ::read(file.get(), buffer, sizeof buffer);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return fail(errno_error(fmt::format("read '{}'", path), errno));
        if (size == 0) return read;
        read.text.append(buffer, static_cast<std::size_t>(size));
        if (read.text.size() > bytes_max) {
            return fail(ErrorKind::usage, fmt::format("read '{}': it is larger than {} bytes", path, bytes_max));
        }
    }
}

}  // namespace holdfast::plan
