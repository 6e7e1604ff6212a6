#include "formats/pg_backup_manifest_text.h"

#include "formats/fixture_test.h"

namespace holdfast {
namespace {

std::array<std::uint8_t, 32> digest_of(ByteView bytes) {
    std::array<std::uint8_t, 32> digest{};
    for (std::size_t i = 0; i < bytes.size(); ++i) digest[i % 32] = static_cast<std::uint8_t>(digest[i % 32] * 31 + bytes[i]);
    return digest;
}

TEST(PgBackupManifestText, IsReadBack) {
    std::vector<PgManifestFile> files{{"PG_VERSION", 3, 1795868718, 0x7cb39c7d}, {"log/\xff\"\\", 1u << 31, 0, 1}};
    auto text = format_pg_backup_manifest(files, {3, Lsn{0x2000028}, Lsn{0x2000100}}, digest_of);
    auto manifest = parse_pg_backup_manifest(as_bytes(text), digest_of);
    ASSERT_TRUE(manifest) << manifest.error().message << text;
    ASSERT_EQ(manifest->files.size(), 2u);
    EXPECT_EQ(manifest->files[0].crc32c, 0x7cb39c7du);
    EXPECT_EQ(manifest->files[1].path, files[1].path);
    EXPECT_EQ(manifest->files[1].size, files[1].size);
    ASSERT_EQ(manifest->wal_ranges.size(), 1u);
    EXPECT_EQ(manifest->wal_ranges[0].timeline, 3u);
    EXPECT_EQ(to_text(manifest->wal_ranges[0].end), "0/2000100");
    EXPECT_TRUE(parse_pg_backup_manifest(as_bytes(format_pg_backup_manifest({}, {1, Lsn{1}, Lsn{2}}, digest_of)), digest_of));
}

// What a server wrote of the same file, to the byte.
TEST(PgBackupManifestText, LinesAreThoseOfAServer) {
    auto real = to_text(read_fixture("postgres/backup_manifest-15"));
    auto begin = real.find("{ \"Path\": "), end = real.find('\n', begin);
    auto line = real.substr(begin, end - begin);
    if (line.ends_with(',')) line.pop_back();
    auto at = line.find("\"Last-Modified\": \"") + 18;
    std::tm parts{};
    ASSERT_NE(::strptime(line.substr(at, 19).c_str(), "%Y-%m-%d %H:%M:%S", &parts), nullptr);
    PgManifestFile file{"pg_tblspc/16384/PG_15_202209061/5/16385", 8192, ::timegm(&parts), 0x7cb39c7d};
    auto text = format_pg_backup_manifest({file}, {1, Lsn{1}, Lsn{2}}, digest_of);
    EXPECT_NE(text.find("\n" + line + "\n"), text.npos) << text << line;
}

}  // namespace
}  // namespace holdfast
