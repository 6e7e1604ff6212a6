#include "formats/pg_page.h"

#include "formats/fixture_test.h"
#include "formats/pg_path.h"

namespace holdfast {
namespace {

// Block 7 of base/5/1249 (pg_attribute) of a cluster that `initdb -k` of PostgreSQL 15 made.
Bytes real_page() { return read_fixture("postgres/page-15-base-5-1249-block-7"); }
constexpr std::uint32_t kRealBlock = 7;

TEST(PgPage, ChecksumOfARealPage) {
    auto page = real_page();
    ASSERT_EQ(page.size(), kPgPageBytes);
    auto header = read_pg_page_header(page);
    EXPECT_EQ(header.page_size, 8192);
    EXPECT_EQ(header.layout, 4);
    EXPECT_GT(header.lsn.value, 0u);
    EXPECT_EQ(pg_page_checksum(page, kRealBlock), header.checksum);
    EXPECT_EQ(pg_page_checksum_portable(page, kRealBlock), header.checksum);
    EXPECT_EQ(check_pg_page(page, kRealBlock, {}), PgPageState::sound);
}

TEST(PgPage, EveryFlippedByteShows) {
    auto page = real_page();
    for (std::size_t i = 0; i < page.size(); i += 7) {
        page[i] ^= 0x10;
        auto state = check_pg_page(page, kRealBlock, {});
        EXPECT_TRUE(state == PgPageState::bad_checksum || state == PgPageState::bad_header) << i;
        page[i] ^= 0x10;
    }
}

TEST(PgPage, AnotherBlocksPageShows) {
    EXPECT_EQ(check_pg_page(real_page(), kRealBlock + 1, {}), PgPageState::bad_checksum);
}

TEST(PgPage, OnlyAllZeroIsNew) {
    Bytes page(kPgPageBytes, 0);
    EXPECT_EQ(check_pg_page(page, 0, {}), PgPageState::fresh);
    page.back() = 1;
    EXPECT_EQ(check_pg_page(page, 0, {}), PgPageState::bad_header);
    // A header that says "new" over leftovers: PostgreSQL itself would not look at the checksum.
    auto wiped = real_page();
    std::fill_n(wiped.begin(), 24, 0);
    EXPECT_EQ(check_pg_page(wiped, kRealBlock, {}), PgPageState::bad_header);
}

TEST(PgPage, WithoutChecksumsTheHeaderCounts) {
    auto page = real_page();
    page[8] ^= 1;
    EXPECT_EQ(check_pg_page(page, kRealBlock, {.checksums = false}), PgPageState::sound);
    page[13] = 0xff;  // lower beyond upper
    EXPECT_EQ(check_pg_page(page, kRealBlock, {.checksums = false}), PgPageState::bad_header);
}

TEST(PgPath, KnowsRelationsFiles) {
    auto file = parse_pg_relation_path("base/5/16384_fsm.3");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->database, 5u);
    EXPECT_EQ(file->filenode, 16384u);
    EXPECT_EQ(file->segment, 3u);
    EXPECT_EQ(file->fork, PgRelationFile::Fork::free_space);
    file = parse_pg_relation_path("pg_tblspc/16390/PG_15_202209061/5/16391");
    ASSERT_TRUE(file);
    EXPECT_EQ(file->tablespace, 16390u);
    EXPECT_TRUE(parse_pg_relation_path("global/1262"));
    for (auto path : {"global/pg_control", "global/pg_filenode.map", "base/5/PG_VERSION", "base/5/t3_16384",
                      "base/5/16384.", "base/5/16384.0", "base/5/_fsm", "base/5/16384_bad", "base/16384",
                      "base/5/99999999999", "pg_wal/1", "", "base/5/1/2", "base/5/016384",
                      "pg_tblspc/16390/x/5/16391"})
        EXPECT_FALSE(parse_pg_relation_path(path)) << path;
}

}  // namespace
}  // namespace holdfast
