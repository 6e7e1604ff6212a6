#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/time.h"
#include "repo/content.h"

namespace holdfast {

enum class EntryType : std::uint8_t {
    file = 1,
    directory = 2,
    symlink = 3,
    fifo = 4,
    socket = 5,
    character_device = 6,
    block_device = 7,
};

// What a tree holds about one name. Names and link targets are bytes without '/' and NUL (names) or
// NUL (targets); owners are kept as numbers and as names, and a restore maps by name first.
struct Entry {
    std::string name;
    EntryType type = EntryType::file;
    std::uint32_t mode = 0;   // permission bits with setuid, setgid, sticky: 07777
    std::uint32_t uid = 0, gid = 0;
    std::string user, group;  // empty where the system had no name
    std::int64_t mtime_seconds = 0;      // since 1970, any sign
    std::uint32_t mtime_nanoseconds = 0; // 0 … 999,999,999
    // Entries of one point with the same number are one file (hard links); 0: no other link. Each of
    // them has the content, so that each restores by itself.
    std::uint64_t link_group = 0;
    std::uint64_t device = 0;   // character and block devices: makedev number
    std::string target;         // symlinks
    // Extended attributes as the kernel gives them, ACLs and capabilities included
    // (system.posix_acl_access, security.capability, user.*, trusted.* …).
    std::map<std::string, Bytes> xattrs;
    // Files: the bytes. Directories: the serialised directory (ChunkKind::tree).
    Content content;
    // Files: it changed each time while it was read; the content may mix what it was and became.
    bool unsettled = false;

    bool operator==(Entry const&) const = default;
};

// More than the kernel lets a name, a link target, an owner's name have.
inline constexpr std::size_t kNameBytesMax = 4095;
inline constexpr std::size_t kTargetBytesMax = 65535;
inline constexpr std::size_t kOwnerBytesMax = 255;
// An entry with all its attributes; what has more can't be stored (it is a problem of the capture).
inline constexpr std::size_t kEntryBytesMax = 16u << 20;

// Why the entry cannot stand in a tree ("its name holds '/'"), or nullptr. A directory's own entry
// (see DirectoryTraits) has no name; everything else has one.
char const* entry_fault(Entry const& entry);

// One entry as bytes, without its length. The entry has no fault (asserted).
void encode(Entry const& entry, ByteWriter& writer);
// `damaged` on anything that encode() could not have written.
Result<Entry> decode_entry(ByteView bytes);

std::string_view name(EntryType type);  // "file", "directory", "symlink" …

}  // namespace holdfast
