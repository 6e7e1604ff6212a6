#include "formats/pg_wal_changes.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.h"
#include "formats/fixture_test.h"
#include "formats/pg_wal_decoder.h"

namespace holdfast {
namespace {

using Fork = PgRelationFile::Fork;
using Relation = WalChanges::Relation;

// A record as a server makes one: `main` behind the headers of `blocks`.
struct MadeRecord {
    int major;
    std::uint8_t manager, info;
    Bytes body;
    MadeRecord(int version, std::uint8_t by, std::uint8_t what, ByteView main, std::vector<WalBlock> const& blocks = {})
        : major(version), manager(by), info(what) {
        ByteWriter writer;
        for (std::size_t i = 0; i < blocks.size(); ++i) {
            writer.u8(static_cast<std::uint8_t>(i));
            writer.u8(blocks[i].fork);
            writer.u16(0);
            writer.u32(blocks[i].tablespace);
            writer.u32(blocks[i].database);
            writer.u32(blocks[i].relation);
            writer.u32(blocks[i].block);
        }
        if (!main.empty()) {
            writer.u8(255);
            writer.u8(static_cast<std::uint8_t>(main.size()));
            writer.raw(main);
        }
        body = writer.take();
    }
    WalRecord record() const {
        WalRecord record;
        record.major = major;
        record.manager = manager;
        record.info = info;
        record.body = body;
        return record;
    }
};

Bytes words(std::initializer_list<std::uint32_t> values) {
    ByteWriter writer;
    for (auto value : values) writer.u32(value);
    return writer.take();
}

constexpr Relation kTable{1663, 5, 16384};

void expect_added(WalChanges& changes, MadeRecord const& made) {
    auto added = changes.add(made.record());
    EXPECT_TRUE(added) << added.error().message;
}

TEST(PgWalChanges, NamesEveryBlockOfRealLog) {
    auto bytes = read_fixture("postgres/wal-15-segment-9");
    WalDecoder decoder(Lsn{0x900000}, 1u << 20);
    WalChanges changes;
    std::set<std::pair<Relation, std::uint32_t>> named;
    auto visit = [&](WalRecord const& record) -> Result<bool> {
        auto content = TRY(parse_wal_content(record));
        for (auto const& block : content.blocks)
            if (block.fork == 0) named.insert({{block.tablespace, block.database, block.relation}, block.block});
        TRY(changes.add(record));
        return true;
    };
    ASSERT_TRUE(decoder.feed(bytes, visit));
    ASSERT_TRUE(decoder.finish(visit));
    ASSERT_GT(named.size(), 20u);
    EXPECT_EQ(changes.blocks(), named.size());
    std::uint64_t others = 0;
    for (auto const& [relation, block] : named) {
        EXPECT_TRUE(changes.changed(relation, Fork::main, block));
        EXPECT_FALSE(changes.untouched(relation));
        // A block far behind is named only where the relation was created, cut or dropped.
        others += !changes.changed(relation, Fork::main, 1'000'000);
    }
    EXPECT_GT(others, 0u);
    EXPECT_TRUE(changes.untouched({1663, 5, 99999}));
    EXPECT_EQ(changes.unreliable(), "");
}

TEST(PgWalChanges, BlocksAreNamedExactly) {
    WalChanges changes;
    for (auto block : {0u, 7u, 4095u, 4096u, 131072u, 4294967294u})
        expect_added(changes, {15, 10, 0, {}, {{1663, 5, 16384, 0, block}}});
    expect_added(changes, {15, 10, 0, {}, {{1663, 5, 16384, 0, 7}, {1663, 5, 16390, 2, 1}}});
    EXPECT_EQ(changes.blocks(), 6u);
    for (auto block : {0u, 7u, 4095u, 4096u, 131072u, 4294967294u}) EXPECT_TRUE(changes.changed(kTable, Fork::main, block));
    for (auto block : {1u, 6u, 8u, 4094u, 4097u, 131071u, 131073u, 4294967293u})
        EXPECT_FALSE(changes.changed(kTable, Fork::main, block)) << block;
    EXPECT_TRUE(changes.untouched({1663, 5, 16390}));  // only its visibility map was named
}

TEST(PgWalChanges, OnlyMainForksAreTrusted) {
    WalChanges changes;
    for (auto fork : {Fork::free_space, Fork::visibility, Fork::init}) EXPECT_TRUE(changes.changed(kTable, fork, 0));
    EXPECT_FALSE(changes.changed(kTable, Fork::main, 0));
}

TEST(PgWalChanges, WhatIsCreatedBeginsAnew) {
    WalChanges changes;
    expect_added(changes, {15, 2, 0x10, words({1663, 5, 16390, 3})});  // an init fork
    EXPECT_TRUE(changes.untouched({1663, 5, 16390}));
    expect_added(changes, {15, 2, 0x10, words({1663, 5, 16384, 0})});
    EXPECT_TRUE(changes.changed(kTable, Fork::main, 0));
    EXPECT_TRUE(changes.changed(kTable, Fork::main, 100));
}

TEST(PgWalChanges, WhatWasCutOffIsReadFromTheShortestLength) {
    WalChanges changes;
    expect_added(changes, {15, 2, 0x20, words({40, 1663, 5, 16384, 7})});
    expect_added(changes, {15, 2, 0x20, words({30, 1663, 5, 16384, 1})});
    expect_added(changes, {15, 2, 0x20, words({35, 1663, 5, 16384, 7})});
    expect_added(changes, {15, 2, 0x20, words({0, 1663, 5, 16384, 6})});  // its maps alone
    EXPECT_FALSE(changes.changed(kTable, Fork::main, 29));
    EXPECT_TRUE(changes.changed(kTable, Fork::main, 30));
    EXPECT_TRUE(changes.changed(kTable, Fork::main, 31));
}

Bytes transaction_main(std::uint32_t parts, std::vector<Relation> const& dropped) {
    ByteWriter main;
    main.u64(1);
    main.u32(parts);
    if (parts & 1u) main.u64(5);
    if (parts & 2u) main.raw(words({2, 700, 701}));
    if (parts & 4u) {
        main.u32(static_cast<std::uint32_t>(dropped.size()));
        for (auto const& relation : dropped) main.raw(words({relation.tablespace, relation.database, relation.relation}));
    }
    main.u32(0);  // whatever comes behind
    return main.take();
}

TEST(PgWalChanges, WhatATransactionDropsBeginsAnew) {
    for (std::uint8_t operation : {0x00, 0x20, 0x30, 0x40}) {
        for (std::uint32_t parts : {4u, 5u, 6u, 7u}) {
            WalChanges changes;
            auto main = transaction_main(parts, {{1663, 5, 1}, kTable});
            expect_added(changes, {15, 1, static_cast<std::uint8_t>(operation | 0x80), main});
            EXPECT_TRUE(changes.changed(kTable, Fork::main, 0)) << int(operation) << " " << parts;
            EXPECT_FALSE(changes.changed({1663, 5, 2}, Fork::main, 0));
        }
    }
    WalChanges changes;
    expect_added(changes, {15, 1, 0x00, transaction_main(4, {kTable})});  // its info says: no parts
    expect_added(changes, {15, 1, 0x90, transaction_main(4, {kTable})});  // prepared, not ended
    EXPECT_TRUE(changes.untouched(kTable));
}

TEST(PgWalChanges, ADatabaseBeginsAnewInItsTablespaces) {
    struct Case {
        int major;
        std::uint8_t info;
        std::vector<std::uint32_t> main;
        std::vector<std::uint32_t> tablespaces;
    };
    std::vector<Case> cases{
        {12, 0x00, {5, 1663, 1, 1663}, {1663}}, {12, 0x10, {5, 1663}, {1663}},
        {13, 0x10, {5, 2, 1663, 16390}, {1663, 16390}}, {14, 0x00, {5, 16390, 1, 1663}, {16390}},
        {15, 0x00, {5, 1663, 1, 1663}, {1663}}, {15, 0x10, {5, 1663}, {1663}},
        {17, 0x20, {5, 2, 1663, 16390}, {1663, 16390}},
    };
    for (auto const& one : cases) {
        WalChanges changes;
        ByteWriter main;
        for (auto word : one.main) main.u32(word);
        expect_added(changes, {one.major, 4, one.info, main.view()});
        for (std::uint32_t tablespace : {1663u, 16390u, 1664u})
            EXPECT_EQ(changes.changed({tablespace, 5, 2619}, Fork::main, 3),
                      std::ranges::find(one.tablespaces, tablespace) != one.tablespaces.end())
                << one.major << " " << int(one.info) << " " << tablespace;
        EXPECT_TRUE(changes.untouched({1663, 6, 2619}));
    }
}

TEST(PgWalChanges, ALogThatLeftThingsOutIsNotTrusted) {
    for (int major : {12, 15, 17}) {
        WalChanges changes;
        expect_added(changes, {major, 0, 0x60, words({100, 8, 10, 0, 64, 1, 0})});
        EXPECT_EQ(changes.unreliable(), "");
        expect_added(changes, {major, 0, 0x60, words({100, 8, 10, 0, 64, 0, 0})});
        EXPECT_NE(changes.unreliable(), "");
        EXPECT_TRUE(changes.changed(kTable, Fork::main, 0));
        // That it tells all again does not bring back what it left out.
        expect_added(changes, {major, 0, 0x60, words({100, 8, 10, 0, 64, 2, 0})});
        EXPECT_NE(changes.unreliable(), "");
    }
}

TEST(PgWalChanges, ARecordThatIsCutShortIsDamage) {
    auto transaction = transaction_main(7, {kTable, kTable});
    std::vector<MadeRecord> records{
        {15, 2, 0x10, words({1663, 5, 16384, 0})}, {15, 2, 0x20, words({40, 1663, 5, 16384, 7})},
        {15, 4, 0x10, words({5, 1663})},           {15, 4, 0x20, words({5, 2, 1663, 16390})},
        {15, 0, 0x60, words({1, 1, 1, 1, 1, 1})},  {15, 1, 0x80, ByteView(transaction).first(transaction.size() - 4)},
    };
    for (auto const& made : records) {
        auto main = ByteView(made.body).subspan(2);
        WalChanges changes;
        EXPECT_TRUE(changes.add(made.record()));
        for (std::size_t size = 1; size < main.size(); ++size) {
            MadeRecord shorter(15, made.manager, made.info, main.first(size));
            auto added = changes.add(shorter.record());
            ASSERT_FALSE(added) << int(made.manager) << " " << size;
            EXPECT_EQ(added.error().kind, ErrorKind::damaged);
        }
    }
}

TEST(PgWalChanges, PathsAndRecordsMeanTheSameRelation) {
    auto relation = [](std::string_view path) { return WalChanges::relation_of(*parse_pg_relation_path(path)); };
    EXPECT_EQ(relation("base/5/16384.3"), kTable);
    EXPECT_EQ(relation("global/1262"), (Relation{1664, 0, 1262}));
    EXPECT_EQ(relation("pg_tblspc/16390/PG_15_202209061/5/16391"), (Relation{16390, 5, 16391}));
}

}  // namespace
}  // namespace holdfast
