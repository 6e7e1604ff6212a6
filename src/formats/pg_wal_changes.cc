#include "formats/pg_wal_changes.h"

#include <algorithm>

namespace holdfast {
namespace {

// Resource managers (access/rmgrlist.h), and their operations in the high bits of info.
constexpr std::uint8_t kStorage = 2, kDatabase = 4;
constexpr std::uint8_t kOperationMask = 0xf0;
constexpr std::uint8_t kParameterChange = 0x60;                    // catalog/pg_control.h
constexpr std::uint8_t kStorageCreate = 0x10, kStorageTruncate = 0x20;  // catalog/storage_xlog.h
// Flags of a truncation: which forks.
constexpr std::uint32_t kTruncatesMain = 1;
// Ends of transactions, and what of xl_xact_commit and xl_xact_abort is present (access/xact.h).
constexpr std::uint8_t kEndMask = 0x70, kEndHasParts = 0x80;
constexpr std::uint8_t kEndCommit = 0x00, kEndAbort = 0x20, kEndCommitPrepared = 0x30, kEndAbortPrepared = 0x40;
constexpr std::uint32_t kHasDatabase = 1, kHasSubtransactions = 2, kHasRelations = 4;

constexpr std::uint32_t kMainFork = 0;
constexpr std::uint32_t kDefaultTablespace = 1663, kGlobalTablespace = 1664;
constexpr std::uint32_t kWalLevelMinimal = 0;

std::unexpected<Error> malformed_change(WalRecord const& record) {
    return fail(ErrorKind::damaged, "the log record at " + to_text(record.start) + " is malformed");
}

WalChanges::Relation take_relation(ByteReader& reader) {
    WalChanges::Relation relation;
    relation.tablespace = reader.u32();
    relation.database = reader.u32();
    relation.relation = reader.u32();
    return relation;
}

}  // namespace

WalChanges::Relation WalChanges::relation_of(PgRelationFile const& file) {
    auto tablespace = file.tablespace;
    if (tablespace == 0) tablespace = file.database == 0 ? kGlobalTablespace : kDefaultTablespace;
    return {tablespace, file.database, file.filenode};
}

Result<void> WalChanges::add(WalRecord const& record) {
    auto content = TRY(parse_wal_content(record));
    for (auto const& block : content.blocks) {
        if (block.fork != kMainFork) continue;
        auto& named = forks_[{block.tablespace, block.database, block.relation}].named[block.block / kGroup];
        auto bit = named[block.block % kGroup];
        if (!bit) ++blocks_;
        bit = true;
    }
    if (record.manager == kStorage) return add_storage(record, content.main);
    if (record.manager == WalRecord::kTransaction) return add_transaction_end(record, content.main);
    if (record.manager == kDatabase) return add_database(record, content.main);
    if (record.manager == WalRecord::kXlog && (record.info & kOperationMask) == kParameterChange) {
        // xl_parameter_change: five numbers of connections and the like, then wal_level.
        ByteReader reader(content.main);
        for (int i = 0; i < 5; ++i) reader.u32();
        auto level = reader.u32();
        if (!reader.ok()) return malformed_change(record);
        if (level == kWalLevelMinimal)
            unreliable_ = "the server ran with wal_level = minimal from " + to_text(record.start) + " on";
    }
    return {};
}

Result<void> WalChanges::add_storage(WalRecord const& record, ByteView main) {
    ByteReader reader(main);
    switch (record.info & kOperationMask) {
        case kStorageCreate: {
            auto relation = take_relation(reader);
            auto fork = reader.u32();
            if (!reader.ok()) return malformed_change(record);
            if (fork == kMainFork) cut(relation, 0);
            return {};
        }
        case kStorageTruncate: {
            auto limit = reader.u32();
            auto relation = take_relation(reader);
            auto forks = reader.u32();
            if (!reader.ok()) return malformed_change(record);
            if (forks & kTruncatesMain) cut(relation, limit);
            return {};
        }
        default: return {};
    }
}

Result<void> WalChanges::add_transaction_end(WalRecord const& record, ByteView main) {
    auto operation = record.info & kEndMask;
    bool ends = operation == kEndCommit || operation == kEndAbort || operation == kEndCommitPrepared ||
                operation == kEndAbortPrepared;
    if (!ends || !(record.info & kEndHasParts)) return {};
    ByteReader reader(main);
    reader.u64();  // when
    auto parts = reader.u32();
    if (parts & kHasDatabase) reader.u64();
    if (parts & kHasSubtransactions) {
        auto count = reader.u32();
        if (!reader.ok() || count > reader.remaining() / 4) return malformed_change(record);
        reader.raw(std::size_t{4} * count);
    }
    if (parts & kHasRelations) {
        auto count = reader.u32();
        if (!reader.ok() || count > reader.remaining() / 12) return malformed_change(record);
        for (std::uint32_t i = 0; i < count; ++i) cut(take_relation(reader), 0);
    }
    if (!reader.ok()) return malformed_change(record);
    return {};
}

// A database's files are copied, removed, or written anew without a record for each relation.
Result<void> WalChanges::add_database(WalRecord const& record, ByteView main) {
    auto operation = record.info & kOperationMask;
    auto drop = record.major >= 15 ? 0x20 : 0x10;
    ByteReader reader(main);
    auto database = reader.u32();
    if (operation != drop || record.major < 13) {
        // Both ways to create one, and 12's way to drop one in a tablespace.
        databases_.insert({reader.u32(), database});
    } else {
        auto count = reader.u32();
        if (!reader.ok() || count > reader.remaining() / 4) return malformed_change(record);
        for (std::uint32_t i = 0; i < count; ++i) databases_.insert({reader.u32(), database});
    }
    if (!reader.ok()) return malformed_change(record);
    return {};
}

void WalChanges::cut(Relation const& relation, std::uint32_t limit) {
    auto& fork = forks_[relation];
    fork.limit = std::min(fork.limit, limit);
}

bool WalChanges::begins_anew(Relation const& relation) const {
    return !unreliable_.empty() || databases_.contains({relation.tablespace, relation.database});
}

bool WalChanges::changed(Relation const& relation, PgRelationFile::Fork fork, std::uint32_t block) const {
    if (fork != PgRelationFile::Fork::main || begins_anew(relation)) return true;
    auto found = forks_.find(relation);
    if (found == forks_.end()) return false;
    if (block >= found->second.limit) return true;
    auto group = found->second.named.find(block / kGroup);
    return group != found->second.named.end() && group->second[block % kGroup];
}

bool WalChanges::untouched(Relation const& relation) const {
    return !begins_anew(relation) && !forks_.contains(relation);
}

}  // namespace holdfast
