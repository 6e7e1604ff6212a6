#pragma once

#include <cstdint>
#include <vector>

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
};

}  // namespace holdfast
