#include "codec/huffman_run.h"

#include <algorithm>
#include <cassert>

namespace holdfast {
namespace {

enum class RunMode : std::uint8_t { raw = 0, constant = 1, huffman = 2 };

std::unexpected<Error> bad_run(char const* what) { return fail(ErrorKind::damaged, what); }

// The next `size` bytes; empty when there are not so many.
ByteView take_front(ByteView& stored, std::size_t size) {
    if (size > stored.size()) return {};
    auto bytes = stored.first(size);
    stored = stored.subspan(size);
    return bytes;
}

}  // namespace

std::uint8_t* write_run(ByteView bytes, ByteCounts const& counts, HuffmanEncoder& encoder, std::uint8_t* at) {
    assert(!bytes.empty());
    unsigned first = 0, last = 255;
    while (counts[first] == 0) ++first;
    while (counts[last] == 0) --last;
    if (first == last) {
        *at++ = static_cast<std::uint8_t>(RunMode::constant);
        *at++ = static_cast<std::uint8_t>(first);
        return at;
    }
    auto lengths = code_lengths(counts);
    auto coded = coded_bits(counts, lengths) / 8 + kRunOverhead + 32;
    if (coded >= bytes.size() - bytes.size() / 64) {
        *at++ = static_cast<std::uint8_t>(RunMode::raw);
        return std::copy(bytes.begin(), bytes.end(), at);
    }
    *at++ = static_cast<std::uint8_t>(RunMode::huffman);
    *at++ = static_cast<std::uint8_t>(first);
    *at++ = static_cast<std::uint8_t>(last);
    for (unsigned s = first; s <= last; s += 2) {
        auto high = s < last ? lengths[s + 1] : std::uint8_t{0};
        *at++ = static_cast<std::uint8_t>(lengths[s] | high << 4);
    }
    return at + encoder.encode(lengths, bytes, at);
}

Result<void> read_run(ByteView& stored, HuffmanDecoder& decoder, unsigned most, ByteSpan bytes) {
    auto mode = take_front(stored, 1);
    if (mode.empty()) return bad_run("ends early");
    if (mode[0] == static_cast<int>(RunMode::raw)) {
        auto from = take_front(stored, bytes.size());
        if (from.empty()) return bad_run("ends early");
        if (*std::ranges::max_element(from) > most) return bad_run("a byte that it cannot have");
        std::copy(from.begin(), from.end(), bytes.begin());
    } else if (mode[0] == static_cast<int>(RunMode::constant)) {
        auto value = take_front(stored, 1);
        if (value.empty() || value[0] > most) return bad_run("a byte that it cannot have");
        std::fill(bytes.begin(), bytes.end(), value[0]);
    } else if (mode[0] == static_cast<int>(RunMode::huffman)) {
        auto range = take_front(stored, 2);
        if (range.empty() || range[0] >= range[1] || range[1] > most) return bad_run("an impossible table");
        auto table = take_front(stored, static_cast<std::size_t>(range[1] - range[0]) / 2 + 1);
        if (table.empty()) return bad_run("ends early");
        CodeLengths lengths{};
        for (unsigned s = range[0]; s <= range[1]; ++s) {
            auto i = s - range[0];
            lengths[s] = table[i / 2] >> (i % 2 * 4) & 15;
        }
        if (!decoder.set(lengths)) return bad_run("a table that is no complete code");
        if (!decoder.decode(stored, bytes)) return bad_run("a stream of another length than stated");
    } else {
        return bad_run("an unknown way to code a run");
    }
    return {};
}

}  // namespace holdfast
