#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace holdfast {

// What an archive of `pg_dump --format=custom` holds.
struct PgArchive {
    struct Entry {
        std::int32_t id = 0;
        std::string kind;    // "TABLE", "TABLE DATA", "SEQUENCE SET", "EXTENSION" …
        std::string schema;  // empty where it has none
        std::string name;
        std::string owner;   // empty where it has none
        bool data = false;   // data follow
        std::uint64_t rows = 0;  // of "TABLE DATA"
    };
    int major = 0, minor = 0;        // of the format: 1.14
    std::string database;
    std::string server_version;      // "15.20 (Debian …)"
    std::string program_version;     // of pg_dump
    std::vector<Entry> entries;      // as they are listed
    std::uint64_t large_objects = 0; // whose data are there
    std::uint64_t bytes = 0;         // of the archive
};

// Reads an archive that arrives in pieces of any size: what it lists, and that everything it lists is there to the
// last row. pg_restore finds a truncated archive only when it comes to its end, in the middle of a recovery.
//
// The format is PostgreSQL's own and has no specification but its source (src/bin/pg_dump: pg_backup_archiver.c,
// WriteHead, WriteToc; pg_backup_custom.c): versions 1.14 (PostgreSQL 12 to 15), 1.15 (16) and 1.16 (17), integers of
// 4 bytes, offsets of 8, data not compressed. Tested with 1.14; the others are written from the source.
class PgArchiveReader {
  public:
    PgArchiveReader() = default;
    PgArchiveReader(PgArchiveReader const&) = delete;
    // `damaged` for what is no such archive, `usage` for another version of the format and for compressed data. After
    // an error the reader must not be used any more.
    Result<void> push(ByteView bytes);
    // No more comes: the archive, or `damaged` when a part of it is missing.
    Result<PgArchive> finish();

  private:
    class Cursor;
    enum class At { head, entries, block, chunk, object, payload };

    // Each reads one item from the beginning of `buffer_`; false when it is not there whole yet.
    Result<void> steps();
    Result<bool> step();
    Result<bool> head();
    Result<bool> entry();
    Result<bool> block();
    Result<bool> object();
    Result<bool> chunk();
    void consume(std::size_t bytes);
    ByteView rest() const { return ByteView(buffer_).subspan(at_); }
    void take_payload(ByteView bytes);
    Result<void> end_data();

    PgArchive archive_;
    At state_ = At::head;
    Bytes buffer_;
    std::size_t at_ = 0;        // what of it was read
    std::size_t wanted_ = 0;    // less than this is not worth another attempt
    std::int64_t entries_left_ = 0;
    std::unordered_map<std::int32_t, std::size_t> awaited_;  // data that are to come: id → entry
    // Of the data that are being read.
    PgArchive::Entry* table_ = nullptr;  // nothing: not a table's
    bool in_objects_ = false;
    std::uint64_t payload_left_ = 0;
    std::uint64_t lines_ = 0;
    std::string tail_;          // its last bytes
};

}  // namespace holdfast
