#pragma once

#include <string>
#include <vector>

#include "formats/random_access.h"

namespace holdfast {

// Zip archives, by PKWARE's APPNOTE.TXT 6.3.10: the end record (4.3.16), with its 64-bit form (4.3.14), the central
// directory (4.3.12), local headers (4.3.7), the 64-bit extra field (4.5.3).

struct ZipEntry {
    std::string name;            // any bytes
    std::uint16_t flags = 0;     // bit 0: encrypted; bit 3: sizes behind the data
    std::uint16_t method = 0;    // 0 stored, 8 deflate
    std::uint32_t crc = 0;
    std::uint64_t stored = 0;    // bytes in the archive
    std::uint64_t raw = 0;
    std::uint64_t header = 0;    // offset of the local header
    std::uint64_t data = 0;      // offset of the stored bytes
};

struct ZipArchive {
    std::vector<ZipEntry> entries;  // in the order of the central directory
    // Where central directory and local headers do not agree, entries overlap, or a name stands twice. Two
    // readers would see two archives: whoever trusts one of them is lied to.
    std::vector<std::string> faults;
    std::uint64_t before = 0;       // bytes before the first local header
};

inline constexpr std::size_t kZipEntriesMax = 1'000'000;

// Whether the file begins or ends as an archive does. `io` when it can't be read.
Result<bool> looks_like_zip(RandomAccess const& file);
// Reads the directory and every local header. `damaged` when there is no whole directory, or it holds more
// than kZipEntriesMax entries.
Result<ZipArchive> read_zip(RandomAccess const& file);
// Whether the stored bytes (method 0) have the sum that the directory states. `io` when they can't be read.
Result<bool> zip_sum_fits(RandomAccess const& file, ZipEntry const& entry);

}  // namespace holdfast
