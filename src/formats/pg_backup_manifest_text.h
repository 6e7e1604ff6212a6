#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "formats/pg_backup_manifest.h"

namespace holdfast {

// What a backup manifest says of a file whose sum is a CRC-32C.
struct PgManifestFile {
    std::string path;  // as PgBackupManifest::File has it
    std::uint64_t size = 0;
    std::int64_t modified = 0;  // seconds since 1970
    std::uint32_t crc32c = 0;
};

// The manifest of a backup that the server did not make itself: version 1 of the format, which every version from 13
// on reads, with the text that a server would have written (backup_manifest.c).
std::string format_pg_backup_manifest(std::vector<PgManifestFile> const& files, PgBackupManifest::WalRange const& log,
                                      Sha256Function const& sha256);

}  // namespace holdfast
