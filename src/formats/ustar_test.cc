#include "formats/ustar.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

class Collector : public UstarReader::Handler {
  public:
    Result<void> entry(UstarEntry const& entry) override {
        entries.push_back(entry);
        contents.emplace_back();
        return {};
    }
    Result<void> data(ByteView bytes) override {
        EXPECT_FALSE(bytes.empty());
        contents.back() += as_text(bytes);
        return {};
    }
    Result<void> entry_end() override {
        ++ended;
        return {};
    }
    std::vector<UstarEntry> entries;
    std::vector<std::string> contents;
    std::size_t ended = 0;
};

void put(std::string& block, std::size_t offset, std::string_view text) { block.replace(offset, text.size(), text); }

void seal(std::string& block) {
    put(block, 148, "        ");
    unsigned sum = 0;
    for (unsigned char c : block) sum += c;
    put(block, 148, fmt::format("{:06o} ", sum));
    block[155] = '\0';
}

std::string header(std::string_view name, char type, std::size_t size) {
    std::string block(512, '\0');
    put(block, 0, name);
    put(block, 100, "0000600 ");
    put(block, 108, "0000145 ");
    put(block, 116, "0000150 ");
    put(block, 124, fmt::format("{:011o} ", size));
    put(block, 136, "15300651450 ");
    block[156] = type;
    put(block, 257, "ustar");
    put(block, 263, "00");
    put(block, 265, "postgres");
    put(block, 297, "postgres");
    seal(block);
    return block;
}

std::string file(std::string_view name, std::string_view content) {
    auto bytes = header(name, '0', content.size()) + std::string(content);
    bytes.append((512 - content.size() % 512) % 512, '\0');
    return bytes;
}

std::string archive() {
    auto link = header("pg_tblspc/16384", '2', 0);
    put(link, 157, "/mnt/ts");
    seal(link);
    return header("base/", '5', 0) + file("base/PG_VERSION", "15\n") + file("empty", "") +
           file("full", std::string(1024, 'x')) + link + header("./pg_wal/archive_status/", '5', 0);
}

TEST(Ustar, AnyCutOfTheStreamGivesTheSame) {
    for (auto const& tail : {std::string(), std::string(1024, '\0'), std::string(4096, '\0')}) {
        auto bytes = archive() + tail;
        for (std::size_t piece : {1u, 7u, 511u, 512u, 513u, 100000u}) {
            Collector seen;
            UstarReader reader(seen);
            for (std::size_t at = 0; at < bytes.size(); at += piece)
                ASSERT_TRUE(reader.push(as_bytes(std::string_view(bytes).substr(at, piece))));
            ASSERT_TRUE(reader.finish());
            ASSERT_EQ(seen.entries.size(), 6u);
            EXPECT_EQ(seen.ended, 6u);
            EXPECT_EQ(seen.entries[0].path, "base");
            EXPECT_EQ(seen.entries[0].type, UstarEntry::Type::directory);
            EXPECT_EQ(seen.entries[1].path, "base/PG_VERSION");
            EXPECT_EQ(seen.entries[1].mode, 0600u);
            EXPECT_EQ(seen.entries[1].uid, 101u);
            EXPECT_EQ(seen.entries[1].user, "postgres");
            EXPECT_EQ(seen.entries[1].mtime, 015300651450);
            EXPECT_EQ(seen.contents[1], "15\n");
            EXPECT_EQ(seen.contents[2], "");
            EXPECT_EQ(seen.contents[3], std::string(1024, 'x'));
            EXPECT_EQ(seen.entries[4].target, "/mnt/ts");
            EXPECT_EQ(seen.entries[5].path, "pg_wal/archive_status");
        }
    }
}

TEST(Ustar, ATruncatedStreamIsDamage) {
    auto bytes = file("a", std::string(700, 'x'));
    for (std::size_t size = 1; size < bytes.size(); ++size) {
        Collector seen;
        UstarReader reader(seen);
        ASSERT_TRUE(reader.push(as_bytes(std::string_view(bytes).substr(0, size))));
        EXPECT_EQ(reader.finish().error().kind, ErrorKind::damaged) << size;
    }
}

TEST(Ustar, LargeSizesInBase256) {
    auto block = header("large", '0', 0);
    block[124] = static_cast<char>(0x80);
    put(block, 125, std::string_view("\0\0\0\0\0\0\x02\0\0\0\1", 11));
    seal(block);
    Collector seen;
    UstarReader reader(seen);
    ASSERT_TRUE(reader.push(as_bytes(block)));
    EXPECT_EQ(seen.entries.at(0).size, (2ull << 32) + 1);
    EXPECT_FALSE(reader.finish());
}

TEST(Ustar, RefusesWhatIsOdd) {
    auto refused = [](std::string bytes) {
        Collector seen;
        UstarReader reader(seen);
        auto result = reader.push(as_bytes(bytes));
        return !result && result.error().kind == ErrorKind::damaged && seen.entries.empty();
    };
    auto altered = [](auto change) {
        auto block = header("name", '0', 0);
        change(block);
        seal(block);
        return block;
    };
    EXPECT_TRUE(refused(header("/etc/passwd", '0', 0)));
    EXPECT_TRUE(refused(header("../x", '0', 0)));
    EXPECT_TRUE(refused(header("a/../b", '0', 0)));
    EXPECT_TRUE(refused(header("a//b", '0', 0)));
    EXPECT_TRUE(refused(header("", '0', 0)));
    EXPECT_TRUE(refused(header("hard link", '1', 0)));
    EXPECT_TRUE(refused(header("pax", 'x', 0)));
    EXPECT_TRUE(refused(header("directory", '5', 5)));
    EXPECT_TRUE(refused(header("link to nowhere", '2', 0)));
    EXPECT_TRUE(refused(altered([](auto& block) { put(block, 124, "0000000000x "); })));
    EXPECT_TRUE(refused(altered([](auto& block) { put(block, 124, "            "); })));
    EXPECT_TRUE(refused(altered([](auto& block) { block[124] = '\xff'; })));
    EXPECT_TRUE(refused(altered([](auto& block) { put(block, 124, std::string_view("\x80\xff\xff\xff\xff", 5)); })));
    EXPECT_TRUE(refused(altered([](auto& block) { put(block, 257, "gnutr"); })));
    auto flipped = header("name", '0', 0);
    flipped[0] ^= 1;
    EXPECT_TRUE(refused(flipped));

    Collector seen;
    UstarReader reader(seen);
    EXPECT_FALSE(reader.push(as_bytes(std::string(512, '\0') + header("after the end", '0', 0))));
}

TEST(Ustar, AnErrorOfTheHandlerEndsIt) {
    class Refusing : public Collector {
        Result<void> data(ByteView) override { return fail(ErrorKind::no_space, "full"); }
    } handler;
    UstarReader reader(handler);
    EXPECT_EQ(reader.push(as_bytes(archive())).error().kind, ErrorKind::no_space);
}

}  // namespace
}  // namespace holdfast
