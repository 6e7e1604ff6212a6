#pragma once

#include <memory>
#include <optional>
#include <set>
#include <unordered_map>

#include "archive/source.h"
#include "formats/crc32c.h"
#include "formats/pg_backup_label.h"
#include "formats/pg_control.h"
#include "formats/ustar.h"
#include "os/clock.h"
#include "sources/postgres/base_backup_protocol.h"
#include "sources/postgres/page_verifier.h"
#include "sources/postgres/relation_stream.h"

namespace holdfast::postgres {

struct BackupWriterOptions {
    int server_version = 0;
    std::uint64_t system_identifier = 0;
    bool checksums = false;
    std::uint32_t segment_blocks = 131072;     // of a relation's file
    std::uint32_t wal_segment_bytes = 16 << 20;
    // What was stored before, and what is stored now; outlives the writer. Nothing: each relation is cut
    // and stored as if it were new.
    PageMaps* pages = nullptr;
    ProgressCallback progress;
};

// What a base backup turned out to be.
struct WrittenBackup {
    Content tree;
    std::uint64_t files = 0, bytes = 0;
    std::uint64_t bytes_unread = 0;  // of them, those carried over
    std::vector<Problem> problems;
    std::uint64_t problem_count = 0;
    std::vector<Finding> findings;
    // When the last file before the backup's stop arrived: all that was committed a moment before it is
    // in the backup.
    Time consistent;
    PgBackupLabel label;
    bool manifest = false;
};

// The streams of a base backup → files in the repository, without a copy on disk. The tree is the data
// directory as the manifest names it: tablespaces are directories pg_tblspc/<oid>.
//
// On the way it checks the pages of relations (a bad one is a problem and a finding, the backup goes
// on), and sizes and CRC-32C of every file, which finish() compares with the server's manifest: a
// difference there means that what was stored is not what the server read, and fails the backup.
class BackupWriter : public BackupHandler, public UstarReader::Handler {
  public:
    BackupWriter(Ingest& ingest, Clock& clock, BackupWriterOptions options);

    Result<void> start(BackupStart const& start) override;
    Result<void> archive_begin(Tablespace const& tablespace) override;
    Result<void> archive_data(ByteView bytes) override;
    Result<void> archive_end() override;
    Result<void> manifest_data(ByteView bytes) override;

    // What is in an archive: from its bytes, or, between archive_begin() and archive_end(), from who reads the
    // files themselves.
    Result<void> entry(UstarEntry const& entry) override;
    Result<void> data(ByteView bytes) override;
    Result<void> entry_end() override;
    // data() of a file that somebody writes to: pages that are not right are read again into `bytes`. All pieces but
    // the last are whole pages.
    Result<void> data_in_place(ByteSpan bytes, PageVerifier::Again const& again);
    // Before any data of the entry, what its file is now. True: that is what the last backup read, whose content it
    // gets, and no data may follow.
    Result<bool> carry_over(FileStamp const& stamp);
    // Where the entry of the current archive will be in the tree.
    std::string path_of(UstarEntry const& entry) const { return prefix_ + entry.path; }
    // A file that the server tells us instead of having it, as `owner` has its own.
    struct Owner {
        std::uint32_t uid = 0, gid = 0;
    };
    Result<void> add_small_file(std::string const& path, std::string_view text, Owner owner);
    // Instead of manifest_data(): of what came so far.
    Result<void> make_manifest(BackupEnd const& end);

    // `damaged` when something is missing or is not what the manifest says.
    Result<WrittenBackup> finish(BackupEnd const& end);

  private:
    Result<void> store(ByteView bytes);

    struct Seen {
        std::uint64_t size = 0;
        std::uint32_t crc32c = 0;
        std::int64_t modified = 0;
    };
    struct OpenFile {
        std::string path;
        Entry entry;
        std::unique_ptr<Ingest::Stream> stream;  // or
        std::unique_ptr<RelationStream> relation;
        std::optional<PageVerifier> pages;
        std::uint64_t size = 0;
        Crc32c crc;
        bool carried = false;             // it was not read: crc is that of its map
        std::optional<FileStamp> stamp;   // what it was when reading began; nothing when that may not tell
        bool faulty = false;              // a page is not right
        Bytes* kept = nullptr;  // small files that are read here, too
    };
    struct SuspectPage {
        std::string path;
        BadPage page;
    };

    Result<void> leave_directory(std::string_view next_path);
    Result<void> add_tablespace_directory(UstarEntry const& first);
    Result<void> add_entry(std::string const& path, Entry entry);
    void open_pages(OpenFile& file);
    void open_stream(OpenFile& file);
    Result<Content> close_stream(OpenFile& file);
    void report_progress();
    void add_problem(std::string path, std::string message);
    void add_bad_page(SuspectPage const& suspect);
    void note_in_map(OpenFile& file);
    Result<void> check_small_files(BackupEnd const& end);
    Result<void> check_manifest();
    Result<void> check_wal(BackupEnd const& end);

    Ingest& ingest_;
    Clock& clock_;
    BackupWriterOptions options_;
    TreeBuilder tree_;
    BackupStart start_;
    WrittenBackup written_;
    std::optional<UstarReader> archive_;
    std::string prefix_;              // "pg_tblspc/16384/" within such an archive
    bool tablespace_directory_missing_ = false;
    std::string database_directory_;  // the one whose files come now
    std::optional<OpenFile> file_;
    std::map<std::string, Bytes> kept_;  // backup_label, tablespace_map, PG_VERSION, pg_control
    std::unordered_map<std::string, Seen> seen_;  // all but the log's segments
    std::map<std::string, std::uint64_t> wal_;    // segment → size
    std::vector<SuspectPage> torn_;   // judged when the end is known
    Bytes manifest_;
    std::optional<Time> control_seen_;
    Progress progress_;
};

}  // namespace holdfast::postgres
