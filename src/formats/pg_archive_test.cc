#include "formats/pg_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/fixture_test.h"

namespace holdfast {
namespace {

using ::testing::HasSubstr;

// Three tables with data (7, 0 and 2 rows; one in a schema with a quote and with a line feed in its name), a view, a
// sequence, two large objects of which one is empty: written by pg_dump 15.18 of a server of 15.18.
Bytes archive_bytes() { return read_fixture("postgres/archive-1.14.dump"); }

Result<PgArchive> read_in_pieces(ByteView bytes, std::size_t piece) {
    PgArchiveReader reader;
    for (std::size_t at = 0; at < bytes.size(); at += piece)
        TRY(reader.push(bytes.subspan(at, std::min(piece, bytes.size() - at))));
    return reader.finish();
}

void expect_the_fixture(PgArchive const& archive) {
    EXPECT_EQ(archive.major, 1);
    EXPECT_EQ(archive.minor, 14);
    EXPECT_EQ(archive.database, "fixture");
    EXPECT_THAT(archive.server_version, ::testing::StartsWith("15."));
    EXPECT_THAT(archive.program_version, ::testing::StartsWith("15."));
    EXPECT_EQ(archive.large_objects, 2u);
    std::map<std::pair<std::string, std::string>, std::uint64_t> rows;
    std::set<std::string> kinds;
    for (auto const& entry : archive.entries) {
        kinds.insert(entry.kind);
        if (entry.kind != "TABLE DATA") continue;
        rows[{entry.schema, entry.name}] = entry.rows;
        EXPECT_EQ(entry.owner, "postgres");
    }
    EXPECT_EQ(rows, (decltype(rows){{{"public", "t"}, 7}, {{"public", "empty"}, 0}, {{"odd \"schema", "line\nfeed"}, 2}}));
    for (auto kind : {"TABLE", "VIEW", "SEQUENCE", "SEQUENCE SET", "BLOBS", "SCHEMA"}) EXPECT_TRUE(kinds.contains(kind)) << kind;
}

TEST(PgArchive, IsReadWhateverThePieces) {
    auto const bytes = archive_bytes();
    for (std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{64}, std::size_t{1000}, bytes.size()}) {
        auto archive = read_in_pieces(bytes, piece);
        ASSERT_TRUE(archive) << piece << ": " << archive.error().message;
        expect_the_fixture(*archive);
        EXPECT_EQ(archive->bytes, bytes.size());
    }
}

TEST(PgArchive, CutOffAnywhereIsDamaged) {
    auto const bytes = archive_bytes();
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        auto archive = read_in_pieces(ByteView(bytes).first(size), 512);
        ASSERT_FALSE(archive) << "cut off at " << size;
        EXPECT_EQ(archive.error().kind, ErrorKind::damaged) << size;
    }
}

TEST(PgArchive, WhatFollowsItsEndIsDamaged) {
    auto bytes = archive_bytes();
    bytes.push_back(0);
    auto archive = read_in_pieces(bytes, 512);
    ASSERT_FALSE(archive);
    EXPECT_EQ(archive.error().kind, ErrorKind::damaged);
}

TEST(PgArchive, RowsWithoutTheirEndAreDamaged) {
    auto bytes = archive_bytes();
    std::string const end = "\\.\n\n\n";
    auto found = std::search(bytes.begin(), bytes.end(), end.begin(), end.end());
    ASSERT_NE(found, bytes.end());
    *found = 'x';
    auto archive = read_in_pieces(bytes, bytes.size());
    ASSERT_FALSE(archive);
    EXPECT_THAT(archive.error().message, HasSubstr("have no end"));
}

TEST(PgArchive, EachFlipIsAnErrorOrAnArchive) {
    auto const whole = archive_bytes();
    for (std::size_t at = 0; at < whole.size(); ++at) {
        auto bytes = whole;
        bytes[at] ^= 0x80;
        (void)read_in_pieces(bytes, 999);  // the sanitizers look on
    }
}

TEST(PgArchive, OtherVersionsAndCompressionAreNamed) {
    auto bytes = archive_bytes();
    bytes[6] = 99;
    auto later = read_in_pieces(bytes, 512);
    ASSERT_FALSE(later);
    EXPECT_EQ(later.error().kind, ErrorKind::usage);
    EXPECT_THAT(later.error().message, HasSubstr("1.99"));
    bytes = archive_bytes();
    bytes[12] = 6;  // the level, behind its sign
    auto compressed = read_in_pieces(bytes, 512);
    ASSERT_FALSE(compressed);
    EXPECT_THAT(compressed.error().message, HasSubstr("compressed"));
    auto text = to_bytes("--\n-- PostgreSQL database dump\n--\n");
    auto plain = read_in_pieces(text, 512);
    ASSERT_FALSE(plain);
    EXPECT_EQ(plain.error().kind, ErrorKind::damaged);
}

}  // namespace
}  // namespace holdfast
