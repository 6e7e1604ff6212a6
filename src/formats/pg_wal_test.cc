#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "formats/crc32c.h"
#include "formats/fixture_test.h"
#include "formats/pg_timeline_history.h"
#include "formats/pg_wal_decoder.h"

namespace holdfast {
namespace {

// The first nine pages of a segment of 1 MiB that a PostgreSQL 15 wrote, and what its pg_waldump says.
constexpr char kSegment[] = "postgres/wal-15-segment-9";
constexpr std::uint32_t kSegmentBytes = 1u << 20;
constexpr Lsn kBegin{0x900000}, kSwitch{0x910BB8};

struct Seen {
    std::vector<std::string> lines;
    std::vector<WalTransactionEnd> ends;
    std::vector<std::string> restore_points;
    Lsn end;
    std::string end_reason;
};

// As the lines of the fixture's dump.
std::string line_of(WalRecord const& record, WalContent const& content) {
    static std::map<int, std::string> const kManagers = {
        {0, "XLOG"}, {1, "Transaction"}, {2, "Storage"}, {8, "Standby"}, {9, "Heap2"}, {10, "Heap"}, {11, "Btree"}};
    auto manager = kManagers.find(record.manager);
    auto line = to_text(record.start) + " " + to_text(record.previous) + " " +
                std::to_string(record.body.size() + WalRecord::kHeaderBytes) + " " +
                std::to_string(record.transaction) + " " +
                (manager == kManagers.end() ? std::to_string(record.manager) : manager->second);
    for (auto const& block : content.blocks)
        line += " " + std::to_string(block.tablespace) + "/" + std::to_string(block.database) + "/" +
                std::to_string(block.relation) + "/" + std::to_string(block.fork) + "/" +
                std::to_string(block.block) + (block.whole_image ? "!" : "");
    return line;
}

Seen decode(ByteView bytes, std::size_t step, Lsn from = kBegin) {
    Seen seen;
    WalDecoder decoder(from, kSegmentBytes);
    auto visit = [&](WalRecord const& record) -> Result<bool> {
        auto content = TRY(parse_wal_content(record));
        seen.lines.push_back(line_of(record, content));
        if (auto end = TRY(transaction_end(record))) seen.ends.push_back(*end);
        if (auto point = TRY(restore_point(record))) seen.restore_points.push_back(point->name);
        return true;
    };
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        auto fed = decoder.feed(bytes.subspan(at, std::min(step, bytes.size() - at)), visit);
        EXPECT_TRUE(fed) << fed.error().message;
    }
    EXPECT_TRUE(decoder.finish(visit));
    seen.end = decoder.end();
    seen.end_reason = decoder.end_reason();
    return seen;
}

std::vector<std::string> dump_lines() {
    auto lines = split(as_text(read_fixture(std::string(kSegment) + ".dump")), '\n');
    std::erase_if(lines, [](std::string const& line) { return line.empty() || line[0] == '#'; });
    return lines;
}

TEST(PgWal, SaysWhatPgWaldumpSaysHoweverItComesIn) {
    auto bytes = read_fixture(kSegment);
    auto expected = dump_lines();
    ASSERT_GT(expected.size(), 100u);
    for (std::size_t step : {std::size_t{1} << 20, std::size_t{8192}, std::size_t{1000}, std::size_t{8200}}) {
        auto seen = decode(bytes, step);
        EXPECT_EQ(seen.lines, expected) << "in steps of " << step;
        EXPECT_EQ(seen.end, Lsn{kSwitch.value + 24});
        EXPECT_EQ(seen.end_reason, "");
    }
}

TEST(PgWal, TellsHowTransactionsEnded) {
    auto seen = decode(read_fixture(kSegment), 8192);
    std::vector<std::pair<std::uint32_t, bool>> ends;
    for (auto const& end : seen.ends) ends.emplace_back(end.transaction, end.committed);
    // 730 and 732 were prepared before; 732 dropped a table.
    std::vector<std::pair<std::uint32_t, bool>> expected{{725, true}, {726, true}, {729, false}, {730, true},
                                                         {731, true}, {732, true}, {733, true}};
    EXPECT_EQ(ends, expected);
    EXPECT_EQ(to_rfc3339(seen.ends[1].time), "2026-11-27T22:08:20.848320Z");
    EXPECT_EQ(seen.restore_points, std::vector<std::string>{"before lunch"});
}

TEST(PgWal, BeginsInTheMiddleOfARecord) {
    auto bytes = read_fixture(kSegment);
    auto all = decode(bytes, 8192).lines;
    for (std::size_t page = 1; page < bytes.size() / kWalPageBytes; ++page) {
        auto offset = page * kWalPageBytes;
        auto seen = decode(ByteView(bytes).subspan(offset), 8192, Lsn{kBegin.value + offset});
        ASSERT_FALSE(seen.lines.empty()) << page;
        std::vector<std::string> tail(all.end() - std::ssize(seen.lines), all.end());
        EXPECT_EQ(seen.lines, tail) << page;
    }
}

TEST(PgWal, EndsWhereTheLogWasCut) {
    auto bytes = read_fixture(kSegment);
    auto all = decode(bytes, 8192);
    std::size_t most = 0;
    for (std::size_t cut = 40; cut < bytes.size(); cut += 509) {
        auto seen = decode(ByteView(bytes).first(cut), 8192);
        EXPECT_GE(seen.lines.size(), most);
        most = seen.lines.size();
        EXPECT_LE(seen.end.value, kBegin.value + cut);
        EXPECT_TRUE(std::ranges::equal(seen.lines, std::span(all.lines).first(most)));
        // The same with zeros behind the cut, as a server leaves them; a record may end in zeros.
        auto padded = bytes;
        std::fill(padded.begin() + static_cast<std::ptrdiff_t>(cut), padded.end(), 0);
        auto zeros = decode(padded, 8192);
        EXPECT_GE(zeros.end, seen.end) << cut;
        EXPECT_LE(zeros.end.value, kBegin.value + cut + 32) << cut;
    }
    EXPECT_GT(most, 100u);
}

TEST(PgWal, NoFlippedByteOfARecordPasses) {
    auto bytes = read_fixture(kSegment);
    auto all = decode(bytes, 8192);
    for (std::size_t at = 0; at < 0x10BD0; at += 37) {
        auto flipped = bytes;
        flipped[at] ^= 0x20;
        auto seen = decode(flipped, 8192);
        // Alignment and what page headers say of nothing are not covered by any sum.
        if (seen.lines == all.lines) continue;
        EXPECT_LT(seen.lines.size(), all.lines.size()) << at;
        EXPECT_TRUE(std::ranges::equal(seen.lines, std::span(all.lines).first(seen.lines.size()))) << at;
        EXPECT_NE(seen.end_reason, "") << at;
    }
}

TEST(PgWal, RefusesHeadersThatDoNotAddUp) {
    // Each is a body that announces more, or other, than there is.
    Bytes const bodies[] = {{255}, {255, 9, 1}, {254, 1, 0}, {33, 0}, {0, 0, 0}, {0, 0x80, 0, 0, 1, 0, 0, 0},
                            {255, 0, 7}, {0, 0x10, 0, 0, 255, 255, 0, 0, 0}};
    for (auto const& body : bodies) {
        WalRecord record;
        record.major = 15;
        record.body = body;
        auto content = parse_wal_content(record);
        ASSERT_FALSE(content);
        EXPECT_EQ(content.error().kind, ErrorKind::damaged);
    }
}

TEST(PgWal, TimesOfTheServer) {
    EXPECT_EQ(to_rfc3339(parse_pg_timestamp(0).value()), "2000-01-01T00:00:00Z");
    auto time = parse_rfc3339("2026-11-27T22:08:20.848320Z").value();
    EXPECT_EQ(parse_pg_timestamp(to_pg_timestamp(time)).value(), time);
    EXPECT_FALSE(parse_pg_timestamp(INT64_MAX));
    EXPECT_FALSE(parse_pg_timestamp(INT64_MIN));
}

TEST(PgWal, PageHeaders) {
    auto bytes = read_fixture(kSegment);
    auto first = parse_wal_page_header(bytes).value();
    EXPECT_EQ(wal_major(first.magic), 15);
    EXPECT_EQ(first.position, kBegin);
    EXPECT_EQ(first.system_identifier, 7712976560860951849u);
    EXPECT_EQ(first.segment_bytes, kSegmentBytes);
    auto second = parse_wal_page_header(ByteView(bytes).subspan(kWalPageBytes)).value();
    EXPECT_EQ(second.position, Lsn{kBegin.value + kWalPageBytes});
    EXPECT_EQ(second.segment_bytes, 0u);
    EXPECT_FALSE(parse_wal_page_header(Bytes(kWalPageBytes)));
    EXPECT_FALSE(parse_wal_page_header(ByteView(bytes).first(30)));
    EXPECT_FALSE(wal_major(0xD111));
}

TEST(PgTimelineHistory, ReadsWhatPostgresWrites) {
    auto text = "1\t0/3000148\tno recovery target specified\n\n# by hand\n  3\t0/5000000\tbefore 2026-11-27\n";
    auto branches = parse_timeline_history(text, 4).value();
    std::vector<TimelineBranch> expected{{1, Lsn{0x3000148}}, {3, Lsn{0x5000000}}};
    EXPECT_EQ(branches, expected);
    EXPECT_TRUE(parse_timeline_history("", 1).value().empty());
    EXPECT_EQ(timeline_history_name(27), "0000001B.history");
}

TEST(PgTimelineHistory, RefusesWhatNoServerWrites) {
    for (auto text : {"1", "1\t", "x\t0/1", "0\t0/1", "2\t0/1\n1\t0/2", "1\t0/2\n2\t0/1", "4\t0/1", "1\t01", "1 0/1/1",
                      "10/1"}) {
        auto parsed = parse_timeline_history(text, 4);
        EXPECT_FALSE(parsed) << text;
        if (!parsed) { EXPECT_EQ(parsed.error().kind, ErrorKind::damaged); }
    }
}

}  // namespace
}  // namespace holdfast
