#include "repo/chunker.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "crypto/crypto.h"
#include "repo/gear_scan.h"

namespace holdfast {
namespace {

// The highest bits of the hash depend on the most bytes.
constexpr std::uint64_t high_bits(unsigned count) { return ~0ull << (64 - count); }
constexpr std::uint64_t kMaskBefore = high_bits(22);
constexpr std::uint64_t kMaskBehind = high_bits(18);

// Most streams are small: they begin in little memory. Later a chunk that begins at the end of one
// memory is moved to the next: once in so many bytes.
constexpr std::size_t kFirstMemory = 256u << 10;
constexpr std::size_t kMemory = 8u << 20;
constexpr std::size_t kRoomMin = 64u << 10;
static_assert(kMemory >= kChunkMax + kRoomMin);

}  // namespace

GearTable make_gear_table(ByteView id_key) {
    auto stream = hkdf_sha256(id_key, {}, as_bytes("holdfast gear table 1"), 256 * 8);
    GearTable table;
    ByteReader reader(stream.view());
    for (auto& value : table) value = reader.u64();
    return table;
}

Chunker::Chunker(GearTable const& gear, Layout layout, MemoryPool& pool)
    : gear_(gear), pool_(pool), layout_(std::move(layout)) {}

ByteSpan Chunker::room() {
    assert(!full_);
    if (!memory_ || memory_->size() - end_ < kRoomMin) move_to_new_memory();
    return memory_->span().subspan(end_);
}

// The beginning of the open chunk comes along.
void Chunker::move_to_new_memory() {
    auto begun = end_ - begin_;
    auto memory = pool_.take(begun + kRoomMin < kFirstMemory ? kFirstMemory : kMemory);
    if (begun > 0) std::memcpy(memory->span().data(), memory_->view().data() + begin_, begun);
    memory_ = std::move(memory);
    at_ -= begin_;
    end_ = begun;
    begin_ = 0;
}

void Chunker::filled(std::size_t size) {
    assert(!full_ && (size == 0 || size <= memory_->size() - end_));
    end_ += size;
    advance();
}

ByteView Chunker::feed(ByteView bytes) {
    if (bytes.empty()) return bytes;
    auto into = room();
    auto size = std::min(into.size(), bytes.size());
    std::memcpy(into.data(), bytes.data(), size);
    filled(size);
    return bytes.subspan(size);
}

// Goes on to the end of the chunk, or of what is there.
void Chunker::advance() {
    if (layout_.cut == Layout::Cut::content) return scan();
    auto wanted = to_next_cut();
    full_ = end_ - begin_ >= wanted;
    at_ = full_ ? begin_ + wanted : end_;
}

void Chunker::scan() {
    auto const end = std::min(begin_ + kChunkMax, end_);
    auto const* const bytes = memory_->view().data();
    GearPosition position{std::max(at_, std::min(begin_ + kChunkMin, end)), hash_};
    auto const pass = best_gear_pass();
    auto search = [&](std::size_t until, std::uint64_t mask) {
        if (pass != nullptr) pass(gear_, bytes, until, mask, position);
        return find_cut(gear_, bytes, until, mask, position);
    };
    full_ = search(std::min(begin_ + kChunkAverage, end), kMaskBefore) || search(end, kMaskBehind) ||
            position.at - begin_ == kChunkMax;
    hash_ = position.hash;
    at_ = position.at;
}

// Index of the first cut behind the chunk's begin.
std::size_t Chunker::cut_behind() const {
    auto at = next_cut_;
    while (at < layout_.cuts.size() && layout_.cuts[at] <= offset_) ++at;
    return at;
}

Element Chunker::element() const {
    if (layout_.cut != Layout::Cut::stated) return Element::none;
    auto at = cut_behind();
    return at == 0 || at > layout_.elements.size() ? Element::none : layout_.elements[at - 1];
}

// Size of the chunk that ends at the next cut of a layout that states them.
std::size_t Chunker::to_next_cut() const {
    if (layout_.cut == Layout::Cut::pages) return kPagesChunk - offset_ % kPagesChunk;
    auto at = cut_behind();
    if (at == layout_.cuts.size()) return kStatedChunk;
    return static_cast<std::size_t>(std::min<std::uint64_t>(layout_.cuts[at] - offset_, kStatedChunk));
}

Slice Chunker::take() {
    Slice chunk{memory_, memory_->view().subspan(begin_, at_ - begin_)};
    offset_ += at_ - begin_;
    begin_ = at_;
    while (next_cut_ < layout_.cuts.size() && layout_.cuts[next_cut_] <= offset_) ++next_cut_;
    hash_ = 0;
    full_ = false;
    if (empty()) {
        // Whoever reads slowly holds nothing meanwhile.
        if (memory_->size() - end_ < kRoomMin) memory_ = nullptr, begin_ = at_ = end_ = 0;
    } else {
        advance();
    }
    return chunk;
}

void Chunker::skip(std::uint64_t length) {
    assert(empty());
    offset_ += length;
}

}  // namespace holdfast
