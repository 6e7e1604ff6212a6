#include "mount/open_file.h"

#include <algorithm>
#include <array>

namespace holdfast {
namespace {

// A reader's window: enough to keep two processors and a store busy, and no more than a share of the cache,
// so that several readers do not push out what the others wait for.
constexpr std::uint64_t kWindowMax = 32u << 20;
constexpr std::uint64_t kWindowShare = 4;

constexpr std::array<std::uint8_t, 128u << 10> kZeros{};

}  // namespace

OpenFile::OpenFile(std::shared_ptr<FileMap const> map, ChunkCache& cache)
    : map_(std::move(map)),
      cache_(cache),
      readahead_(std::min<std::uint64_t>(kWindowMax, cache.bytes_max() / kWindowShare)) {}

Result<std::vector<Piece>> OpenFile::read(std::uint64_t offset, std::uint64_t size, std::stop_token stop) {
    std::vector<Piece> pieces;
    if (offset >= map_->size()) return pieces;
    auto end = offset + std::min(size, map_->size() - offset);
    std::optional<AheadRange> range;
    {
        std::lock_guard lock(mutex_);
        range = readahead_.after(offset, end);
    }
    // Before our own bytes are waited for: they are most likely in the window.
    if (range) fetch_ahead(*range);
    for (auto at = map_->find(offset); offset < end; ++at) {
        auto const& extent = map_->extent(at);
        auto skip = offset - map_->begin(at);
        auto length = std::min(extent.length - skip, end - offset);
        offset += length;
        if (!extent.chunk) {
            for (; length > 0; length -= pieces.back().bytes.size()) {
                pieces.push_back({nullptr, ByteView(kZeros).first(std::min<std::size_t>(length, kZeros.size()))});
            }
            continue;
        }
        auto chunk = TRY(cache_.get(*extent.chunk, stop));
        if (extent.offset > chunk->size() || extent.length > chunk->size() - extent.offset) {
            return fail(ErrorKind::damaged, "an extent beyond chunk " + extent.chunk->brief() + "'s end");
        }
        auto bytes = ByteView(*chunk).subspan(extent.offset + skip, length);
        pieces.push_back({std::move(chunk), bytes});
    }
    return pieces;
}

void OpenFile::fetch_ahead(AheadRange const& range) {
    std::vector<ChunkId> ids;
    for (auto at = map_->find(range.begin); at < map_->count() && map_->begin(at) < range.end; ++at) {
        auto const& chunk = map_->extent(at).chunk;
        if (chunk && (ids.empty() || ids.back() != *chunk)) ids.push_back(*chunk);
    }
    if (!ids.empty()) cache_.ahead(ids);
}

}  // namespace holdfast
