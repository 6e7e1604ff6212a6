#include "repo/chunker.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "crypto/crypto.h"

namespace holdfast {
namespace {

// The highest bits of the hash depend on the most bytes.
constexpr std::uint64_t high_bits(unsigned count) { return ~0ull << (64 - count); }
constexpr std::uint64_t kMaskBefore = high_bits(22);
constexpr std::uint64_t kMaskBehind = high_bits(18);

}  // namespace

GearTable make_gear_table(ByteView id_key) {
    auto stream = hkdf_sha256(id_key, {}, as_bytes("holdfast gear table 1"), 256 * 8);
    GearTable table;
    ByteReader reader(stream.view());
    for (auto& value : table) value = reader.u64();
    return table;
}

Chunker::Chunker(GearTable const& gear, Layout layout, BufferPool* pool)
    : gear_(gear), pool_(pool), layout_(std::move(layout)) {}

ByteView Chunker::feed(ByteView bytes) {
    assert(!full_);
    if (bytes.empty()) return bytes;
    std::size_t size;
    if (layout_.cut == Layout::Cut::content) {
        size = scan(bytes);
    } else {
        auto wanted = to_next_cut() - buffer_.size();
        full_ = bytes.size() >= wanted;
        size = std::min(bytes.size(), wanted);
    }
    if (buffer_.empty() && size >= kChunkMin) {
        // A chunk that is not complete usually needs one more read: room for it saves a copy.
        auto room = full_ ? size : size + kChunkAverage;
        if (pool_) buffer_ = pool_->take(room);
        buffer_.clear();
        buffer_.reserve(room);
    }
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    return bytes.subspan(size);
}

// How many of `bytes` belong to the chunk; sets full_ when it ends within them.
std::size_t Chunker::scan(ByteView bytes) {
    auto const start = buffer_.size();
    auto const end = std::min(kChunkMax - start, bytes.size());
    auto at = start < kChunkMin ? std::min(kChunkMin - start, end) : 0;
    auto hash = hash_;
    auto search = [&](std::size_t until, std::uint64_t mask) {
        while (at < until) {
            hash = (hash << 1) + gear_[bytes[at++]];
            if ((hash & mask) == 0) return true;
        }
        return false;
    };
    auto const average = start < kChunkAverage ? std::min(kChunkAverage - start, end) : 0;
    full_ = search(average, kMaskBefore) || search(end, kMaskBehind) || start + at == kChunkMax;
    hash_ = hash;
    return at;
}

// Size of the chunk that ends at the next cut of a layout that states them.
std::size_t Chunker::to_next_cut() const {
    if (layout_.cut == Layout::Cut::pages) return kPagesChunk - offset_ % kPagesChunk;
    auto at = next_cut_;
    while (at < layout_.cuts.size() && layout_.cuts[at] <= offset_) ++at;
    if (at == layout_.cuts.size()) return kStatedChunk;
    return static_cast<std::size_t>(std::min<std::uint64_t>(layout_.cuts[at] - offset_, kStatedChunk));
}

Bytes Chunker::take() {
    offset_ += buffer_.size();
    while (next_cut_ < layout_.cuts.size() && layout_.cuts[next_cut_] <= offset_) ++next_cut_;
    hash_ = 0;
    full_ = false;
    return std::exchange(buffer_, {});
}

void Chunker::skip(std::uint64_t length) {
    assert(empty());
    offset_ += length;
}

}  // namespace holdfast
