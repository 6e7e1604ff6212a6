#include "codec/planes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <vector>

#include "codec/huffman_run.h"
#include "codec/plane_groups.h"

namespace holdfast {
namespace {

constexpr std::size_t kHeadBytes = 1 + 1 + 1 + 4;
// What is looked at to decide whether a plane is coded: so many blocks, 4 KiB of each plane.
constexpr std::size_t kSampleBlocks = 16;
// A plane of which a sample needs more bits a byte is left as it is. 4,096 random bytes seem to need 7.955.
constexpr std::uint64_t kSampleBitsMax = 784;  // in 1/100

struct Scratch {
    std::array<Bytes, kPlanesMax> planes;  // bytes of coded planes, block behind block
    Bytes gathered;                        // those of one group
    std::vector<std::uint32_t> sums;
    PlaneGroups groups;
    HuffmanEncoder encoder;
    HuffmanDecoder decoder;
};
Scratch& scratch() {
    static thread_local Scratch memory;
    return memory;
}
std::uint8_t* room(Bytes& memory, std::size_t size) {
    if (memory.size() < size) memory.resize(size);
    return memory.data();
}

std::uint8_t head_byte(ElementForm form) {
    return static_cast<std::uint8_t>(std::countr_zero(form.width) | static_cast<int>(form.transform) << 2);
}

bool all_zero(std::uint8_t const* bytes, std::size_t size) {
    return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, size - 1) == 0;
}

// Bit k: plane k seems worth coding.
unsigned planes_to_code(ByteView raw, std::size_t blocks, ElementForm form, PlaneKernel const& kernel) {
    std::array<std::array<std::uint8_t, kPlaneBlock>, kPlanesMax> sample;
    std::array<std::uint8_t*, kPlanesMax> planes;
    for (std::size_t k = 0; k < form.width; ++k) planes[k] = sample[k].data();
    std::array<ByteCounter, kPlanesMax> counters;
    auto const looks = std::min(kSampleBlocks, blocks);
    std::size_t seen = 0;
    for (std::size_t i = 0; i < looks; ++i) {
        auto const* block = raw.data() + i * blocks / looks * kPlaneBlock * form.width;
        if (all_zero(block, kPlaneBlock * form.width)) continue;
        kernel.split(block, planes.data());
        for (std::size_t k = 0; k < form.width; ++k) counters[k].add(sample[k]);
        seen += kPlaneBlock;
    }
    unsigned mask = 0;
    for (std::size_t k = 0; k < form.width; ++k) {
        if (entropy_cost(counters[k].total()) * 100 <= (kSampleBitsMax * seen << 12)) mask |= 1u << k;
    }
    return mask;
}

class PlanesWriter {
  public:
    PlanesWriter(ByteView raw, ElementForm form, ByteSpan out, PlaneKernel const& kernel)
        : raw_(raw), form_(form), kernel_(kernel), out_(out.data()), at_(out.data()),
          blocks_(raw.size() / (kPlaneBlock * form.width)) {}

    std::size_t run();

  private:
    void split_blocks();
    void write_numbers();
    void write_group(std::size_t plane, std::size_t group);

    ByteView raw_;
    ElementForm form_;
    PlaneKernel kernel_;
    std::uint8_t* const out_;
    std::uint8_t* at_;
    std::size_t const blocks_;
    std::size_t kept_ = 0;  // blocks that are not all zero
    unsigned mask_ = 0;     // of planes that are coded
    Scratch& memory_ = scratch();
};

// Planes that stay raw go straight to their place, the others to memory of their own.
void PlanesWriter::split_blocks() {
    auto const plane_bytes = blocks_ * kPlaneBlock;
    std::array<std::uint8_t*, kPlanesMax> planes, ends;
    auto* raw_plane = at_;
    for (std::size_t k = 0; k < form_.width; ++k) {
        if (mask_ & 1u << k) {
            planes[k] = room(memory_.planes[k], plane_bytes);
        } else {
            planes[k] = raw_plane;
            raw_plane += plane_bytes;
        }
    }
    ends = planes;
    auto const top = form_.width - 1;
    auto const block_bytes = kPlaneBlock * form_.width;
    memory_.sums.resize(blocks_);
    for (std::size_t i = 0; i < blocks_; ++i) {
        auto const* block = raw_.data() + i * block_bytes;
        kernel_.split(block, ends.data());
        auto sum = kernel_.sum(ends[top]);
        if (sum == 0 && all_zero(block, block_bytes)) {
            memory_.sums[i] = kNoBlock;
            continue;
        }
        memory_.sums[i] = sum;
        ++kept_;
        for (std::size_t k = 0; k < form_.width; ++k) ends[k] += kPlaneBlock;
    }
    for (std::size_t k = 0; k < form_.width; ++k) {
        if (mask_ & 1u << k) continue;
        if (at_ != planes[k]) std::memmove(at_, planes[k], kept_ * kPlaneBlock);
        at_ += kept_ * kPlaneBlock;
    }
}

void PlanesWriter::write_numbers() {
    auto const& groups = memory_.groups;
    if (groups.count <= 1 && (kept_ == blocks_ || kept_ == 0)) return;
    for (std::size_t i = 0; i < blocks_; i += 2) {
        auto low = groups.of_block[i];
        auto high = i + 1 < blocks_ ? groups.of_block[i + 1] : std::uint8_t{0};
        *at_++ = static_cast<std::uint8_t>(low | high << 4);
    }
}

void PlanesWriter::write_group(std::size_t plane, std::size_t group) {
    auto const* source = memory_.planes[plane].data();
    std::size_t size = kept_ * kPlaneBlock;
    if (memory_.groups.count > 1) {
        auto* to = room(memory_.gathered, size);
        auto const* from = source;
        source = to;
        for (auto of_block : memory_.groups.of_block) {
            if (of_block == kZeroBlock) continue;
            if (of_block == group) {
                std::memcpy(to, from, kPlaneBlock);
                to += kPlaneBlock;
            }
            from += kPlaneBlock;
        }
        size = static_cast<std::size_t>(to - source);
    }
    ByteView bytes(source, size);
    ByteCounts fresh;
    auto const* counts = &memory_.groups.counts[group];
    if (plane != form_.width - 1) {
        ByteCounter counter;
        counter.add(bytes);
        fresh = counter.total();
        counts = &fresh;
    }
    at_ = write_run(bytes, *counts, memory_.encoder, at_);
}

std::size_t PlanesWriter::run() {
    if (blocks_ > 0) mask_ = planes_to_code(raw_, blocks_, form_, kernel_) | 1u << (form_.width - 1);
    at_ += kHeadBytes;
    split_blocks();
    group_blocks(memory_.sums, memory_.planes[form_.width - 1].data(), memory_.groups);
    write_numbers();
    for (auto k = form_.width; k-- > 0;) {
        if (!(mask_ & 1u << k)) continue;
        for (std::size_t group = 0; group < memory_.groups.count; ++group) write_group(k, group);
    }
    auto tail = raw_.subspan(blocks_ * kPlaneBlock * form_.width);
    at_ = std::copy(tail.begin(), tail.end(), at_);
    out_[0] = head_byte(form_);
    out_[1] = static_cast<std::uint8_t>(mask_);
    out_[2] = static_cast<std::uint8_t>(memory_.groups.count);
    auto kept = static_cast<std::uint32_t>(kept_);
    std::memcpy(out_ + 3, &kept, sizeof kept);
    return static_cast<std::size_t>(at_ - out_);
}

std::unexpected<Error> damaged(char const* what) {
    return fail(ErrorKind::damaged, std::string("frame: planes: ") + what);
}

class PlanesReader {
  public:
    PlanesReader(ByteView stored, ByteSpan raw, Instructions instructions)
        : stored_(stored), raw_(raw), instructions_(instructions) {}

    Result<void> run();

  private:
    Result<void> read_head();
    Result<void> read_numbers();
    Result<void> read_groups(std::size_t plane);
    void merge_blocks();

    // The next `size` bytes; empty when there are not so many.
    ByteView take(std::size_t size) {
        if (size > stored_.size()) return {};
        auto bytes = stored_.first(size);
        stored_ = stored_.subspan(size);
        return bytes;
    }

    ByteView stored_;
    ByteSpan raw_;
    Instructions instructions_;
    ElementForm form_{1, Transform::none};
    PlaneKernel kernel_{};
    std::size_t blocks_ = 0, kept_ = 0, group_count_ = 0;
    unsigned mask_ = 0;
    std::array<std::size_t, kPlaneGroupsMax + 1> group_blocks_{};
    std::array<std::uint8_t const*, kPlanesMax> planes_{};  // raw ones in `stored`, coded ones in memory
    Scratch& memory_ = scratch();
};

Result<void> PlanesReader::read_head() {
    auto head = take(kHeadBytes);
    if (head.empty()) return damaged("ends early");
    if (head[0] >> 4 != 0 || head[0] >> 2 > static_cast<int>(Transform::zigzag)) return damaged("unknown elements");
    form_ = {std::size_t{1} << (head[0] & 3), static_cast<Transform>(head[0] >> 2)};
    kernel_ = plane_kernel(form_, instructions_);
    mask_ = head[1];
    group_count_ = head[2];
    std::uint32_t kept;
    std::memcpy(&kept, head.data() + 3, sizeof kept);
    kept_ = kept;
    blocks_ = raw_.size() / (kPlaneBlock * form_.width);
    if (mask_ >> form_.width != 0) return damaged("more planes than bytes of an element");
    if (kept_ > blocks_ || group_count_ > kPlaneGroupsMax || (group_count_ == 0) != (kept_ == 0)) {
        return damaged("an impossible number of blocks or groups");
    }
    return {};
}

Result<void> PlanesReader::read_numbers() {
    auto& of_block = memory_.groups.of_block;
    if (group_count_ <= 1 && (kept_ == blocks_ || kept_ == 0)) {
        of_block.assign(blocks_, kept_ == 0 ? kZeroBlock : std::uint8_t{0});
        group_blocks_[0] = kept_;
        return {};
    }
    auto numbers = take((blocks_ + 1) / 2);
    if (numbers.empty()) return damaged("ends early");
    of_block.resize(blocks_);
    for (std::size_t i = 0; i < blocks_; ++i) {
        auto number = static_cast<std::uint8_t>(numbers[i / 2] >> (i % 2 * 4) & 15);
        if (number >= group_count_ && number != kZeroBlock) return damaged("a block of no group");
        of_block[i] = number;
        ++group_blocks_[number];
    }
    if (blocks_ - group_blocks_[kZeroBlock] != kept_) return damaged("another number of blocks than stated");
    for (std::size_t i = 0; i < group_count_; ++i) {
        if (group_blocks_[i] == 0) return damaged("a group without blocks");
    }
    return {};
}

Result<void> PlanesReader::read_groups(std::size_t plane) {
    auto* to = room(memory_.planes[plane], kept_ * kPlaneBlock);
    planes_[plane] = to;
    for (std::size_t group = 0; group < group_count_; ++group) {
        ByteSpan bytes(to, group_blocks_[group] * kPlaneBlock);
        to += bytes.size();
        TRY(read_run(stored_, memory_.decoder, 255, bytes).within("frame: planes"));
    }
    return {};
}

void PlanesReader::merge_blocks() {
    // Coded planes lie group by group, raw ones block by block.
    std::array<std::size_t, kPlaneGroupsMax> in_group{};
    for (std::size_t group = 1; group < group_count_; ++group) {
        in_group[group] = in_group[group - 1] + group_blocks_[group - 1] * kPlaneBlock;
    }
    std::size_t in_order = 0;
    auto const block_bytes = kPlaneBlock * form_.width;
    std::array<std::uint8_t const*, kPlanesMax> at{};
    for (std::size_t i = 0; i < blocks_; ++i) {
        auto* to = raw_.data() + i * block_bytes;
        auto group = memory_.groups.of_block[i];
        if (group == kZeroBlock) {
            std::memset(to, 0, block_bytes);
            continue;
        }
        for (std::size_t k = 0; k < form_.width; ++k) {
            at[k] = planes_[k] + (mask_ & 1u << k ? in_group[group] : in_order);
        }
        kernel_.merge(at.data(), to);
        in_group[group] += kPlaneBlock;
        in_order += kPlaneBlock;
    }
}

Result<void> PlanesReader::run() {
    TRY(read_head());
    for (std::size_t k = 0; k < form_.width && kept_ > 0; ++k) {
        if (mask_ & 1u << k) continue;
        auto plane = take(kept_ * kPlaneBlock);
        if (plane.empty()) return damaged("ends early");
        planes_[k] = plane.data();
    }
    TRY(read_numbers());
    for (auto k = form_.width; k-- > 0;) {
        if (mask_ & 1u << k) TRY(read_groups(k));
    }
    auto tail = raw_.subspan(blocks_ * kPlaneBlock * form_.width);
    if (stored_.size() != tail.size()) return damaged("another length than stated");
    merge_blocks();
    std::copy(stored_.begin(), stored_.end(), tail.begin());
    return {};
}

}  // namespace

std::size_t planes_bytes_max(std::size_t raw_bytes) {
    // Raw bytes, the numbers of the blocks, and what the encoder of a run may need besides.
    return raw_bytes + raw_bytes / 256 + kHeadBytes + kPlanesMax * kPlaneGroupsMax * (kRunOverhead + 128) + 64;
}

std::size_t encode_planes(ByteView raw, Element element, ByteSpan out, Instructions instructions) {
    assert(out.size() >= planes_bytes_max(raw.size()));
    auto form = form_of(element);
    return PlanesWriter(raw, form, out, plane_kernel(form, instructions)).run();
}

Result<void> decode_planes(ByteView stored, ByteSpan raw, Instructions instructions) {
    return PlanesReader(stored, raw, instructions).run();
}

}  // namespace holdfast
