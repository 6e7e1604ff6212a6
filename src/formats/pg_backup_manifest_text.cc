#include "formats/pg_backup_manifest_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace holdfast {
namespace {

// What needs no escape in JSON; other names are given as the hexadecimal digits of their bytes.
bool is_plain(std::string_view path) {
    return std::ranges::all_of(path, [](char c) { return c >= ' ' && c < 0x7f && c != '"' && c != '\\'; });
}

std::string line_of(PgManifestFile const& file) {
    // The bytes of the sum as they lie in memory.
    std::array<std::uint8_t, 4> sum;
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] = static_cast<std::uint8_t>(file.crc32c >> (8 * i));
    return fmt::format("{{ {}, \"Size\": {}, \"Last-Modified\": \"{:%Y-%m-%d %H:%M:%S} GMT\", "
                       "\"Checksum-Algorithm\": \"CRC32C\", \"Checksum\": \"{}\" }}",
                       is_plain(file.path) ? fmt::format("\"Path\": \"{}\"", file.path)
                                           : fmt::format("\"Encoded-Path\": \"{}\"", to_hex(as_bytes(file.path))),
                       file.size, fmt::gmtime(static_cast<std::time_t>(file.modified)), to_hex(sum));
}

}  // namespace

std::string format_pg_backup_manifest(std::vector<PgManifestFile> const& files, PgBackupManifest::WalRange const& log,
                                      Sha256Function const& sha256) {
    std::string text = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [";
    for (auto const* separator = "\n"; auto const& file : files) {
        text += separator;
        text += line_of(file);
        separator = ",\n";
    }
    text += fmt::format("\n],\n\"WAL-Ranges\": [\n{{ \"Timeline\": {}, \"Start-LSN\": \"{}\", \"End-LSN\": \"{}\" }}\n],\n",
                        log.timeline, to_text(log.start), to_text(log.end));
    auto digest = sha256(as_bytes(text));
    text += fmt::format("\"Manifest-Checksum\": \"{}\"}}\n", to_hex(digest));
    return text;
}

}  // namespace holdfast
