#include "archive/entry.h"

#include <cassert>

namespace holdfast {
namespace {

constexpr std::uint8_t kFlagUnsettled = 1;

bool holds(std::string_view text, char c) { return text.find(c) != std::string_view::npos; }

std::unexpected<Error> entry_malformed(char const* what) {
    return fail(ErrorKind::damaged, std::string("entry: ") + what);
}

char const* type_fault(Entry const& entry) {
    auto has_content = !entry.content.extents.empty() || entry.content.size != 0 || entry.content.depth != 0;
    bool is_device = entry.type == EntryType::character_device || entry.type == EntryType::block_device;
    if (has_content && entry.type != EntryType::file && entry.type != EntryType::directory) {
        return "it has content and is neither file nor directory";
    }
    if (entry.device != 0 && !is_device) return "it has a device number and is no device";
    if (entry.type == EntryType::symlink) {
        if (entry.target.empty()) return "its link target is empty";
        if (entry.target.size() > kTargetBytesMax) return "its link target is too long";
        if (holds(entry.target, '\0')) return "its link target holds NUL";
    } else if (!entry.target.empty()) {
        return "it has a link target and is no symbolic link";
    }
    if (entry.unsettled && entry.type != EntryType::file) return "it is unsettled and no file";
    if (entry.link_group != 0 && entry.type == EntryType::directory) return "it is a directory with links";
    return nullptr;
}

}  // namespace

std::string_view name(EntryType type) {
    switch (type) {
        case EntryType::file: return "file";
        case EntryType::directory: return "directory";
        case EntryType::symlink: return "symlink";
        case EntryType::fifo: return "fifo";
        case EntryType::socket: return "socket";
        case EntryType::character_device: return "character device";
        case EntryType::block_device: return "block device";
    }
    return "unknown";
}

char const* entry_fault(Entry const& entry) {
    if (entry.name == "." || entry.name == "..") return "its name is '.' or '..'";
    if (holds(entry.name, '/') || holds(entry.name, '\0')) return "its name holds '/' or NUL";
    if (entry.name.size() > kNameBytesMax) return "its name is too long";
    if (entry.type < EntryType::file || entry.type > EntryType::block_device) return "its type is unknown";
    if (entry.mode > 07777) return "its mode has unknown bits";
    if (entry.user.size() > kOwnerBytesMax || entry.group.size() > kOwnerBytesMax) {
        return "its owner's name is too long";
    }
    if (holds(entry.user, '\0') || holds(entry.group, '\0')) return "its owner's name holds NUL";
    if (entry.mtime_nanoseconds > 999'999'999) return "its time has more than 999,999,999 nanoseconds";
    std::size_t bytes = 0;
    for (auto const& [key, value] : entry.xattrs) {
        if (key.empty() || holds(key, '\0')) return "an attribute's name is empty or holds NUL";
        bytes += key.size() + value.size() + 16;
    }
    // Room for everything else, which is bounded above; a content is small (its lists are chunks).
    if (bytes + entry.content.extents.size() * 64 > kEntryBytesMax - (1u << 20)) {
        return "it has too many attributes";
    }
    return type_fault(entry);
}

void encode(Entry const& entry, ByteWriter& writer) {
    assert(entry_fault(entry) == nullptr);
    writer.u8(static_cast<std::uint8_t>(entry.type));
    writer.u8(entry.unsettled ? kFlagUnsettled : 0);
    writer.blob(entry.name);
    writer.varint(entry.mode);
    writer.varint(entry.uid);
    writer.varint(entry.gid);
    writer.blob(entry.user);
    writer.blob(entry.group);
    writer.i64(entry.mtime_seconds);
    writer.u32(entry.mtime_nanoseconds);
    writer.varint(entry.link_group);
    writer.varint(entry.xattrs.size());
    for (auto const& [key, value] : entry.xattrs) {
        writer.blob(key);
        writer.blob(value);
    }
    switch (entry.type) {
        case EntryType::file:
        case EntryType::directory: encode(entry.content, writer); break;
        case EntryType::symlink: writer.blob(entry.target); break;
        case EntryType::character_device:
        case EntryType::block_device: writer.varint(entry.device); break;
        case EntryType::fifo:
        case EntryType::socket: break;
    }
}

Result<Entry> decode_entry(ByteView bytes) {
    ByteReader reader(bytes);
    Entry entry;
    auto type = reader.u8();
    auto flags = reader.u8();
    if (type < 1 || type > 7) return entry_malformed("its type is unknown");
    if ((flags & ~kFlagUnsettled) != 0) return entry_malformed("its flags are unknown");
    entry.type = static_cast<EntryType>(type);
    entry.unsettled = (flags & kFlagUnsettled) != 0;
    entry.name = reader.text();
    auto narrow = [&](std::uint32_t& to) {
        auto value = reader.varint();
        to = static_cast<std::uint32_t>(value);
        return value == to;
    };
    if (!narrow(entry.mode) || !narrow(entry.uid) || !narrow(entry.gid)) {
        return entry_malformed("a mode or owner beyond 32 bits");
    }
    entry.user = reader.text();
    entry.group = reader.text();
    entry.mtime_seconds = reader.i64();
    entry.mtime_nanoseconds = reader.u32();
    entry.link_group = reader.varint();
    auto xattrs = reader.count(2);
    for (std::size_t i = 0; i < xattrs; ++i) {
        auto key = reader.text();
        auto value = reader.blob();
        if (!reader.ok()) break;
        if (!entry.xattrs.empty() && entry.xattrs.rbegin()->first >= key) {
            return entry_malformed("its attributes are out of order");
        }
        entry.xattrs.emplace_hint(entry.xattrs.end(), std::move(key), Bytes(value.begin(), value.end()));
    }
    if (!reader.ok()) return entry_malformed("ends early");
    switch (entry.type) {
        case EntryType::file:
        case EntryType::directory: entry.content = TRY(decode_content(reader)); break;
        case EntryType::symlink: entry.target = reader.text(); break;
        case EntryType::character_device:
        case EntryType::block_device: entry.device = reader.varint(); break;
        case EntryType::fifo:
        case EntryType::socket: break;
    }
    if (!reader.done()) return entry_malformed("ends early or late");
    if (auto fault = entry_fault(entry)) return entry_malformed(fault);
    return entry;
}

}  // namespace holdfast
