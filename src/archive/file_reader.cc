#include "archive/file_reader.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

namespace holdfast {
namespace {

constexpr std::uint64_t kReadAheadBytes = 8u << 20;
// What is read at once is still in the processor's cache when it is cut and hashed.
constexpr std::size_t kReadStepBytes = 1u << 20;

// Where the next run of data begins and ends, from `at`; an empty run at the end when only a hole is
// left. A file system that knows no holes has one run.
std::pair<std::uint64_t, std::uint64_t> next_data(int fd, std::uint64_t at, std::uint64_t size) {
    auto data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0 && errno == ENXIO) {
        struct stat status;  // it may have shrunk: what is behind its end is no hole
        if (::fstat(fd, &status) != 0) return {at, at};
        auto end = std::clamp(static_cast<std::uint64_t>(status.st_size), at, std::max(at, size));
        return {end, end};
    }
    if (data < 0) return {at, size};
    auto begin = std::min(static_cast<std::uint64_t>(data), size);
    auto hole = ::lseek(fd, data, SEEK_HOLE);
    auto end = hole < 0 ? size : std::min(static_cast<std::uint64_t>(hole), size);
    return {begin, std::max(begin, end)};
}

}  // namespace

Result<ReadFile> read_file(int fd, std::uint64_t size, Ingest& ingest, Layout layout,
                           std::function<void(std::uint64_t)> const& on_bytes, std::stop_token stop) {
    ReadFile read;
    if (size == 0) {
        // Files of the kernel have no size and content nevertheless.
        std::uint8_t first;
        auto got = read_at(fd, {&first, 1}, 0);
        if (!got) read.error = got.error();
        if (!got || *got == 0) return read;
        size = UINT64_MAX;
    }
    if (size > kReadStepBytes) (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    auto stream = ingest.open_stream(ChunkKind::data, std::move(layout));
    std::uint64_t ahead = 0;
    bool ended = false;
    RandomnessSampler sampler;
    while (read.bytes < size && !ended) {
        auto [begin, end] = size == UINT64_MAX ? std::pair(read.bytes, size) : next_data(fd, read.bytes, size);
        if (begin > read.bytes) {
            TRY(stream->hole(begin - read.bytes));
            on_bytes(begin - read.bytes);
            read.bytes = begin;
        }
        if (begin == end) break;
        while (read.bytes < end && !ended) {
            if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
            if (size > kReadStepBytes && read.bytes >= ahead) {
                (void)::posix_fadvise(fd, static_cast<off_t>(read.bytes), kReadAheadBytes, POSIX_FADV_WILLNEED);
                ahead = read.bytes + kReadAheadBytes / 2;
            }
            auto want = stream->room();
            want = want.first(std::min<std::uint64_t>({want.size(), kReadStepBytes, end - read.bytes}));
            auto got = read_at(fd, want, read.bytes);
            if (!got) {
                read.error = got.error();
                return read;
            }
            sampler.add(read.bytes, want.first(*got));
            TRY(stream->filled(*got));
            on_bytes(*got);
            read.bytes += *got;
            ended = *got < want.size();
        }
    }
    read.sample = sampler.finish();
    read.content = TRY(stream->finish());
    if (read.content.depth > 0) {
        auto chunks = stream->chunks();
        read.lists_chunks.assign(chunks.begin(), chunks.end());
        read.says_chunks = !chunks.empty();
    }
    return read;
}

}  // namespace holdfast
