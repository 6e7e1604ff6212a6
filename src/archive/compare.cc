#include "archive/compare.h"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

namespace holdfast {
namespace {

constexpr std::size_t kReadBytes = 1u << 20;

bool all_zero(ByteView bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

LiveFile::LiveFile(int fd, std::uint64_t size) : fd_(fd), size_(size) {
    auto hole = size == 0 ? off_t{0} : ::lseek(fd, 0, SEEK_HOLE);
    has_holes_ = hole >= 0 && static_cast<std::uint64_t>(hole) < size;
}

LiveFile::Match LiveFile::match(Fetch const& fetch, Extent const& extent, std::uint64_t offset) {
    if (offset > size_ || extent.length > size_ - offset) return Match::different;
    auto end = offset + extent.length;
    if (!extent.chunk) return match_hole(offset, end);
    if (extent.offset != 0) return Match::unknown;
    buffer_.resize(extent.length);
    auto got = read_at(fd_, buffer_, offset);
    if (!got || *got != extent.length) return Match::different;
    // A part of a chunk from its beginning looks different, too: whoever cares fetches it.
    if (fetch.id_of(buffer_) != *extent.chunk) return Match::different;
    if (!has_holes_) return Match::same;
    auto hole = ::lseek(fd_, static_cast<off_t>(offset), SEEK_HOLE);
    return hole >= 0 && static_cast<std::uint64_t>(hole) < end ? Match::allocation : Match::same;
}

LiveFile::Match LiveFile::match_hole(std::uint64_t offset, std::uint64_t end) {
    auto match = Match::same;
    while (offset < end) {
        auto data = ::lseek(fd_, static_cast<off_t>(offset), SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;
        auto from = data < 0 ? offset : static_cast<std::uint64_t>(data);
        if (from >= end) break;
        match = Match::allocation;
        buffer_.resize(std::min<std::uint64_t>(kReadBytes, end - from));
        auto got = read_at(fd_, buffer_, from);
        if (!got || *got != buffer_.size() || !all_zero(buffer_)) return Match::different;
        offset = from + buffer_.size();
    }
    return match;
}

}  // namespace holdfast
