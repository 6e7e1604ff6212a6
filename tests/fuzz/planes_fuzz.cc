// The codec for numbers. The first byte says what the rest is: stored bytes that are decoded (odd), or raw bytes
// that are encoded, decoded and compared, on every path of instructions.
#include "codec/planes.h"

#include <cstdlib>

#include "seeds.h"

using namespace holdfast;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    if (size < 2) return 0;
    ByteView rest(data + 2, size - 2);
    if (data[0] & 1) {
        Bytes raw((std::size_t{data[1]} << 8 | data[0]) * 3);
        (void)decode_planes(rest, raw);
        return 0;
    }
    auto element = static_cast<Element>(data[1] % 13);
    if (rest.empty()) return 0;
    Bytes best;
    for (int i = 0; i <= static_cast<int>(best_instructions()); ++i) {
        auto instructions = static_cast<Instructions>(i);
        Bytes out(planes_bytes_max(rest.size()));
        out.resize(encode_planes(rest, element, out, instructions));
        if (i > 0 && out != best) std::abort();
        best = out;
        Bytes back(rest.size());
        if (!decode_planes(out, back, instructions) || !std::equal(back.begin(), back.end(), rest.begin())) std::abort();
    }
    return 0;
}

std::vector<Bytes> seeds() { return {}; }
