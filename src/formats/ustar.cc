#include "formats/ustar.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace holdfast {
namespace {

constexpr std::size_t kBlockBytes = 512;

struct HeaderField {
    std::size_t offset, size;
};
constexpr HeaderField kName{0, 100}, kMode{100, 8}, kUid{108, 8}, kGid{116, 8}, kSize{124, 12}, kMtime{136, 12},
    kChecksum{148, 8}, kLinkName{157, 100}, kUser{265, 32}, kGroup{297, 32}, kPrefix{345, 155};
constexpr std::size_t kTypeOffset = 156, kMagicOffset = 257;

std::unexpected<Error> malformed(std::string_view what) {
    return fail(ErrorKind::damaged, fmt::format("tar stream: {}", what));
}

// Up to the first NUL, or all of the field.
std::string text_of(ByteView block, HeaderField field) {
    auto text = as_text(block.subspan(field.offset, field.size));
    return std::string(text.substr(0, text.find('\0')));
}

// Octal digits, then NULs or spaces; or base 256 when the first byte is 0x80 (0xFF: negative, which
// nothing here can be).
Result<std::uint64_t> number_of(ByteView block, HeaderField field) {
    auto bytes = block.subspan(field.offset, field.size);
    std::uint64_t value = 0;
    if (bytes[0] & 0x80) {
        if (bytes[0] != 0x80) return malformed("a number is out of range");
        for (auto byte : bytes.subspan(1)) {
            if (value >> 56) return malformed("a number is out of range");
            value = value << 8 | byte;
        }
        return value;
    }
    std::size_t i = 0;
    while (i < bytes.size() && bytes[i] == ' ') ++i;
    auto digits_begin = i;
    for (; i < bytes.size() && bytes[i] >= '0' && bytes[i] <= '7'; ++i) value = value << 3 | (bytes[i] - '0');
    if (i == digits_begin) return malformed("a number has no digits");
    for (; i < bytes.size(); ++i)
        if (bytes[i] != 0 && bytes[i] != ' ') return malformed("a number has other characters");
    return value;
}

bool checksum_fits(ByteView block, std::uint64_t expected) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < kBlockBytes; ++i) {
        bool in_field = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
        sum += in_field ? ' ' : block[i];
    }
    return sum == expected;
}

bool is_safe_path(std::string_view path) {
    if (path.empty()) return false;
    for (auto const& part : split(path, '/'))
        if (part.empty() || part == "." || part == "..") return false;
    return true;
}

Result<UstarEntry> parse_header(ByteView block) {
    auto checksum = TRY(number_of(block, kChecksum));
    if (!checksum_fits(block, checksum)) return malformed("header checksum mismatch");
    if (as_text(block.subspan(kMagicOffset, 5)) != "ustar") return malformed("not in the ustar format");
    UstarEntry entry;
    entry.path = text_of(block, kName);
    if (auto prefix = text_of(block, kPrefix); !prefix.empty()) entry.path = prefix + "/" + entry.path;
    // PostgreSQL writes "./pg_wal/archive_status/" among names without the dot.
    if (entry.path.starts_with("./")) entry.path.erase(0, 2);
    if (entry.path.ends_with('/')) entry.path.pop_back();
    if (!is_safe_path(entry.path)) return malformed(fmt::format("unsafe name '{}'", printable(entry.path)));
    switch (block[kTypeOffset]) {
        case '0':
        case '\0': entry.type = UstarEntry::Type::file; break;
        case '2': entry.type = UstarEntry::Type::symlink; break;
        case '5': entry.type = UstarEntry::Type::directory; break;
        default: return malformed(fmt::format("'{}' has an unknown type", printable(entry.path)));
    }
    entry.size = TRY(number_of(block, kSize));
    if (entry.type != UstarEntry::Type::file && entry.size != 0)
        return malformed(fmt::format("'{}' is no file and has content", printable(entry.path)));
    auto mode = TRY(number_of(block, kMode));
    entry.mode = static_cast<std::uint32_t>(mode & 07777);
    auto uid = TRY(number_of(block, kUid));
    auto gid = TRY(number_of(block, kGid));
    if (uid > UINT32_MAX || gid > UINT32_MAX) return malformed("an owner is out of range");
    entry.uid = static_cast<std::uint32_t>(uid);
    entry.gid = static_cast<std::uint32_t>(gid);
    auto mtime = TRY(number_of(block, kMtime));
    if (mtime > static_cast<std::uint64_t>(INT64_MAX)) return malformed("a time is out of range");
    entry.mtime = static_cast<std::int64_t>(mtime);
    entry.user = text_of(block, kUser);
    entry.group = text_of(block, kGroup);
    if (entry.type == UstarEntry::Type::symlink) {
        entry.target = text_of(block, kLinkName);
        if (entry.target.empty()) return malformed(fmt::format("'{}' points nowhere", printable(entry.path)));
    }
    return entry;
}

}  // namespace

Result<void> UstarReader::push(ByteView bytes) {
    while (!bytes.empty()) {
        if (data_left_ > 0) {
            auto piece = bytes.first(std::min<std::uint64_t>(data_left_, bytes.size()));
            TRY(handler_.data(piece));
            data_left_ -= piece.size();
            bytes = bytes.subspan(piece.size());
        } else if (padding_left_ > 0) {
            auto skipped = std::min<std::uint64_t>(padding_left_, bytes.size());
            padding_left_ -= skipped;
            bytes = bytes.subspan(skipped);
        } else {
            auto piece = bytes.first(std::min(kBlockBytes - block_.size(), bytes.size()));
            block_.insert(block_.end(), piece.begin(), piece.end());
            bytes = bytes.subspan(piece.size());
            if (block_.size() == kBlockBytes) TRY(header());
        }
        if (in_entry_ && data_left_ == 0) {
            in_entry_ = false;
            TRY(handler_.entry_end());
        }
    }
    return {};
}

Result<void> UstarReader::header() {
    if (std::ranges::all_of(block_, [](auto byte) { return byte == 0; })) {
        ++zero_blocks_;
        block_.clear();
        return {};
    }
    if (zero_blocks_ > 0) return malformed("something follows its end");
    auto entry = TRY(parse_header(block_));
    block_.clear();
    TRY(handler_.entry(entry));
    in_entry_ = true;
    data_left_ = entry.size;
    padding_left_ = (kBlockBytes - entry.size % kBlockBytes) % kBlockBytes;
    return {};
}

Result<void> UstarReader::finish() {
    if (in_entry_ || data_left_ > 0 || padding_left_ > 0 || !block_.empty())
        return malformed("it ends in the middle of an entry");
    return {};
}

}  // namespace holdfast
