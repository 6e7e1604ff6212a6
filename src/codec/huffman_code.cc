// Which byte gets how many bits.
#include <algorithm>
#include <cassert>

#include "codec/huffman.h"

namespace holdfast {
namespace {

struct Symbol {
    std::uint32_t count;
    std::uint8_t byte;
};

// Moffat and Katajainen, "In-place calculation of minimum-redundancy codes" (WADS 1995): `a` holds
// ascending counts and is left with descending lengths.
void minimum_redundancy(std::uint64_t* a, int n) {
    a[0] += a[1];
    int root = 0, leaf = 2;
    for (int next = 1; next < n - 1; ++next) {
        for (int half = 0; half < 2; ++half) {
            bool const inner = leaf >= n || (root < next && a[root] < a[leaf]);
            auto weight = inner ? a[root] : a[leaf];
            if (inner) {
                a[root++] = static_cast<std::uint64_t>(next);
            } else {
                ++leaf;
            }
            a[next] = half == 0 ? weight : a[next] + weight;
        }
    }
    a[n - 2] = 0;
    for (int next = n - 3; next >= 0; --next) a[next] = a[a[next]] + 1;
    int available = 1, used = 0, next = n - 1;
    std::uint64_t depth = 0;
    root = n - 2;
    while (available > 0) {
        while (root >= 0 && a[root] == depth) ++used, --root;
        while (available > used) a[next--] = depth, --available;
        available = 2 * used;
        ++depth;
        used = 0;
    }
}

}  // namespace

void ByteCounter::add(ByteView bytes) {
    std::size_t i = 0;
    for (; i + 8 <= bytes.size(); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, bytes.data() + i, 8);
        ++parts_[0][word & 0xff];
        ++parts_[1][word >> 8 & 0xff];
        ++parts_[2][word >> 16 & 0xff];
        ++parts_[3][word >> 24 & 0xff];
        ++parts_[4][word >> 32 & 0xff];
        ++parts_[5][word >> 40 & 0xff];
        ++parts_[6][word >> 48 & 0xff];
        ++parts_[7][word >> 56];
    }
    for (; i < bytes.size(); ++i) ++parts_[0][bytes[i]];
}

ByteCounts ByteCounter::total() const {
    auto counts = parts_[0];
    for (std::size_t part = 1; part < parts_.size(); ++part) {
        for (std::size_t s = 0; s < 256; ++s) counts[s] += parts_[part][s];
    }
    return counts;
}

CodeLengths code_lengths(ByteCounts const& counts) {
    std::array<Symbol, 256> symbols;
    std::size_t n = 0;
    for (unsigned s = 0; s < 256; ++s) {
        if (counts[s] > 0) symbols[n++] = {counts[s], static_cast<std::uint8_t>(s)};
    }
    assert(n >= 2);
    std::sort(symbols.begin(), symbols.begin() + static_cast<std::ptrdiff_t>(n), [](auto const& a, auto const& b) {
        return a.count != b.count ? a.count < b.count : a.byte < b.byte;
    });
    std::array<std::uint64_t, 256> lengths;
    for (std::size_t i = 0; i < n; ++i) lengths[i] = symbols[i].count;
    minimum_redundancy(lengths.data(), static_cast<int>(n));

    // Codes that are too long are cut; then the rarest symbols pay until the code fits, and the most
    // frequent ones take what is left over. In units of 2^-11, a code of `l` bits takes 2^(11 - l).
    constexpr std::uint64_t kWhole = 1u << kHuffmanBitsMax;
    auto share = [](std::uint64_t length) { return std::uint64_t{1} << (kHuffmanBitsMax - length); };
    std::uint64_t taken = 0;
    for (std::size_t i = 0; i < n; ++i) {
        lengths[i] = std::min<std::uint64_t>(lengths[i], kHuffmanBitsMax);
        taken += share(lengths[i]);
    }
    for (std::size_t i = 0; taken > kWhole; i = (i + 1) % n) {
        while (taken > kWhole && lengths[i] < kHuffmanBitsMax) taken -= share(++lengths[i]);
    }
    while (taken < kWhole) {
        for (std::size_t i = n; i-- > 0;) {
            while (lengths[i] > 1 && taken + share(lengths[i]) <= kWhole) taken += share(lengths[i]--);
        }
    }
    CodeLengths result{};
    for (std::size_t i = 0; i < n; ++i) result[symbols[i].byte] = static_cast<std::uint8_t>(lengths[i]);
    return result;
}

std::uint64_t coded_bits(ByteCounts const& counts, CodeLengths const& lengths) {
    std::uint64_t bits = 0;
    for (std::size_t s = 0; s < 256; ++s) bits += std::uint64_t{counts[s]} * lengths[s];
    return bits;
}

}  // namespace holdfast
