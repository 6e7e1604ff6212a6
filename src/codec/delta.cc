#include "codec/delta.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <vector>

#include "codec/delta_classes.h"
#include "codec/huffman_run.h"
#include "codec/planes.h"

namespace holdfast {
namespace {

enum class DeltaMode : std::uint8_t { planes = 0, differences = 1 };

constexpr std::size_t kDeltaHeadBytes = 1 + 1 + 1;
// Blocks that are looked at to decide what is written how; fewer of them for planes, which take longer.
constexpr std::size_t kDeltaLooks = 32;
constexpr std::size_t kDeltaPlaneLooks = 16;

struct DeltaScratch {
    DeltaCounts counts;
    Bytes scales, symbols, leads, dealt, rest_bytes, rest_bits, differing, sample;
    HuffmanEncoder encoder;
    HuffmanDecoder decoder;
};
DeltaScratch& delta_scratch() {
    static thread_local DeltaScratch memory;
    return memory;
}
std::uint8_t* delta_room(Bytes& memory, std::size_t size) {
    if (memory.size() < size) memory.resize(size);
    return memory.data();
}
constexpr std::size_t up_to_four(std::size_t size) { return (size + 3) / 4 * 4; }

constexpr bool is_float(Element element) { return form_of(element).transform == Transform::rotate; }
// How long the fraction of such a float may be; what is not a float has nothing else.
std::vector<unsigned> fractions_of(Element element) {
    switch (element) {
        case Element::float8: return {3, 2};    // E4M3, E5M2
        case Element::float16: return {7, 10};  // bfloat16, IEEE half
        case Element::float32: return {23};
        default: return {static_cast<unsigned>(8 * form_of(element).width) - 1};
    }
}
// Whether exponents of this shape fit into a byte.
bool is_shape(DeltaShape shape) {
    auto bits = 8 * shape.width - 1;
    return shape.width <= kDeltaWidthMax && shape.fraction <= bits && bits - shape.fraction <= 8;
}

// Blocks of one run of elements; the last one may have fewer, and is looked at in a copy.
class DeltaBlocks {
  public:
    DeltaBlocks(ByteView base, DeltaShape shape)
        : base_(base), shape_(shape), elements_(base.size() / shape.width) {}

    std::size_t count() const { return (elements_ + kDeltaBlock - 1) / kDeltaBlock; }
    std::size_t elements() const { return elements_; }
    std::size_t elements(std::size_t number) const { return std::min(kDeltaBlock, elements_ - number * kDeltaBlock); }
    bool is_whole(std::size_t number) const { return elements(number) == kDeltaBlock; }
    std::size_t width() const { return shape_.width; }
    // Both are good until the next call.
    DeltaBlock block(std::size_t number) {
        return {.base = padded(base_, number, base_copy_), .elements = elements(number), .shape = shape_};
    }
    std::uint8_t const* raw(ByteView raw, std::size_t number) { return padded(raw, number, raw_copy_); }

  private:
    using Copy = std::array<std::uint8_t, kDeltaBlock * kDeltaWidthMax>;
    std::uint8_t const* padded(ByteView bytes, std::size_t number, Copy& copy) {
        auto const* at = bytes.data() + number * kDeltaBlock * shape_.width;
        if (is_whole(number)) return at;
        copy.fill(0);
        std::copy_n(at, elements(number) * shape_.width, copy.begin());
        return copy.data();
    }

    ByteView base_;
    DeltaShape shape_;
    std::size_t elements_;
    Copy base_copy_, raw_copy_;
};

// What the blocks of a sample take in one shape.
struct DeltaLook {
    DeltaShape shape;
    DeltaClasses classes;
    std::size_t bytes = 0;  // that all would take, about
};
DeltaLook look_at_sample(ByteView raw, ByteView base, DeltaShape shape, Instructions instructions) {
    auto& counts = delta_scratch().counts;
    for (auto& row : counts) row.fill(0);
    DeltaBlocks blocks(base, shape);
    auto kernel = delta_kernel(shape.width, instructions);
    auto const looks = std::min(kDeltaLooks, blocks.count());
    std::size_t seen = 0;
    DeltaBytes symbols, leads;
    DeltaPlanes planes;
    for (std::size_t i = 0; i < looks; ++i) {
        auto number = i * blocks.count() / looks;
        auto block = blocks.block(number);
        kernel.look(block, blocks.raw(raw, number), symbols.data(), leads.data(), planes);
        for (std::size_t k = 0; k < block.elements; ++k) ++counts[leads[k]][symbols[k]];
        seen += block.elements;
    }
    DeltaLook look{.shape = shape, .classes = group_leads(counts, blocks.elements() / seen)};
    auto bits = delta_cost(counts) / seen * blocks.elements() >> 12;
    look.bytes = bits / 8 + blocks.count() + look.classes.count * 32;
    return look;
}
DeltaLook best_look(ByteView raw, ByteView base, Element element, Instructions instructions) {
    DeltaLook best;
    for (auto fraction : fractions_of(element)) {
        DeltaShape shape{.width = form_of(element).width, .ordered = is_float(element), .fraction = fraction};
        auto look = look_at_sample(raw, base, shape, instructions);
        if (best.bytes == 0 || look.bytes < best.bytes) best = look;
    }
    return best;
}

// Symbols that were dealt to their classes. Each class has room for more behind it than a kernel writes.
struct Dealt {
    std::array<std::uint8_t*, kDeltaClassesMax> begin{};
    DeltaSizes size{};
};
Dealt deal_symbols(DeltaKernel const& kernel, DeltaClasses const& classes, std::size_t elements) {
    auto& memory = delta_scratch();
    Dealt dealt;
    auto each_block = [&](auto const& body) {
        for (std::size_t begin = 0; begin < elements; begin += kDeltaBlock) {
            body(memory.symbols.data() + begin, memory.leads.data() + begin, std::min(kDeltaBlock, elements - begin));
        }
    };
    each_block([&](auto const*, auto const* leads, std::size_t size) { kernel.count(leads, size, classes, dealt.size); });
    auto* at = delta_room(memory.dealt, elements + kDeltaClassesMax * kDeltaDealBehind);
    DeltaEnds ends{};
    for (std::size_t i = 0; i < classes.count; ++i) {
        ends[i] = dealt.begin[i] = at;
        at += dealt.size[i] + kDeltaDealBehind;
    }
    each_block([&](auto const* symbols, auto const* leads, std::size_t size) {
        kernel.deal(symbols, leads, size, classes, ends);
    });
    return dealt;
}

std::uint8_t* put_size(std::uint8_t* at, std::size_t size) {
    auto number = static_cast<std::uint32_t>(size);
    std::memcpy(at, &number, sizeof number);
    return at + sizeof number;
}

// Returns where it ended.
std::uint8_t* write_differences(ByteView raw, ByteView base, DeltaLook const& look, std::uint8_t* at,
                                Instructions instructions) {
    auto& memory = delta_scratch();
    auto const& [shape, classes, about] = look;
    DeltaBlocks blocks(base, shape);
    auto kernel = delta_kernel(shape.width, instructions);
    auto* scales = delta_room(memory.scales, blocks.count());
    auto* symbols = delta_room(memory.symbols, blocks.count() * kDeltaBlock);
    auto* leads = delta_room(memory.leads, blocks.count() * kDeltaBlock);
    auto* bytes = delta_room(memory.rest_bytes, blocks.elements() * (shape.width - 1) + kDeltaGroup);
    auto* bits = delta_room(memory.rest_bits, blocks.elements() * 7 / 8 + 16);
    DeltaRests rests{.bytes = bytes, .bits = {.out = bits}};
    DeltaPlanes planes;
    for (std::size_t i = 0; i < blocks.count(); ++i) {
        auto block = blocks.block(i);
        auto* of_block = symbols + i * kDeltaBlock;
        scales[i] = kernel.look(block, blocks.raw(raw, i), of_block, leads + i * kDeltaBlock, planes);
        kernel.write_rests(of_block, planes, block.elements, rests);
    }
    auto const& last = rests.bits;
    std::memcpy(last.out, &last.word, sizeof last.word);
    auto dealt = deal_symbols(kernel, classes, blocks.elements());

    *at++ = static_cast<std::uint8_t>(DeltaMode::differences);
    *at++ = static_cast<std::uint8_t>(std::countr_zero(shape.width) | (shape.ordered ? 4 : 0) | shape.fraction << 3);
    *at++ = static_cast<std::uint8_t>(classes.count);
    at = std::copy_n(classes.first.begin() + 1, classes.count - 1, at);
    for (std::size_t i = 0; i < classes.count; ++i) at = put_size(at, dealt.size[i]);
    at = std::copy_n(scales, blocks.count(), at);
    for (std::size_t i = 0; i < classes.count; ++i) {
        auto size = dealt.size[i];
        if (size == 0) continue;
        // A run has a multiple of 4: the last symbol once more is what costs the least.
        std::fill(dealt.begin[i] + size, dealt.begin[i] + up_to_four(size), dealt.begin[i][size - 1]);
        ByteView run(dealt.begin[i], up_to_four(size));
        ByteCounter counter;
        counter.add(run);
        at = write_run(run, counter.total(), memory.encoder, at);
    }
    auto put_bytes = [&at](std::uint8_t const* from, std::ptrdiff_t size) {
        at = put_size(at, static_cast<std::size_t>(size));
        at = std::copy_n(from, size, at);
    };
    put_bytes(bytes, rests.bytes - bytes);
    put_bytes(bits, last.out - bits + (last.count + 7) / 8);
    auto tail = raw.subspan(blocks.elements() * shape.width);
    return std::copy(tail.begin(), tail.end(), at);
}

void xor_bytes(ByteView a, ByteView b, std::uint8_t* __restrict out) {
    for (std::size_t i = 0; i < a.size(); ++i) out[i] = a[i] ^ b[i];
}
// What differs is no float any more: its highest bits say how much it is.
constexpr Element unsigned_of(Element element) {
    switch (form_of(element).width) {
        case 1: return Element::unsigned8;
        case 2: return Element::unsigned16;
        case 4: return Element::unsigned32;
        default: return Element::unsigned64;
    }
}

// What planes of all that differs would take, by a sample.
std::size_t planes_bytes_about(ByteView raw, ByteView base, Element element, Instructions instructions) {
    auto& memory = delta_scratch();
    auto piece = kDeltaBlock * form_of(element).width;
    auto pieces = std::clamp<std::size_t>(raw.size() / piece, 1, kDeltaPlaneLooks);
    piece = std::min(piece, raw.size());
    auto* differing = delta_room(memory.differing, pieces * piece);
    for (std::size_t i = 0; i < pieces; ++i) {
        auto at = i * (raw.size() / piece) / pieces * piece;
        xor_bytes(raw.subspan(at, piece), base.subspan(at, piece), differing + i * piece);
    }
    auto room = planes_bytes_max(pieces * piece);
    ByteSpan out(delta_room(memory.sample, room), room);
    auto size = encode_planes({differing, pieces * piece}, unsigned_of(element), out, instructions);
    return size * raw.size() / (pieces * piece);
}

std::size_t write_planes(ByteView raw, ByteView base, Element element, ByteSpan out, Instructions instructions) {
    auto* differing = delta_room(delta_scratch().differing, raw.size());
    xor_bytes(raw, base, differing);
    out[0] = static_cast<std::uint8_t>(DeltaMode::planes);
    return 1 + encode_planes({differing, raw.size()}, unsigned_of(element), out.subspan(1), instructions);
}

std::unexpected<Error> delta_damaged(char const* what) {
    return fail(ErrorKind::damaged, std::string("frame: delta: ") + what);
}

class DifferencesReader {
  public:
    DifferencesReader(ByteView stored, ByteView base, ByteSpan raw, Instructions instructions)
        : stored_(stored), base_(base), raw_(raw), instructions_(instructions) {}

    Result<void> run() {
        TRY(read_head());
        TRY(read_runs());
        TRY(read_rests());
        return merge_blocks();
    }

  private:
    Result<void> read_head();
    Result<void> read_runs();
    Result<void> read_rests();
    Result<void> merge_blocks();

    Result<ByteView> take(std::size_t size) {
        if (size > stored_.size()) return delta_damaged("ends early");
        auto bytes = stored_.first(size);
        stored_ = stored_.subspan(size);
        return bytes;
    }
    Result<std::size_t> take_size() {
        auto bytes = TRY(take(sizeof(std::uint32_t)));
        std::uint32_t size;
        std::memcpy(&size, bytes.data(), sizeof size);
        return std::size_t{size};
    }

    ByteView stored_, base_;
    ByteSpan raw_;
    Instructions instructions_;
    DeltaShape shape_;
    DeltaClasses classes_;
    DeltaSizes sizes_{};  // of classes
    std::size_t elements_ = 0;
    ByteView scales_;
    std::size_t rest_bytes_ = 0, rest_bits_ = 0;
    DeltaEnds begin_{}, end_{};  // of each class's symbols
    DeltaScratch& memory_ = delta_scratch();
};

Result<void> DifferencesReader::read_head() {
    auto head = TRY(take(kDeltaHeadBytes));
    shape_ = {.width = std::size_t{1} << (head[1] & 3), .ordered = (head[1] & 4) != 0, .fraction = static_cast<unsigned>(head[1] >> 3)};
    if (!is_shape(shape_)) return delta_damaged("unknown elements");
    elements_ = raw_.size() / shape_.width;
    classes_.count = head[2];
    if (classes_.count < 1 || classes_.count > kDeltaClassesMax) return delta_damaged("an impossible number of classes");
    auto first = TRY(take(classes_.count - 1));
    classes_.first.fill(255);
    classes_.first[0] = 0;
    std::ranges::copy(first, classes_.first.begin() + 1);
    for (std::size_t i = 1; i < classes_.count; ++i) {
        auto ascends = classes_.first[i - 1] < classes_.first[i] && classes_.first[i] < kDeltaLeads;
        if (!ascends) return delta_damaged("classes out of order");
    }
    std::size_t all = 0;
    for (std::size_t i = 0; i < classes_.count; ++i) {
        sizes_[i] = TRY(take_size());
        all += sizes_[i];
    }
    if (all != elements_) return delta_damaged("another number of elements than stated");
    scales_ = TRY(take((elements_ + kDeltaBlock - 1) / kDeltaBlock));
    return {};
}

Result<void> DifferencesReader::read_runs() {
    std::size_t all = 0;
    for (auto size : sizes_) all += up_to_four(size);
    auto* at = delta_room(memory_.dealt, all + kDeltaTakeBehind);
    for (std::size_t i = 0; i < classes_.count; ++i) {
        begin_[i] = at;
        end_[i] = at + sizes_[i];
        if (sizes_[i] == 0) continue;
        ByteSpan run(at, up_to_four(sizes_[i]));
        TRY(read_run(stored_, memory_.decoder, delta_symbol_max(shape_.width), run).within("frame: delta"));
        at += run.size();
    }
    // Whoever takes from one class too many gets symbols of the next, and zeros behind the last one.
    std::fill_n(at, kDeltaTakeBehind, std::uint8_t{0});
    return {};
}

Result<void> DifferencesReader::read_rests() {
    // Whoever takes too many gets zeros.
    auto read = [this](Bytes& memory, std::size_t behind) -> Result<std::size_t> {
        auto size = TRY(take_size());
        auto bytes = TRY(take(size));
        std::fill_n(std::copy_n(bytes.data(), size, delta_room(memory, size + behind)), behind, std::uint8_t{0});
        return size;
    };
    rest_bytes_ = TRY(read(memory_.rest_bytes, kDeltaRestBytesBehind));
    rest_bits_ = TRY(read(memory_.rest_bits, kDeltaRestBitsBehind));
    rest_bits_ *= 8;
    if (stored_.size() != raw_.size() - elements_ * shape_.width) return delta_damaged("another length than stated");
    return {};
}

Result<void> DifferencesReader::merge_blocks() {
    DeltaBlocks blocks(base_, shape_);
    auto kernel = delta_kernel(shape_.width, instructions_);
    DeltaBytes symbols{}, leads;
    DeltaPlanes planes;
    std::array<std::uint8_t, kDeltaBlock * kDeltaWidthMax> last;
    DeltaRestPlaces rests{.bytes = memory_.rest_bytes.data(), .bits = memory_.rest_bits.data()};
    auto const* const bytes_end = rests.bytes + rest_bytes_;
    for (std::size_t i = 0; i < blocks.count(); ++i) {
        auto block = blocks.block(i);
        kernel.expect(block, scales_[i], leads.data());
        kernel.take(leads.data(), block.elements, classes_, begin_, symbols.data());
        kernel.read_rests(symbols.data(), block.elements, rests, planes);
        // Before the next block looks any further.
        for (std::size_t k = 0; k < classes_.count; ++k) {
            if (begin_[k] > end_[k]) return delta_damaged("a class of more elements than stated");
        }
        if (rests.bytes > bytes_end || rests.place > rest_bits_) return delta_damaged("rests that end early");
        auto* to = raw_.data() + i * kDeltaBlock * shape_.width;
        auto whole = blocks.is_whole(i);
        kernel.merge(block, symbols.data(), planes, whole ? to : last.data());
        if (!whole) std::copy_n(last.data(), block.elements * shape_.width, to);
    }
    // All elements have a class, so with none of too many there is none of too few.
    if (rests.bytes != bytes_end || rest_bits_ - rests.place >= 8) {
        return delta_damaged("rests of another length than stated");
    }
    std::ranges::copy(stored_, raw_.last(stored_.size()).begin());
    return {};
}

}  // namespace

std::size_t delta_bytes_max(std::size_t raw_bytes) {
    // Elements of one byte take a symbol and five bits of rest at most.
    auto differences = 2 * raw_bytes + kDeltaClassesMax * (kRunOverhead + 256) + 64;
    return std::max(differences, 1 + planes_bytes_max(raw_bytes));
}

std::size_t encode_delta(ByteView raw, ByteView base, Element element, ByteSpan out, Instructions instructions) {
    assert(!raw.empty() && raw.size() == base.size() && out.size() >= delta_bytes_max(raw.size()));
    auto width = form_of(element).width;
    if (width <= kDeltaWidthMax && raw.size() >= width) {
        auto look = best_look(raw, base, element, instructions);
        if (look.bytes < raw.size() && look.bytes <= planes_bytes_about(raw, base, element, instructions)) {
            auto* end = write_differences(raw, base, look, out.data(), instructions);
            auto size = static_cast<std::size_t>(end - out.data());
            if (size < raw.size()) return size;
        }
    }
    return write_planes(raw, base, element, out, instructions);
}

Result<void> decode_delta(ByteView stored, ByteView base, ByteSpan raw, Instructions instructions) {
    if (base.size() != raw.size()) return delta_damaged("a base of another length");
    if (stored.empty()) return delta_damaged("ends early");
    if (stored[0] == static_cast<int>(DeltaMode::differences)) {
        return DifferencesReader(stored, base, raw, instructions).run();
    }
    if (stored[0] != static_cast<int>(DeltaMode::planes)) return delta_damaged("an unknown way to differ");
    TRY(decode_planes(stored.subspan(1), raw, instructions));
    for (std::size_t i = 0; i < raw.size(); ++i) raw[i] ^= base[i];
    return {};
}

}  // namespace holdfast
