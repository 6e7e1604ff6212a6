#include "os/file_lock.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/file.h>

#include "os/file.h"

namespace holdfast {

Result<Fd> lock_file(std::string const& path) {
    auto fd = TRY(open_file(path, O_RDWR | O_CREAT));
    while (flock(fd.get(), LOCK_EX) != 0) {
        if (errno != EINTR)
            return fail(errno_error("lock '" + path + "'", errno));
    }
    return fd;
}

Result<std::optional<Fd>> try_lock_file(std::string const& path) {
    auto fd = TRY(open_file(path, O_RDWR | O_CREAT));
    while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK)
            return std::optional<Fd>();
        if (errno != EINTR)
            return fail(errno_error("lock '" + path + "'", errno));
    }
    return std::optional<Fd>(std::move(fd));
}

}  // namespace holdfast
