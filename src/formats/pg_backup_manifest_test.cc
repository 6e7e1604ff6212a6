#include "formats/pg_backup_manifest.h"

#include "formats/fixture_test.h"

namespace holdfast {
namespace {

std::string real_manifest() { return to_text(read_fixture("postgres/backup_manifest-15")); }

// This layer has no SHA-256: the tests say what the digest is, and check what it was asked of.
Result<PgBackupManifest> parse(std::string const& text) {
    auto quoted = text.rfind("\"Manifest-Checksum\": \"");
    std::array<std::uint8_t, 32> digest{};
    if (quoted != text.npos && text.size() >= quoted + 22 + 64)
        if (auto bytes = from_hex(std::string_view(text).substr(quoted + 22, 64)))
            std::copy(bytes->begin(), bytes->end(), digest.begin());
    return parse_pg_backup_manifest(as_bytes(text), [&](ByteView bytes) {
        EXPECT_EQ(bytes.size(), quoted);
        return digest;
    });
}

std::string replaced(std::string_view from, std::string_view to) {
    auto text = real_manifest();
    auto at = text.find(from);
    EXPECT_NE(at, text.npos) << from;
    return text.replace(at, from.size(), to);
}

TEST(PgBackupManifest, ReadsARealOne) {
    auto manifest = parse(real_manifest());
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->version, 1);
    ASSERT_EQ(manifest->files.size(), 10u);
    EXPECT_EQ(manifest->files[0].path, "pg_tblspc/16384/PG_15_202209061/5/16385");
    EXPECT_EQ(manifest->files[0].size, 8192u);
    EXPECT_EQ(manifest->files[0].crc32c, 0x7cb39c7du);  // "7d9cb37c": bytes in memory
    EXPECT_EQ(manifest->files[3].path, "log/\xff");
    ASSERT_EQ(manifest->wal_ranges.size(), 1u);
    EXPECT_EQ(to_text(manifest->wal_ranges[0].end), "0/2000100");
}

TEST(PgBackupManifest, ReadsVersion2) {
    auto manifest = parse(replaced("-Version\": 1,", "-Version\": 2,\n\"System-Identifier\": 7711098416657485294,"));
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(manifest->system_identifier, 7711098416657485294u);
    EXPECT_EQ(parse(replaced("-Version\": 1,", "-Version\": 3,")).error().kind, ErrorKind::usage);
}

TEST(PgBackupManifest, RefusesAWrongChecksum) {
    auto text = real_manifest();
    auto manifest = parse_pg_backup_manifest(as_bytes(text), [](ByteView) { return std::array<std::uint8_t, 32>{}; });
    ASSERT_FALSE(manifest);
    EXPECT_EQ(manifest.error().kind, ErrorKind::damaged);
    EXPECT_NE(manifest.error().message.find("checksum"), std::string::npos);
}

TEST(PgBackupManifest, EveryTruncationIsDamage) {
    auto text = real_manifest();
    for (std::size_t size = 0; size < text.size(); ++size) {
        auto manifest = parse(text.substr(0, size));
        ASSERT_FALSE(manifest) << size;
        EXPECT_EQ(manifest.error().kind, ErrorKind::damaged) << size;
    }
}

TEST(PgBackupManifest, RefusesWhatIsNotAsDocumented) {
    std::pair<char const*, char const*> const cases[] = {
        {"\"backup_label\"", "\"/etc/passwd\""},
        {"\"backup_label\"", "\"../backup_label\""},
        {"\"backup_label\"", "\"a/../../b\""},
        {"\"backup_label\"", "\"\""},
        {"\"backup_label\"", "\"tablespace_map\""},
        {"\"backup_label\"", "\"a\\u0000b\""},
        {"\"backup_label\"", "7"},
        {"\"6c6f672fff\"", "\"6c6f672ff\""},
        {"\"6c6f672fff\"", "\"2e2e2f\""},
        {"\"Size\": 225", "\"Size\": -1"},
        {"\"Size\": 225", "\"Size\": 1e3"},
        {"\"Size\": 225", "\"Size\": 18446744073709551616"},
        {"\"Size\": 225", "\"Size\": \"225\""},
        {"\"Size\": 225", "\"Size\": null"},
        {"\"Size\": 225", "\"Size\": [1]"},
        {"\"Size\": 225", "\"Size\": {}"},
        {"\"Size\": 225", "\"Sise\": 225"},
        {"\"Size\": 225", "\"Size\": 225, \"Size\": 225"},
        {", \"Size\": 225", ""},
        {"\"Checksum-Algorithm\": \"CRC32C\"", "\"Checksum-Algorithm\": \"MD5\""},
        {"\"Checksum-Algorithm\": \"CRC32C\", ", ""},
        {"\"Checksum\": \"7d9cb37c\"", "\"Checksum\": \"7d9cb3\""},
        {"\"Path\": \"backup_label\"", "\"Path\": \"a\", \"Encoded-Path\": \"61\""},
        {"\"Path\": \"backup_label\", ", ""},
        {"\"Timeline\": 1", "\"Timeline\": 0"},
        {"\"Timeline\": 1", "\"Timeline\": 4294967296"},
        {"\"End-LSN\": \"0/2000100\"", "\"End-LSN\": \"0/1\""},
        {"\"End-LSN\": \"0/2000100\"", "\"End-LSN\": \"nowhere\""},
        {"\"Start-LSN\": \"0/2000028\", ", ""},
        {"\"PostgreSQL-Backup-Manifest-Version\": 1,", ""},
        {"\"WAL-Ranges\"", "\"Wal-Ranges\""},
    };
    for (auto [from, to] : cases) {
        auto manifest = parse(replaced(from, to));
        ASSERT_FALSE(manifest) << from << " -> " << to;
        EXPECT_EQ(manifest.error().kind, ErrorKind::damaged) << from << " -> " << to;
    }
}

}  // namespace
}  // namespace holdfast
