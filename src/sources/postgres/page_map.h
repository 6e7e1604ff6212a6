#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

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
};

// A dataset's page map: what the last published base backup of it read and where that is stored, so that
// the next one stores only the pages that differ. It is this client's own, and whatever it says is checked:
// the sums are compared with the pages that come in, and chunks are asked for before they count as stored.
// So an old map is a true one, too, and losing it costs storing the changed relations by 128 KiB.
//
// The file: "HFM2", 16 random bytes (map id), then a record for each file: u32 length of the path, u64
// length of the body, path, body, HMAC-SHA-256 of (binding ‖ map id ‖ all of the record before). The body:
// varint number of sums, these; varint number of extents; for each chunk id, varint offset, varint length.
// A record that is not whole, or not ours, is none; those behind one that is cut short are none either.
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

  private:
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
    // Puts the whole map beside the current one, to be made current by commit_page_map().
    void finish();

  private:
    PageMapWriter(Fd fd, PageMapPlace const& place) : fd_(std::move(fd)), key_(place.key), binding_(place.binding) {}

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
    // Nothing when the client keeps no cache.
    static std::optional<PageMaps> open(Repository& repository, std::string_view dataset);
};

// Makes the map of the backup that was just published the one that the next backup compares with.
Result<void> commit_page_map(Repository& repository, std::string_view dataset);

}  // namespace holdfast::postgres
