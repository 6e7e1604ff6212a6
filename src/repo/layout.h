#pragma once

#include <cstdint>
#include <vector>

#include "codec/element.h"

namespace holdfast {

// How a stream is cut into chunks. The source chooses; the repository parses no foreign format.
struct Layout {
    enum class Cut : std::uint8_t {
        content,  // FastCDC with a keyed gear table: 256 KiB min, 1 MiB average, 4 MiB max
        pages,    // every 128 KiB from the start: PostgreSQL data files
        stated,   // at the offsets in `cuts` (tensors), and every 1 MiB between two of them
    };
    Cut cut = Cut::content;
    // Ascending offsets from the start of the stream; what does not ascend is passed over.
    std::vector<std::uint64_t> cuts;
    // What the bytes from cuts[i] up to the next cut are an array of; shorter than `cuts`: nothing is known of
    // the rest, as of the bytes before the first cut. It decides how chunks are made small, never how they are
    // cut or called.
    std::vector<Element> elements = {};
};

}  // namespace holdfast
