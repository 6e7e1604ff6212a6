#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "formats/pg_lsn.h"

namespace holdfast {

// The backup manifest of PostgreSQL 13 and later (versions 1 and 2): PostgreSQL documentation,
// "Backup Manifest Format".
struct PgBackupManifest {
    enum class Algorithm : std::uint8_t { none, crc32c, sha };  // sha: 224 to 512, not checked here
    struct File {
        std::string path;  // below the data directory; tablespaces as pg_tblspc/<oid>/…; any bytes
        std::uint64_t size = 0;
        Algorithm algorithm = Algorithm::none;
        std::uint32_t crc32c = 0;  // when the algorithm is that
    };
    struct WalRange {
        std::uint32_t timeline = 0;
        Lsn start, end;
    };
    int version = 0;
    std::optional<std::uint64_t> system_identifier;  // version 2 (PostgreSQL 17)
    std::vector<File> files;
    std::vector<WalRange> wal_ranges;
};

// A longer manifest is not read. One of a million files has some 200 MB.
inline constexpr std::size_t kManifestBytesMax = std::size_t{2} << 30;

// SHA-256, which this layer does not have.
using Sha256Function = std::function<std::array<std::uint8_t, 32>(ByteView)>;

// `damaged` when the manifest's own checksum does not fit or anything in it is not as documented:
// unknown or repeated keys, paths that are absolute, empty or climb up, repeated paths. `usage` for a
// newer version. Memory is bounded by a small multiple of the text.
Result<PgBackupManifest> parse_pg_backup_manifest(ByteView text, Sha256Function const& sha256);

}  // namespace holdfast
