#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "archive/posix.h"
#include "crypto/crypto.h"
#include "crypto/fast_mac.h"
#include "os/fd.h"
#include "repo/repository.h"

namespace holdfast::postgres {

// Which page it is: the sum of its bytes under a key that this repository's bundles derive. Two pages with one
// sum are the same page; nobody without the key can make two.
using PageSum = FastMac::Sum;

// One file of a relation as it was stored.
struct MappedFile {
    std::vector<PageSum> sums;     // of its whole pages, in order
    std::vector<Extent> extents;   // its content at depth 0: runs of chunks, each begins with a page
    // What it was when it was read, all of it and without a fault; nothing when that can't tell whether it changed since.
    std::optional<FileStamp> still = {};
    bool twice = false;            // two backups read it as that, and read the same: it needs no third one
    std::uint32_t crc32c = 0;      // of all its bytes
};

// A dataset's page map: what the last published base backup of it read and where that is stored, so that
// the next one stores only the pages that differ. It is this client's own, and whatever it says is checked:
// the sums are compared with the pages that come in, and chunks are asked for before they count as stored.
// So an old map is a true one, too, and losing it costs storing the changed relations by 128 KiB.
//
// The file: "HFM3", 16 random bytes (map id), then a record for each file: u32 length of the path, u64
// length of the body, path, body, HMAC-SHA-256 of (binding ‖ map id ‖ all of the record before). The body:
// varint number of sums, these; varint number of extents; for each chunk id, varint offset, varint length; u8 0, or u8 1
// (2: read twice) and the stamp: u64 inode, u64 size, mtime and ctime (u64 seconds, u32 nanoseconds); u32 CRC-32C. The path "." has u64 seconds
// since 1970: when a backup last read all files. A record that is not whole, or not ours, is none; those behind one that is
// cut short are none either.
struct PageMapPlace {
    std::filesystem::path directory, file, pending;
    Bytes key;      // of records, 32 bytes
    Bytes binding;  // dataset, writer
    // Nothing when the client keeps no cache.
    static std::optional<PageMapPlace> of(Repository& repository, std::string_view dataset);
};

class PageMapReader {
  public:
    // Nothing when there is no map. Holds the names of its files in memory, not their pages.
    static std::unique_ptr<PageMapReader> open(PageMapPlace const& place);
    std::optional<MappedFile> find(std::string const& path) const;
    std::optional<Time> all_read() const;

  private:
    // Of a record that is whole and ours.
    std::optional<Bytes> body_of(std::string const& path) const;
    struct Record {
        std::uint64_t offset = 0, body_bytes = 0;
    };
    PageMapReader(Fd fd, PageMapPlace const& place) : fd_(std::move(fd)), key_(place.key), binding_(place.binding) {}

    Fd fd_;
    HmacKey key_;
    Bytes binding_;
    Bytes id_;
    std::unordered_map<std::string, Record> records_;
};

class PageMapWriter {
  public:
    // Nothing when it can't be written: a backup does not depend on it.
    static std::unique_ptr<PageMapWriter> create(PageMapPlace const& place, Random& random);
    ~PageMapWriter();  // removes what was not finished
    void add(std::string const& path, MappedFile const& file);
    void note_all_read(Time time);
    // Puts the whole map beside the current one, to be made current by commit_page_map().
    void finish();

  private:
    PageMapWriter(Fd fd, PageMapPlace const& place) : fd_(std::move(fd)), key_(place.key), binding_(place.binding) {}
    void add_record(std::string const& path, ByteView body);

    Fd fd_;
    std::filesystem::path temporary_, pending_;
    HmacKey key_;
    Bytes binding_;
    Bytes id_;
    bool failed_ = false;
};

// What one backup of a dataset needs of both.
struct PageMaps {
    FastMac sums;
    std::unique_ptr<PageMapReader> before;  // nullptr: the first one, or it is lost
    std::unique_ptr<PageMapWriter> after;   // nullptr: it can't be written
    // Every so often all is read, whatever the stamps say: what changed without a trace is found.
    bool read_all = true;
    // Nothing when the client keeps no cache.
    static std::optional<PageMaps> open(Repository& repository, std::string_view dataset);
};

// Makes the map of the backup that was just published the one that the next backup compares with.
Result<void> commit_page_map(Repository& repository, std::string_view dataset);

}  // namespace holdfast::postgres
