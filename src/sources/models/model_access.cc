#include "sources/models/model_access.h"

#include <algorithm>
#include <sys/stat.h>

#include "os/file.h"

namespace holdfast {

Result<FileAccess> FileAccess::open(int fd) {
    struct stat status {};
    if (fstat(fd, &status) != 0) return fail(errno_error("stat", errno));
    return FileAccess(fd, static_cast<std::uint64_t>(status.st_size));
}

Result<void> FileAccess::read(std::uint64_t offset, ByteSpan bytes) const {
    auto got = TRY(pread_full(fd_, bytes, offset));
    if (got != bytes.size()) return fail(ErrorKind::io, "it shrank while it was read");
    return {};
}

Result<PointAccess> PointAccess::open(Fetch& fetch, Content const& content, std::stop_token stop) {
    PointAccess access(fetch, content.size, stop);
    std::uint64_t at = 0;
    auto visit = [&](std::span<Extent const> extents) -> Result<void> {
        for (auto const& extent : extents) {
            access.pieces_.push_back({at, extent});
            at += extent.length;
        }
        return {};
    };
    TRY(fetch.extents(content, visit, stop));
    if (at != content.size) return fail(ErrorKind::damaged, "its extents do not add up to its size");
    return access;
}

Result<void> PointAccess::read(std::uint64_t offset, ByteSpan bytes) const {
    if (offset > size_ || bytes.size() > size_ - offset) return fail(ErrorKind::internal, "read beyond the end");
    auto piece = std::ranges::upper_bound(pieces_, offset, {}, &Piece::begin);
    while (!bytes.empty()) {
        auto const& [begin, extent] = *(piece - 1);
        auto inside = offset - begin;
        auto size = std::min<std::uint64_t>(bytes.size(), extent.length - inside);
        if (!extent.chunk) {
            std::fill_n(bytes.begin(), size, 0);
        } else {
            if (held_id_ != extent.chunk) {
                held_id_.reset();
                held_ = TRY(fetch_->chunk(*extent.chunk, stop_));
                held_id_ = extent.chunk;
            }
            if (extent.offset + extent.length > held_.size()) return fail(ErrorKind::damaged, "an extent reaches beyond its chunk");
            std::copy_n(held_.begin() + static_cast<std::ptrdiff_t>(extent.offset + inside), size, bytes.begin());
        }
        bytes = bytes.subspan(size);
        offset += size;
        ++piece;
    }
    return {};
}

}  // namespace holdfast
