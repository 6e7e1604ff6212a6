#include "overlay/local_file.h"

#include <cerrno>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "base/text.h"
#include "os/file.h"

namespace holdfast {
namespace {

std::unexpected<Error> call_failed(std::string_view verb, std::string const& path) {
    auto number = errno;
    return fail(errno_error(fmt::format("{} '{}'", verb, printable(path)), number));
}

}  // namespace

Result<std::uint64_t> OpenLocalFile::size() {
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0) return call_failed("look at", path_);
    return static_cast<std::uint64_t>(status.st_size);
}

Result<std::size_t> OpenLocalFile::read(std::uint64_t offset, ByteSpan to) {
    return pread_full(file_, to, offset).within(fmt::format("read '{}'", printable(path_)));
}

Result<void> OpenLocalFile::write(std::uint64_t offset, ByteView bytes) {
    return pwrite_full(file_, bytes, offset).within(fmt::format("write '{}'", printable(path_)));
}

Result<void> OpenLocalFile::truncate(std::uint64_t size) {
    if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) return call_failed("truncate", path_);
    return {};
}

Result<void> OpenLocalFile::allocate(std::uint64_t offset, std::uint64_t length, Growth growth) {
    auto mode = growth == Growth::keep_size ? FALLOC_FL_KEEP_SIZE : 0;
    if (::fallocate(file_.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(length)) != 0)
        return call_failed("make room in", path_);
    return {};
}

Result<void> OpenLocalFile::sync() {
    if (::fdatasync(file_.get()) != 0) return call_failed("sync", path_);
    return {};
}

}  // namespace holdfast
