#include "codec/huffman.h"

#include <algorithm>
#include <cassert>

#include "codec/plane_kernels.h"

// The loops are compiled twice on x86: once for every processor, once with BMI2, whose shifts take their
// count from any register. Both do the same.
#if defined(__x86_64__)
#define HOLDFAST_BMI2 [[gnu::target("bmi,bmi2")]]
#else
#define HOLDFAST_BMI2
#endif
#define HOLDFAST_INLINE [[gnu::always_inline]] inline

namespace holdfast {
namespace {

constexpr std::size_t kTableSize = std::size_t{1} << kHuffmanBitsMax;
constexpr std::size_t kSizesBytes = kHuffmanStreams * sizeof(std::uint32_t);
// Above so many different bytes a table of pairs costs more to fill than it saves.
constexpr unsigned kPairRangeMax = 64;

HOLDFAST_INLINE std::uint64_t load_big_endian(std::uint8_t const* from) {
    std::uint64_t word;
    std::memcpy(&word, from, sizeof word);
    return __builtin_bswap64(word);
}

// Codes are gathered in the low bits of `word`, the newest lowest; of the bits above the `count` newest
// ones nothing is ever read.
struct BitWriter {
    std::uint64_t word = 0;
    unsigned count = 0;  // at most 7 between flushes
    std::uint8_t* out;

    HOLDFAST_INLINE void flush() {
        std::uint64_t bytes = __builtin_bswap64(word << (64 - count) % 64);
        // A count of 0 would shift by 64: then nothing of what is stored counts.
        std::memcpy(out, &bytes, sizeof bytes);
        out += count >> 3;
        count &= 7;
    }
    std::uint8_t* finish() { return count > 0 ? out + 1 : out; }
};

// entry: code << 8 | bits
HOLDFAST_INLINE void put(BitWriter& writer, std::uint32_t entry) {
    writer.word = writer.word << (entry & 63) | entry >> 8;
    writer.count += entry & 0xff;
}

// Two streams side by side. `quarter` symbols each.
HOLDFAST_INLINE void write_pairs(std::uint32_t const* pairs, std::uint8_t const* a_in, std::uint8_t const* b_in,
                                 std::size_t quarter, BitWriter& a, BitWriter& b) {
    auto entry = [pairs](std::uint8_t const* from) {
        std::uint16_t index;
        std::memcpy(&index, from, sizeof index);
        return pairs[index];
    };
    std::size_t i = 0;
    for (; i + 4 <= quarter; i += 4) {
        put(a, entry(a_in + i));
        put(b, entry(b_in + i));
        put(a, entry(a_in + i + 2));
        put(b, entry(b_in + i + 2));
        a.flush();
        b.flush();
    }
    for (; i < quarter; ++i) {
        // The row of the byte alone: pairs[] holds no such code, see encode().
        put(a, pairs[0x10000 + a_in[i]]);
        put(b, pairs[0x10000 + b_in[i]]);
        a.flush();
        b.flush();
    }
}
HOLDFAST_INLINE void write_singles(std::uint32_t const* codes, std::uint8_t const* a_in, std::uint8_t const* b_in,
                                   std::size_t quarter, BitWriter& a, BitWriter& b) {
    std::size_t i = 0;
    for (; i + 4 <= quarter; i += 4) {
        for (std::size_t k = 0; k < 4; ++k) {
            put(a, codes[a_in[i + k]]);
            put(b, codes[b_in[i + k]]);
        }
        a.flush();
        b.flush();
    }
    for (; i < quarter; ++i) {
        put(a, codes[a_in[i]]);
        put(b, codes[b_in[i]]);
        a.flush();
        b.flush();
    }
}

struct WriteJob {
    std::uint32_t const* table;
    bool pairs;
    std::uint8_t const* in;
    std::size_t quarter;
    BitWriter* writers;
};
HOLDFAST_INLINE void write_streams(WriteJob const& job) {
    for (std::size_t i = 0; i < kHuffmanStreams; i += 2) {
        // In registers: through a pointer every step would go to memory.
        auto a = job.writers[i], b = job.writers[i + 1];
        auto const* a_in = job.in + i * job.quarter;
        auto const* b_in = a_in + job.quarter;
        if (job.pairs) {
            write_pairs(job.table, a_in, b_in, job.quarter, a, b);
        } else {
            write_singles(job.table + 0x10000, a_in, b_in, job.quarter, a, b);
        }
        job.writers[i] = a;
        job.writers[i + 1] = b;
    }
}
void write_streams_portable(WriteJob const& job) { write_streams(job); }
HOLDFAST_BMI2 void write_streams_bmi2(WriteJob const& job) { write_streams(job); }

// Where one stream stands.
struct BitReader {
    std::uint8_t const* in;
    std::uint8_t const* end;
    unsigned bit = 0;  // of *in, at most 7
    std::uint8_t* out;
    std::uint8_t* out_end;
};

constexpr std::size_t kLookups = 5;  // of 11 bits at most, in the 57 that a word has for sure
constexpr std::size_t kOutMax = kLookups * 6 + 8;  // each store writes 8 bytes

HOLDFAST_INLINE bool has_room(BitReader const& at) { return at.end - at.in >= 8 && at.out_end - at.out >= std::ptrdiff_t{kOutMax}; }

HOLDFAST_INLINE void read_word(std::uint64_t const* table, BitReader& at) {
    auto word = load_big_endian(at.in) << at.bit;
    std::uint64_t sum = at.bit;
    for (std::size_t i = 0; i < kLookups; ++i) {
        auto entry = table[word >> (64 - kHuffmanBitsMax)];
        word <<= entry & 63;
        sum += entry;  // only its low byte is looked at: the bits
        auto symbols = entry >> 8;
        std::memcpy(at.out, &symbols, sizeof symbols);
        at.out += entry >> 56;
    }
    at.in += (sum & 0xff) >> 3;
    at.bit = sum & 7;
}

struct ReadJob {
    std::uint64_t const* table;
    BitReader* readers;
};
HOLDFAST_INLINE void read_streams(ReadJob const& job) {
    auto a = job.readers[0], b = job.readers[1], c = job.readers[2], d = job.readers[3];
    while (has_room(a) && has_room(b) && has_room(c) && has_room(d)) {
        read_word(job.table, a);
        read_word(job.table, b);
        read_word(job.table, c);
        read_word(job.table, d);
    }
    while (has_room(a)) read_word(job.table, a);
    while (has_room(b)) read_word(job.table, b);
    while (has_room(c)) read_word(job.table, c);
    while (has_room(d)) read_word(job.table, d);
    job.readers[0] = a, job.readers[1] = b, job.readers[2] = c, job.readers[3] = d;
}
void read_streams_portable(ReadJob const& job) { read_streams(job); }
HOLDFAST_BMI2 void read_streams_bmi2(ReadJob const& job) { read_streams(job); }

// The rest of a stream, symbol by symbol; behind its end are zeros. True when it ends where it should.
bool read_rest(std::uint64_t const* table, CodeLengths const& lengths, BitReader at) {
    while (at.out < at.out_end) {
        std::array<std::uint8_t, 8> bytes{};
        std::copy_n(at.in, std::min<std::ptrdiff_t>(4, at.end - at.in), bytes.begin());
        auto word = load_big_endian(bytes.data()) << at.bit;
        auto symbol = static_cast<std::uint8_t>(table[word >> (64 - kHuffmanBitsMax)] >> 8);
        *at.out++ = symbol;
        auto bits = at.bit + lengths[symbol];
        if (std::ptrdiff_t(bits + 7) / 8 > at.end - at.in) return false;
        at.in += bits / 8;
        at.bit = bits % 8;
    }
    return at.in + (at.bit > 0 ? 1 : 0) == at.end;
}

// Canonical order: shorter codes first, among equals the smaller byte.
struct Canonical {
    std::array<std::uint8_t, 256> bytes;
    std::size_t count = 0;
    std::size_t shortest = 0;
};
Canonical canonical(CodeLengths const& lengths) {
    Canonical order;
    for (unsigned length = 1; length <= kHuffmanBitsMax; ++length) {
        for (unsigned s = 0; s < 256; ++s) {
            if (lengths[s] != length) continue;
            if (order.count == 0) order.shortest = length;
            order.bytes[order.count++] = static_cast<std::uint8_t>(s);
        }
    }
    return order;
}

constexpr std::uint64_t kOne = std::uint64_t{1} << 56;
constexpr std::uint64_t kEnds = 0xff000000000000ff;

}  // namespace

HuffmanEncoder::HuffmanEncoder() : pairs_(new std::uint32_t[0x10000 + 256]) {}

std::size_t HuffmanEncoder::encode(CodeLengths const& lengths, ByteView symbols, std::uint8_t* out) {
    assert(symbols.size() % kHuffmanStreams == 0);
    auto* const singles = pairs_.get() + 0x10000;
    unsigned first = 255, last = 0;
    std::uint32_t code = 0;
    unsigned before = 0;
    auto order = canonical(lengths);
    for (std::size_t i = 0; i < order.count; ++i) {
        unsigned s = order.bytes[i], length = lengths[s];
        code <<= length - before;
        before = length;
        singles[s] = code++ << 8 | length;
        first = std::min(first, s);
        last = std::max(last, s);
    }
    bool const pairs = last - first < kPairRangeMax;
    if (pairs) {
        for (std::size_t i = 0; i < order.count; ++i) {
            for (std::size_t k = 0; k < order.count; ++k) {
                auto a = singles[order.bytes[i]], b = singles[order.bytes[k]];
                pairs_[order.bytes[i] | order.bytes[k] << 8] =
                    ((a >> 8 << (b & 0xff) | b >> 8) << 8) | ((a & 0xff) + (b & 0xff));
            }
        }
    }
    auto quarter = symbols.size() / kHuffmanStreams;
    auto room = quarter * kHuffmanBitsMax / 8 + 16;
    if (streams_.size() < kHuffmanStreams * room) streams_.resize(kHuffmanStreams * room);
    std::array<BitWriter, kHuffmanStreams> writers;
    for (std::size_t i = 0; i < kHuffmanStreams; ++i) writers[i].out = streams_.data() + i * room;
    WriteJob job{pairs_.get(), pairs, symbols.data(), quarter, writers.data()};
    if (best_instructions() != Instructions::portable) {
        write_streams_bmi2(job);
    } else {
        write_streams_portable(job);
    }
    auto* at = out + kSizesBytes;
    for (std::size_t i = 0; i < kHuffmanStreams; ++i) {
        auto const* begin = streams_.data() + i * room;
        auto size = static_cast<std::uint32_t>(writers[i].finish() - begin);
        std::memcpy(out + i * sizeof size, &size, sizeof size);
        std::memcpy(at, begin, size);
        at += size;
    }
    return static_cast<std::size_t>(at - out);
}

// The table of r + l bits is made from smaller ones: behind a first symbol of l bits there is all that r
// bits can say. `levels` holds the tables of 0 to 11 bits behind each other.
HuffmanDecoder::HuffmanDecoder() : table_(new std::uint64_t[2 * kTableSize]) {}

bool HuffmanDecoder::set(CodeLengths const& lengths) {
    std::size_t taken = 0;
    for (auto length : lengths) {
        if (length > kHuffmanBitsMax) return false;
        if (length > 0) taken += kTableSize >> length;
    }
    if (taken != kTableSize) return false;
    auto order = canonical(lengths);
    if (order.count < 2) return false;
    lengths_ = lengths;
    auto* const levels = table_.get();
    auto level = [levels](unsigned bits) { return levels + (std::size_t{1} << bits); };
    for (unsigned bits = 0; bits <= kHuffmanBitsMax; ++bits) {
        auto* to = level(bits);
        auto* const end = to + (std::size_t{1} << bits);
        for (std::size_t i = 0; i < order.count && lengths[order.bytes[i]] <= bits; ++i) {
            auto const byte = order.bytes[i];
            unsigned const length = lengths[byte];
            auto const* from = level(bits - length);
            auto const count = std::size_t{1} << (bits - length);
            auto const added = kOne + (std::uint64_t{byte} << 8) + length;
            if (order.shortest >= 2) {  // at most five symbols in 11 bits
                for (std::size_t k = 0; k < count; ++k) {
                    to[k] = (from[k] & kEnds) + ((from[k] & ~kEnds) << 8) + added;
                }
            } else {
                for (std::size_t k = 0; k < count; ++k) {
                    auto rest = from[k];
                    if (rest >> 56 == 6) {
                        // No room for a seventh: the last one goes.
                        auto const dropped = rest >> 48 & 0xff;
                        rest = (rest & ~(std::uint64_t{0xff} << 48)) - kOne - lengths[dropped];
                    }
                    to[k] = (rest & kEnds) + ((rest & ~kEnds) << 8) + added;
                }
            }
            to += count;
        }
        std::fill(to, end, 0);
    }
    return true;
}

bool HuffmanDecoder::decode(ByteView& stored, ByteSpan symbols) const {
    assert(symbols.size() % kHuffmanStreams == 0);
    if (stored.size() < kSizesBytes) return false;
    std::array<std::uint32_t, kHuffmanStreams> sizes;
    std::memcpy(sizes.data(), stored.data(), kSizesBytes);
    stored = stored.subspan(kSizesBytes);
    auto quarter = symbols.size() / kHuffmanStreams;
    std::array<BitReader, kHuffmanStreams> readers;
    for (std::size_t i = 0; i < kHuffmanStreams; ++i) {
        if (sizes[i] > stored.size()) return false;
        auto* out = symbols.data() + i * quarter;
        readers[i] = {.in = stored.data(), .end = stored.data() + sizes[i], .bit = 0, .out = out, .out_end = out + quarter};
        stored = stored.subspan(sizes[i]);
    }
    auto const* table = table_.get() + kTableSize;
    ReadJob job{table, readers.data()};
    if (best_instructions() != Instructions::portable) {
        read_streams_bmi2(job);
    } else {
        read_streams_portable(job);
    }
    for (auto const& reader : readers) {
        if (!read_rest(table, lengths_, reader)) return false;
    }
    return true;
}

}  // namespace holdfast
