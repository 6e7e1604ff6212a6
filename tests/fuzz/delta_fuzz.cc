// Numbers as differences to others. The first two bytes say what the rest is: stored bytes that are decoded against a
// base (odd), or raw bytes whose second half is encoded against the first, decoded and compared, on every path of
// instructions.
#include "codec/delta.h"

#include <algorithm>
#include <cstdlib>

#include "seeds.h"

using namespace holdfast;

namespace {

Bytes some_base(std::size_t size) {
    Bytes base(size);
    for (std::size_t i = 0; i < size; ++i) base[i] = static_cast<std::uint8_t>(i * i / 37 + i * 7);
    return base;
}
std::size_t size_of(std::uint8_t low, std::uint8_t high) { return (std::size_t{high} << 8 | low) * 3 / 2; }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size < 4) return 0;
    ByteView rest(data + 2, size - 2);
    if (data[0] & 1) {
        Bytes raw(size_of(data[0], data[1]));
        (void)decode_delta(rest, some_base(raw.size()), raw);
        return 0;
    }
    auto element = static_cast<Element>(data[1] % 13);
    auto base = rest.first(rest.size() / 2), raw = rest.subspan(base.size(), base.size());
    Bytes best;
    for (int i = 0; i <= static_cast<int>(best_instructions()); ++i) {
        auto instructions = static_cast<Instructions>(i);
        Bytes out(delta_bytes_max(raw.size()));
        out.resize(encode_delta(raw, base, element, out, instructions));
        if (i > 0 && out != best) std::abort();
        best = out;
        Bytes back(raw.size());
        if (!decode_delta(out, base, back, instructions) || !std::ranges::equal(back, raw)) std::abort();
    }
    return 0;
}

// Stored bytes that are whole, of every width.
std::vector<Bytes> seeds() {
    std::vector<Bytes> all;
    for (auto element : {Element::float8, Element::float16, Element::float32, Element::float64}) {
        std::uint8_t const low = 0x35, high = 20;
        auto base = some_base(size_of(low, high)), raw = base;
        auto width = form_of(element).width;
        for (std::size_t i = 0; i < raw.size(); i += width) raw[i] = static_cast<std::uint8_t>(raw[i] + i * i % 11 + i / 900);
        Bytes seed(2 + delta_bytes_max(raw.size()));
        seed[0] = low, seed[1] = high;
        seed.resize(2 + encode_delta(raw, base, element, ByteSpan(seed).subspan(2)));
        all.push_back(std::move(seed));
    }
    return all;
}
