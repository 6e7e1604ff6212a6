#include "formats/pg_control.h"

#include <cstring>

#include "formats/crc32c.h"
#include "formats/fixture_test.h"
#include "formats/pg_backup_label.h"

namespace holdfast {
namespace {

Bytes real_control() { return read_fixture("postgres/pg_control-15"); }

Bytes with(std::size_t offset, std::uint32_t value) {
    auto bytes = real_control();
    std::memcpy(bytes.data() + offset, &value, 4);
    auto crc = crc32c(ByteView(bytes).first(288));
    std::memcpy(bytes.data() + 288, &crc, 4);
    return bytes;
}

// The values that pg_controldata printed for the same file.
TEST(PgControl, ReadsARealOne) {
    auto control = parse_pg_control(real_control());
    ASSERT_TRUE(control) << control.error().message;
    EXPECT_EQ(control->system_identifier, 7711098416657485294ull);
    EXPECT_EQ(control->format, 1300u);
    EXPECT_EQ(control->catalog_version, 202209061u);
    EXPECT_EQ(control->state, PgControl::State::shut_down);
    EXPECT_EQ(to_text(control->checkpoint), "0/3000110");
    EXPECT_EQ(to_text(control->redo), "0/3000110");
    EXPECT_EQ(control->timeline, 1u);
    EXPECT_EQ(control->wal_level, 1u);
    EXPECT_EQ(control->max_connections, 100u);
    EXPECT_EQ(control->max_worker_processes, 8u);
    EXPECT_EQ(control->max_wal_senders, 10u);
    EXPECT_EQ(control->max_prepared_transactions, 0u);
    EXPECT_EQ(control->max_locks_per_transaction, 64u);
    EXPECT_EQ(control->segment_blocks, 131072u);
    EXPECT_EQ(control->wal_segment_bytes, 16777216u);
    EXPECT_TRUE(control->checksums());
}

TEST(PgControl, EveryFlippedByteShows) {
    auto bytes = real_control();
    for (std::size_t i = 0; i < 292; ++i) {
        bytes[i] ^= 0x20;
        EXPECT_FALSE(parse_pg_control(bytes)) << i;
        bytes[i] ^= 0x20;
    }
}

TEST(PgControl, RefusesShortAndForeignOnes) {
    auto bytes = real_control();
    for (std::size_t size : {0, 8, 12, 287, 291})
        EXPECT_EQ(parse_pg_control(ByteView(bytes).first(size)).error().kind, ErrorKind::damaged) << size;
    EXPECT_EQ(parse_pg_control(with(8, 1800)).error().kind, ErrorKind::usage);
    EXPECT_EQ(parse_pg_control(with(8, std::byteswap(1300u))).error().kind, ErrorKind::usage);
    EXPECT_EQ(parse_pg_control(with(216, 4096)).error().kind, ErrorKind::usage);
    EXPECT_EQ(parse_pg_control(with(252, 2)).error().kind, ErrorKind::usage);
    for (auto [offset, value] : {std::pair{16, 7}, {180, -1}, {220, 0}, {228, 0}, {228, 3 << 20}})
        EXPECT_EQ(parse_pg_control(with(offset, static_cast<std::uint32_t>(value))).error().kind,
                  ErrorKind::damaged) << offset;
}

TEST(PgControl, VersionFile) {
    EXPECT_EQ(parse_pg_version_file("15\n").value(), 15);
    for (auto text : {"", "\n", "fifteen\n", "15 \n", "1500000\n", "-1\n", "9.6\n"})
        EXPECT_FALSE(parse_pg_version_file(text)) << text;
}

TEST(PgLsn, TextBothWays) {
    EXPECT_EQ(to_text(parse_lsn("16/B374D848").value()), "16/B374D848");
    EXPECT_EQ(parse_lsn("16/b374d848").value().value, 0x16B374D848ull);
    for (auto text : {"", "/", "1/", "/1", "1", "1/2/3", "123456789/1", "1/123456789", "-1/1", "1/-1", "x/1"})
        EXPECT_FALSE(parse_lsn(text)) << text;
    EXPECT_EQ(wal_segment_name(1, parse_lsn("0/2000028").value(), 16 << 20), "000000010000000000000002");
    EXPECT_EQ(wal_segment_name(0x1a, parse_lsn("16/B374D848").value(), 64 << 20), "0000001A000000160000002C");
    EXPECT_TRUE(is_wal_segment_name("0000001A000000160000002C"));
    EXPECT_FALSE(is_wal_segment_name("0000001A000000160000002c"));
    EXPECT_FALSE(is_wal_segment_name("00000002.history"));
}

TEST(PgBackupLabel, ReadsARealOne) {
    auto label = parse_pg_backup_label(as_text(read_fixture("postgres/backup_label-15")));
    ASSERT_TRUE(label) << label.error().message;
    EXPECT_EQ(to_text(label->start), "0/2000028");
    EXPECT_EQ(label->start_segment, "000000010000000000000002");
    EXPECT_EQ(to_text(label->checkpoint), "0/2000060");
    EXPECT_EQ(label->method, "streamed");
    EXPECT_FALSE(label->from_standby);
    EXPECT_EQ(label->label, "pg_basebackup base backup");
    EXPECT_EQ(label->timeline, 1u);
}

TEST(PgBackupLabel, RefusesWhatIsMissingOrMalformed) {
    auto text = to_text(read_fixture("postgres/backup_label-15"));
    for (std::string line : {"START WAL LOCATION", "CHECKPOINT LOCATION", "START TIMELINE"}) {
        auto broken = text;
        broken.replace(broken.find(line), 5, "XXXXX");
        EXPECT_EQ(parse_pg_backup_label(broken).error().kind, ErrorKind::damaged) << line;
        EXPECT_FALSE(parse_pg_backup_label(text + line + ": rubbish\n")) << line;
    }
    EXPECT_FALSE(parse_pg_backup_label(""));
}

TEST(PgTablespaceMap, BothWays) {
    std::map<std::uint32_t, std::string> locations{
        {16384, "/mnt/fast disk"}, {16385, "/a\nb\\c\rd"}, {4294967295, "/x"}};
    auto text = format_pg_tablespace_map(locations);
    EXPECT_EQ(parse_pg_tablespace_map(text).value(), locations);
    EXPECT_EQ(parse_pg_tablespace_map("16384 /tmp/ts\n").value().at(16384), "/tmp/ts");
    EXPECT_TRUE(parse_pg_tablespace_map("").value().empty());
    for (auto broken : {"16384 /tmp", "16384\n", "16384 \n", "x /tmp\n", "-1 /tmp\n", "1 /a\n1 /b\n", "1 /a\\"})
        EXPECT_FALSE(parse_pg_tablespace_map(broken)) << broken;
}

}  // namespace
}  // namespace holdfast
