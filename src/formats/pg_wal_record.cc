#include "formats/pg_wal_record.h"

#include <cassert>
#include <cstring>

#include "formats/crc32c.h"

namespace holdfast {
namespace {

constexpr std::size_t kRecordCrcOffset = 20;
constexpr auto kEpoch = std::chrono::sys_days(std::chrono::year(2000) / 1 / 1);

// Ids of headers behind the record's own.
constexpr std::uint8_t kBlockIdMax = 32;
constexpr std::uint8_t kTopTransaction = 252, kOrigin = 253, kMainLong = 254, kMainShort = 255;
// Flags of a block's header; the low four bits are its fork.
constexpr std::uint8_t kHasImage = 0x10, kSameRelation = 0x80;
constexpr std::uint8_t kHasHole = 0x01;

// Operations of resource managers, in the high bits of info.
constexpr std::uint8_t kSwitch = 0x40, kRestorePoint = 0x70;
constexpr std::uint8_t kTransactionMask = 0x70, kHasInfo = 0x80;
constexpr std::uint8_t kCommit = 0x00, kAbort = 0x20, kCommitPrepared = 0x30, kAbortPrepared = 0x40;
constexpr std::size_t kRestorePointNameBytes = 64;

std::unexpected<Error> malformed(WalRecord const& record) {
    return fail(ErrorKind::damaged, "the log record at " + to_text(record.start) + " is malformed");
}

// Whether an image is compressed. The bits moved in 15, which has three methods.
bool is_compressed(std::uint8_t image_info, int major) {
    return (image_info & (major >= 15 ? 0x1c : 0x02)) != 0;
}

// The id of the transaction that was prepared before and ends here: behind the optional parts of
// xl_xact_commit or xl_xact_abort (access/xact.h), whose presence `parts` tells.
std::uint32_t prepared_transaction(ByteReader& reader, std::uint32_t parts, int major) {
    auto skip = [&](std::size_t item_bytes) {
        auto count = reader.u32();
        reader.raw(reader.ok() && count <= reader.remaining() / item_bytes ? count * item_bytes
                                                                         : reader.remaining() + 1);
    };
    if (parts & 1u) reader.u64();           // database and tablespace
    if (parts & 2u) skip(4);                // subtransactions
    if (parts & 4u) skip(12);               // relations that are dropped
    if (major >= 15 && (parts & 256u)) skip(12);  // statistics that are dropped
    if (parts & 8u) skip(16);               // invalidations
    return parts & 16u ? reader.u32() : 0;
}

}  // namespace

Result<Time> parse_pg_timestamp(std::int64_t microseconds) {
    constexpr std::int64_t kYear = 365ll * 24 * 3600 * 1000000;
    if (microseconds < -300 * kYear || microseconds > 260 * kYear)
        return fail(ErrorKind::damaged, "a time in the log is out of range");
    return Time(kEpoch) + std::chrono::microseconds(microseconds);
}

std::int64_t to_pg_timestamp(Time time) {
    return std::chrono::floor<std::chrono::microseconds>(time - Time(kEpoch)).count();
}

Result<WalRecord> parse_wal_record(ByteView bytes, Lsn start, int major) {
    assert(bytes.size() >= WalRecord::kHeaderBytes);
    ByteReader reader(bytes);
    WalRecord record;
    record.major = major;
    record.start = start;
    reader.u32();
    record.transaction = reader.u32();
    record.previous.value = reader.u64();
    record.info = reader.u8();
    record.manager = reader.u8();
    reader.u16();
    auto stated = reader.u32();
    record.body = bytes.subspan(WalRecord::kHeaderBytes);
    Crc32c crc;
    crc.update(record.body);
    crc.update(bytes.first(kRecordCrcOffset));
    if (crc.value() != stated)
        return fail(ErrorKind::damaged, "the log record at " + to_text(start) + " does not fit its checksum");
    return record;
}

Result<WalContent> parse_wal_content(WalRecord const& record) {
    WalContent content;
    ByteReader reader(record.body);
    std::size_t data_bytes = 0, main_bytes = 0;
    WalBlock last;
    bool has_relation = false;
    // The headers end where what is left is what they announced.
    while (reader.ok() && reader.remaining() > data_bytes) {
        auto id = reader.u8();
        if (id == kTopTransaction) {
            reader.u32();
        } else if (id == kOrigin) {
            reader.u16();
        } else if (id == kMainShort || id == kMainLong) {
            main_bytes = id == kMainShort ? reader.u8() : reader.u32();
            data_bytes += main_bytes;
            break;  // always the last
        } else if (id <= kBlockIdMax) {
            auto flags = reader.u8();
            data_bytes += reader.u16();
            WalBlock block;
            block.fork = flags & 0x0f;
            block.whole_image = (flags & kHasImage) != 0;
            if (block.whole_image) {
                data_bytes += reader.u16();
                reader.u16();  // where the hole is
                auto image_info = reader.u8();
                if ((image_info & kHasHole) && is_compressed(image_info, record.major)) reader.u16();
            }
            if (!(flags & kSameRelation)) {
                last.tablespace = reader.u32();
                last.database = reader.u32();
                last.relation = reader.u32();
                has_relation = true;
            }
            if (!has_relation) return malformed(record);
            block.tablespace = last.tablespace;
            block.database = last.database;
            block.relation = last.relation;
            block.block = reader.u32();
            content.blocks.push_back(block);
        } else {
            return malformed(record);
        }
    }
    if (!reader.ok() || reader.remaining() != data_bytes) return malformed(record);
    content.main = record.body.last(main_bytes);
    return content;
}

Result<std::optional<WalTransactionEnd>> transaction_end(WalRecord const& record) {
    if (record.manager != WalRecord::kTransaction) return std::optional<WalTransactionEnd>();
    auto operation = static_cast<std::uint8_t>(record.info & kTransactionMask);
    bool prepared = operation == kCommitPrepared || operation == kAbortPrepared;
    bool committed = operation == kCommit || operation == kCommitPrepared;
    if (!prepared && !committed && operation != kAbort) return std::optional<WalTransactionEnd>();
    auto content = TRY(parse_wal_content(record));
    ByteReader reader(content.main);
    WalTransactionEnd end;
    end.committed = committed;
    end.transaction = record.transaction;
    end.time = TRY(parse_pg_timestamp(reader.i64()));
    std::uint32_t parts = (record.info & kHasInfo) ? reader.u32() : 0;
    if (prepared) end.transaction = prepared_transaction(reader, parts, record.major);
    if (!reader.ok()) return malformed(record);
    return std::optional(end);
}

Result<std::optional<WalRestorePoint>> restore_point(WalRecord const& record) {
    if (record.manager != WalRecord::kXlog || (record.info & 0xf0) != kRestorePoint)
        return std::optional<WalRestorePoint>();
    auto content = TRY(parse_wal_content(record));
    ByteReader reader(content.main);
    WalRestorePoint point;
    point.time = TRY(parse_pg_timestamp(reader.i64()));
    auto name = as_text(reader.raw(kRestorePointNameBytes));
    if (!reader.ok() || name.find('\0') == name.npos) return malformed(record);
    point.name = name.substr(0, name.find('\0'));
    return std::optional(std::move(point));
}

bool is_wal_switch(WalRecord const& record) {
    return record.manager == WalRecord::kXlog && (record.info & 0xf0) == kSwitch;
}

}  // namespace holdfast
