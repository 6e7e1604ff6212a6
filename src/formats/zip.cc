#include "formats/zip.h"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_set>

#include "base/text.h"
#include "formats/crc32.h"

namespace holdfast {
namespace {

constexpr std::uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr std::size_t kLocalBytes = 30, kCentralBytes = 46, kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr std::size_t kCommentMax = 0xffff;
constexpr std::size_t kFaultsMax = 100;
constexpr std::uint16_t kSizesBehind = 8;

std::unexpected<Error> zip_damaged(std::string what) { return fail(ErrorKind::damaged, std::move(what)); }

struct Directory {
    std::uint64_t offset = 0, bytes = 0, entries = 0;
    std::uint64_t end = 0;  // where the end records begin
};

Result<Directory> find_directory(RandomAccess const& file) {
    auto size = file.size();
    if (size < kEndBytes) return zip_damaged("shorter than an empty archive");
    auto tail_size = std::min<std::uint64_t>(size, kEndBytes + kCommentMax);
    auto tail = TRY(read_run(file, size - tail_size, tail_size, tail_size));
    for (auto at = tail.size() - kEndBytes + 1; at-- > 0;) {
        ByteReader reader(ByteView(tail).subspan(at));
        if (reader.u32() != kEnd) continue;
        auto disk = reader.u16(), start_disk = reader.u16();
        auto here = reader.u16();
        Directory found;
        found.entries = reader.u16();
        found.bytes = reader.u32();
        found.offset = reader.u32();
        auto comment = reader.u16();
        if (comment != tail.size() - at - kEndBytes) continue;
        found.end = size - tail_size + at;
        bool const wide = found.entries == 0xffff || found.bytes == 0xffffffff || found.offset == 0xffffffff;
        if (found.end >= kLocatorBytes) {
            auto locator = TRY(read_run(file, found.end - kLocatorBytes, kLocatorBytes, kLocatorBytes));
            ByteReader where(locator);
            if (where.u32() == kLocator64) {
                where.u32();
                auto offset = where.u64();
                if (offset > found.end || found.end - offset < kEnd64Bytes) return zip_damaged("its 64-bit end record is not there");
                auto record = TRY(read_run(file, offset, kEnd64Bytes, kEnd64Bytes));
                ByteReader end(record);
                if (end.u32() != kEnd64) return zip_damaged("its 64-bit end record is not there");
                end.u64(), end.u16(), end.u16(), end.u32(), end.u32(), end.u64();
                auto entries = end.u64(), bytes = end.u64(), directory = end.u64();
                // PyTorch writes both forms; where the short one says anything, both must say the same.
                if ((found.entries != 0xffff && found.entries != entries) ||
                    (found.bytes != 0xffffffff && found.bytes != bytes) ||
                    (found.offset != 0xffffffff && found.offset != directory)) {
                    return zip_damaged("its two end records do not agree");
                }
                found.entries = entries, found.bytes = bytes, found.offset = directory;
                found.end = offset;
                return found;
            }
        }
        if (wide) return zip_damaged("its 64-bit end record is not there");
        if (disk != 0 || start_disk != 0 || here != found.entries) return zip_damaged("a part of an archive in several files");
        return found;
    }
    return zip_damaged("no end record: it was cut off, or is no archive");
}

// Sizes and offset of 64 bits, where the short ones say so.
bool read_wide(ByteView extra, ZipEntry& entry, bool raw, bool stored, bool header) {
    ByteReader reader(extra);
    while (reader.remaining() >= 4) {
        auto id = reader.u16();
        auto size = reader.u16();
        auto bytes = reader.raw(size);
        if (!reader.ok()) return false;
        if (id != 1) continue;
        ByteReader wide(bytes);
        if (raw) entry.raw = wide.u64();
        if (stored) entry.stored = wide.u64();
        if (header) entry.header = wide.u64();
        return wide.ok();
    }
    return !raw && !stored && !header;
}

class ZipReader {
  public:
    explicit ZipReader(RandomAccess const& file) : file_(file) {}

    Result<ZipArchive> run() {
        directory_ = TRY(find_directory(file_));
        if (directory_.offset > directory_.end || directory_.bytes > directory_.end - directory_.offset) {
            return zip_damaged("its directory reaches beyond its end");
        }
        if (directory_.entries > kZipEntriesMax || directory_.entries > directory_.bytes / kCentralBytes) {
            return zip_damaged(fmt::format("its directory claims {} entries", directory_.entries));
        }
        if (directory_.offset + directory_.bytes != directory_.end) fault("there is something between its directory and its end");
        TRY(read_directory());
        for (auto& entry : archive_.entries) TRY(read_local(entry));
        check_places();
        return std::move(archive_);
    }

  private:
    void fault(std::string what) {
        if (archive_.faults.size() < kFaultsMax) archive_.faults.push_back(std::move(what));
    }

    Result<void> read_directory() {
        SequentialReader reader(file_, directory_.offset, directory_.offset + directory_.bytes);
        std::unordered_set<std::string> names;
        for (std::uint64_t i = 0; i < directory_.entries; ++i) {
            ZipEntry entry;
            if (reader.integer<std::uint32_t>() != kCentral || !reader.ok()) {
                return reader.ok() || reader.error().kind == ErrorKind::damaged
                           ? zip_damaged(fmt::format("entry {} of its directory is not there", i))
                           : fail(reader.error());
            }
            reader.integer<std::uint32_t>();  // versions
            entry.flags = reader.integer<std::uint16_t>();
            entry.method = reader.integer<std::uint16_t>();
            reader.integer<std::uint32_t>();  // time
            entry.crc = reader.integer<std::uint32_t>();
            entry.stored = reader.integer<std::uint32_t>();
            entry.raw = reader.integer<std::uint32_t>();
            auto name = reader.integer<std::uint16_t>();
            auto extra = reader.integer<std::uint16_t>();
            auto comment = reader.integer<std::uint16_t>();
            reader.integer<std::uint64_t>();  // disk, attributes
            entry.header = reader.integer<std::uint32_t>();
            entry.name = to_text(reader.run(name, name));
            auto extras = reader.run(extra, extra);
            reader.skip(comment);
            if (!reader.ok()) return fail(reader.error());
            if (!read_wide(extras, entry, entry.raw == 0xffffffff, entry.stored == 0xffffffff, entry.header == 0xffffffff)) {
                return zip_damaged(fmt::format("entry '{}': its 64-bit sizes are missing", printable(entry.name)));
            }
            if (!names.insert(entry.name).second) fault(fmt::format("'{}' stands twice", printable(entry.name)));
            archive_.entries.push_back(std::move(entry));
        }
        if (reader.remaining() > 0) fault("its directory holds more than its entries");
        return {};
    }

    Result<void> read_local(ZipEntry& entry) {
        auto what = fmt::format("entry '{}'", printable(entry.name));
        if (entry.header > directory_.offset || directory_.offset - entry.header < kLocalBytes) {
            return zip_damaged(what + " lies outside of the archive");
        }
        auto bytes = TRY(read_run(file_, entry.header, kLocalBytes, kLocalBytes));
        ByteReader reader(bytes);
        if (reader.u32() != kLocal) return zip_damaged(what + " has no local header");
        reader.u16();
        auto flags = reader.u16(), method = reader.u16();
        reader.u32();
        ZipEntry local;
        local.crc = reader.u32();
        local.stored = reader.u32();
        local.raw = reader.u32();
        auto name = reader.u16(), extra = reader.u16();
        entry.data = entry.header + kLocalBytes + name + extra;
        if (entry.data > directory_.offset || entry.stored > directory_.offset - entry.data) {
            return zip_damaged(what + " reaches into the directory");
        }
        auto texts = TRY(read_run(file_, entry.header + kLocalBytes, name + extra, 2 * 0xffff));
        if (as_text(ByteView(texts).first(name)) != entry.name) {
            fault(fmt::format("{} is called '{}' by its local header", what, printable(as_text(ByteView(texts).first(name)))));
        }
        if (flags != entry.flags) fault(what + ": flags differ between the directory and the local header");
        if (method != entry.method) fault(what + ": methods differ between the directory and the local header");
        bool const wide = local.raw == 0xffffffff || local.stored == 0xffffffff;
        if (wide && !read_wide(ByteView(texts).subspan(name), local, local.raw == 0xffffffff, local.stored == 0xffffffff, false)) {
            fault(what + ": the 64-bit sizes of its local header are missing");
        }
        // With the sizes behind the data, the local header has none, or the right ones.
        bool const behind = (entry.flags & kSizesBehind) != 0;
        auto differs = [behind](std::uint64_t here, std::uint64_t there) { return here != there && !(behind && here == 0); };
        if (differs(local.stored, entry.stored) || differs(local.raw, entry.raw)) {
            fault(what + ": sizes differ between the directory and the local header");
        }
        if (differs(local.crc, entry.crc)) fault(what + ": sums differ between the directory and the local header");
        if (entry.method == 0 && entry.stored != entry.raw) fault(what + ": stored, with two sizes");
        return {};
    }

    void check_places() {
        std::vector<std::size_t> order(archive_.entries.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        auto const& entries = archive_.entries;
        std::ranges::sort(order, [&](auto a, auto b) { return entries[a].header < entries[b].header; });
        archive_.before = order.empty() ? directory_.offset : entries[order[0]].header;
        for (std::size_t i = 1; i < order.size(); ++i) {
            auto const& one = entries[order[i - 1]];
            auto const& next = entries[order[i]];
            if (next.header < one.data + one.stored) {
                fault(fmt::format("'{}' and '{}' overlap", printable(one.name), printable(next.name)));
            }
        }
    }

    RandomAccess const& file_;
    Directory directory_;
    ZipArchive archive_;
};

}  // namespace

Result<bool> looks_like_zip(RandomAccess const& file) {
    if (file.size() < kEndBytes) return false;
    auto head = TRY(read_run(file, 0, 4, 4));
    auto magic = ByteReader(head).u32();
    if (magic == kLocal || magic == kEnd) return true;
    auto end = TRY(read_run(file, file.size() - kEndBytes, 4, 4));
    return ByteReader(end).u32() == kEnd;
}

Result<ZipArchive> read_zip(RandomAccess const& file) { return ZipReader(file).run(); }

Result<bool> zip_sum_fits(RandomAccess const& file, ZipEntry const& entry) {
    std::uint32_t sum = 0;
    Bytes buffer(std::min<std::uint64_t>(entry.stored, 1u << 20));
    for (std::uint64_t at = 0; at < entry.stored;) {
        auto size = std::min<std::uint64_t>(buffer.size(), entry.stored - at);
        auto part = ByteSpan(buffer).first(size);
        TRY(file.read(entry.data + at, part));
        sum = crc32(part, sum);
        at += size;
    }
    return sum == entry.crc;
}

}  // namespace holdfast
