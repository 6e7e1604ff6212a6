#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/text.h"
#include "base/time.h"
#include "base/units.h"

namespace holdfast {
namespace {

TEST(Bytes, HexHasOneSpelling) {
    EXPECT_EQ(to_hex(*from_hex("00ff7a")), "00ff7a");
    EXPECT_FALSE(from_hex("FF"));
    EXPECT_FALSE(from_hex("f"));
    EXPECT_FALSE(from_hex("zz"));
}

TEST(ByteReader, ReadsWhatWasWritten) {
    ByteWriter writer;
    writer.u16(0x1234);
    writer.varint(300);
    writer.varint(~0ull);
    writer.blob("hello");
    writer.i64(-5);
    ByteReader reader(writer.view());
    EXPECT_EQ(reader.u16(), 0x1234);
    EXPECT_EQ(reader.varint(), 300u);
    EXPECT_EQ(reader.varint(), ~0ull);
    EXPECT_EQ(reader.text(), "hello");
    EXPECT_EQ(reader.i64(), -5);
    EXPECT_TRUE(reader.done());
}

TEST(ByteReader, FailsForGoodOnShortAndHostileInput) {
    ByteWriter writer;
    writer.varint(1ull << 60);
    ByteReader blob(writer.view());
    EXPECT_TRUE(blob.blob().empty());
    EXPECT_FALSE(blob.ok());
    ByteReader count(writer.view());
    EXPECT_EQ(count.count(1), 0u);
    EXPECT_FALSE(count.ok());
    Bytes overlong = {0x80, 0x00};
    ByteReader twice(overlong);
    twice.varint();
    EXPECT_FALSE(twice.ok());
    ByteReader empty(ByteView{});
    empty.u8();
    EXPECT_EQ(empty.u64(), 0u);
    EXPECT_FALSE(empty.done());
}

TEST(Text, PrintableHasAnInverse) {
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    for (auto const& name : {all, std::string(), std::string("a\\x41"), std::string("caf\xc3\xa9"),
                             std::string("\\\\"), std::string("\xc2\x85")}) {
        EXPECT_EQ(from_printable(printable(name)).value(), name);
    }
    for (auto bad : {"\\", "\\x4", "\\x41", "\\xZZ", "\\n", "\n", "\xff", "\\xc3\\xa9"})
        EXPECT_FALSE(from_printable(bad)) << bad;
}

TEST(Time, RoundTripsThroughText) {
    for (auto text : {"2026-11-22T10:31:07Z", "1969-12-31T23:59:59.500Z", "2040-02-29T00:00:00.000000001Z"}) {
        EXPECT_EQ(to_rfc3339(*parse_rfc3339(text)), text);
    }
    EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-11-22 11:31:07+01:00")), "2026-11-22T10:31:07Z");
    for (auto bad : {"2026-11-22", "2026-11-22T10:31:07", "2026-02-30T00:00:00Z", "", "2026-11-22T10:31:07.Z"}) {
        EXPECT_FALSE(parse_rfc3339(bad)) << bad;
    }
    auto time = *parse_rfc3339("2026-11-22T10:31:07.25Z");
    EXPECT_EQ(to_key_time(time), "20261122T103107.250000000Z");
    EXPECT_EQ(*parse_key_time(to_key_time(time)), time);
}

TEST(Units, ParsesWhatPeopleWrite) {
    EXPECT_EQ(*parse_bytes("32 MiB"), 32u << 20);
    EXPECT_EQ(*parse_bytes("1.5GB"), 1500000000u);
    EXPECT_FALSE(parse_bytes("many"));
    EXPECT_EQ(*parse_duration("1h30m"), std::chrono::minutes(90));
    EXPECT_EQ(*parse_duration("3 months"), std::chrono::hours(24 * 90));
    EXPECT_EQ(*parse_duration("quarter"), std::chrono::hours(24 * 90));
    EXPECT_FALSE(parse_duration("15"));
    EXPECT_FALSE(parse_duration("-1h"));
    EXPECT_FALSE(parse_duration(""));
    EXPECT_EQ(format_bytes(1536), "1.5 KiB");
    EXPECT_EQ(format_duration(std::chrono::seconds(65)), "1m 5s");
}

TEST(Text, PrintableShowsEveryByteSafely) {
    EXPECT_EQ(printable("weights é"), "weights é");
    EXPECT_EQ(printable("a\nb\xff\\"), "a\\x0ab\\xff\\\\");
    EXPECT_EQ(printable("\xc2\x9b"), "\\xc2\\x9b");
    EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");
}

TEST(Text, NearestSuggestsOnlyWhatIsNear) {
    std::vector<std::string> names = {"datasets", "objectives", "people"};
    EXPECT_EQ(nearest("dataset", names), "datasets");
    EXPECT_EQ(nearest("objektives", names), "objectives");
    EXPECT_EQ(nearest("xyz", names), "");
    std::vector<std::string> swapped = {"kind", "tier"};
    EXPECT_EQ(nearest("teir", swapped), "tier");
    EXPECT_EQ(nearest("", swapped), "");
}

TEST(Text, GlobMatchesLikeAShell) {
    EXPECT_TRUE(glob_match("*.tmp", "a.tmp"));
    EXPECT_FALSE(glob_match("*.tmp", "d/a.tmp"));
    EXPECT_TRUE(glob_match("**.tmp", "d/a.tmp"));
    EXPECT_TRUE(glob_match("/a/**/z", "/a/b/c/z"));
    EXPECT_TRUE(glob_match("[a-c]?[!x]", "bzy"));
    EXPECT_FALSE(glob_match("[a-c]?[!x]", "bzx"));
    EXPECT_TRUE(glob_match("\\*", "*"));
    EXPECT_FALSE(glob_match("a*b", "ac"));
    EXPECT_TRUE(glob_match("a*b*c", "a1b2b3c"));
}

}  // namespace
}  // namespace holdfast
