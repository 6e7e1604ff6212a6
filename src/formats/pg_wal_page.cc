#include "formats/pg_wal_page.h"

#include <fmt/format.h>

#include <bit>

namespace holdfast {
namespace {

constexpr std::uint16_t kKnownFlags = 0x0f;

}  // namespace

std::optional<int> wal_major(std::uint16_t magic) {
    switch (magic) {
        case 0xD101: return 12;
        case 0xD106: return 13;
        case 0xD10D: return 14;
        case 0xD110: return 15;
        case 0xD113: return 16;
        case 0xD116: return 17;
        default: return std::nullopt;
    }
}

Result<WalPageHeader> parse_wal_page_header(ByteView page) {
    ByteReader reader(page);
    WalPageHeader header;
    header.magic = reader.u16();
    header.flags = reader.u16();
    header.timeline = reader.u32();
    header.position.value = reader.u64();
    header.remaining = reader.u32();
    reader.u32();  // padding
    if (!wal_major(header.magic))
        return fail(ErrorKind::damaged, fmt::format("no log page begins with {:#06x}", header.magic));
    if ((header.flags & ~kKnownFlags) != 0 || header.timeline == 0 || header.position.value % kWalPageBytes != 0)
        return fail(ErrorKind::damaged, "the header of a log page is impossible");
    if (header.has(WalPageHeader::kLong)) {
        header.system_identifier = reader.u64();
        header.segment_bytes = reader.u32();
        auto page_bytes = reader.u32();
        bool possible = std::has_single_bit(header.segment_bytes) && header.segment_bytes >= 1u << 20 &&
                        header.segment_bytes <= 1u << 30 && page_bytes == kWalPageBytes;
        if (!possible || header.position.value % header.segment_bytes != 0)
            return fail(ErrorKind::damaged, "the header of a log segment is impossible");
    }
    if (!reader.ok()) return fail(ErrorKind::damaged, "a log page ends within its header");
    return header;
}

}  // namespace holdfast
