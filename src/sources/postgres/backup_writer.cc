#include "sources/postgres/backup_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "base/text.h"
#include "crypto/crypto.h"
#include "formats/pg_backup_manifest.h"
#include "formats/pg_backup_manifest_text.h"
#include "formats/pg_path.h"

namespace holdfast::postgres {
namespace {

constexpr std::size_t kProblemsMax = 1000;
// Changes within one tick of the kernel's clock have one time: a file that changed so lately may change again unseen.
constexpr auto kSettled = std::chrono::seconds(2);
constexpr std::size_t kKeptBytesMax = 1 << 20;
// Some 200 bytes a file: a manifest beyond this would be of ten million files.
constexpr std::string_view kManifestName = "backup_manifest";

std::unexpected<Error> damaged(std::string message) {
    return fail(ErrorKind::damaged, "base backup: " + std::move(message),
                "try again; if it happens again, check memory and network of both machines");
}

Entry entry_of(UstarEntry const& tar) {
    Entry entry;
    auto slash = tar.path.rfind('/');
    entry.name = slash == tar.path.npos ? tar.path : tar.path.substr(slash + 1);
    entry.mode = tar.mode;
    entry.uid = tar.uid;
    entry.gid = tar.gid;
    entry.user = tar.user;
    entry.group = tar.group;
    entry.mtime_seconds = tar.mtime;
    entry.target = tar.target;
    switch (tar.type) {
        case UstarEntry::Type::file: entry.type = EntryType::file; break;
        case UstarEntry::Type::directory: entry.type = EntryType::directory; break;
        case UstarEntry::Type::symlink: entry.type = EntryType::symlink; break;
    }
    return entry;
}

// "base/5" of "base/5/16384"; empty when the path is no relation's.
std::string database_directory_of(std::string const& path) {
    if (!parse_pg_relation_path(path) || path.starts_with("global/")) return {};
    return path.substr(0, path.rfind('/'));
}

bool is_kept(std::string_view path) {
    return path == "backup_label" || path == "tablespace_map" || path == "PG_VERSION" ||
           path == "global/pg_control";
}

}  // namespace

BackupWriter::BackupWriter(Ingest& ingest, Clock& clock, BackupWriterOptions options)
    : ingest_(ingest), clock_(clock), options_(std::move(options)), tree_(ingest) {
    progress_.what = "reading";
}

Result<void> BackupWriter::start(BackupStart const& start) {
    start_ = start;
    for (auto const& tablespace : start.tablespaces) progress_.bytes_total += tablespace.bytes;
    return {};
}

Result<void> BackupWriter::archive_begin(Tablespace const& tablespace) {
    archive_.emplace(static_cast<UstarReader::Handler&>(*this));
    prefix_ = tablespace.oid == 0 ? "" : fmt::format("pg_tblspc/{}/", tablespace.oid);
    tablespace_directory_missing_ = tablespace.oid != 0;
    return {};
}

Result<void> BackupWriter::archive_data(ByteView bytes) {
    progress_.bytes += bytes.size();
    // The server's estimate was made before the log was added.
    if (progress_.bytes_total > 0) progress_.bytes_total = std::max(progress_.bytes_total, progress_.bytes);
    return archive_->push(bytes);
}

Result<void> BackupWriter::archive_end() {
    TRY(archive_->finish());
    archive_.reset();
    return leave_directory({});
}

Result<void> BackupWriter::manifest_data(ByteView bytes) {
    if (manifest_.size() + bytes.size() > kManifestBytesMax) return damaged("the manifest is too large");
    manifest_.insert(manifest_.end(), bytes.begin(), bytes.end());
    return {};
}

// The server walks depth first: once a file outside comes, a database's directory is complete, and its
// names need no memory any more.
Result<void> BackupWriter::leave_directory(std::string_view next_path) {
    if (database_directory_.empty() || next_path.starts_with(database_directory_ + "/")) return {};
    auto complete = std::exchange(database_directory_, {});
    return tree_.close_directory(complete);
}

Result<void> BackupWriter::add_tablespace_directory(UstarEntry const& first) {
    tablespace_directory_missing_ = false;
    Entry directory = entry_of(first);
    auto path = prefix_.substr(0, prefix_.size() - 1);
    directory.name = path.substr(path.rfind('/') + 1);
    directory.type = EntryType::directory;
    directory.mode = (first.mode & 0070) ? 0750 : 0700;
    return add_entry(path, std::move(directory));
}

// Names that contradict each other are the stream's fault.
Result<void> BackupWriter::add_entry(std::string const& path, Entry entry) {
    auto added = tree_.add(path, std::move(entry));
    if (!added && (added.error().kind == ErrorKind::usage || added.error().kind == ErrorKind::exists))
        return damaged(std::move(added).error().message);
    return added;
}

void BackupWriter::open_pages(OpenFile& file) {
    auto relation = parse_pg_relation_path(file.path);
    if (!relation || !options_.checksums) return;
    PageVerifierOptions options;
    options.backup_start = start_.lsn;
    options.first_block = relation->segment * options_.segment_blocks;
    file.pages.emplace(options, [this, path = file.path](BadPage const& page) {
        SuspectPage suspect{path, page};
        if (file_) file_->faulty = true;
        if (!page.torn)
            add_bad_page(suspect);
        else if (torn_.size() < 1'000'000)
            torn_.push_back(std::move(suspect));
    });
}

void BackupWriter::open_stream(OpenFile& file) {
    bool relation = parse_pg_relation_path(file.path).has_value();
    auto* pages = options_.pages;
    if (relation && pages)
        file.relation = std::make_unique<RelationStream>(
            ingest_, pages->sums, pages->before ? pages->before->find(file.path) : std::nullopt);
    else
        file.stream = ingest_.open_stream(ChunkKind::data, {relation ? Layout::Cut::pages : Layout::Cut::content, {}});
}

Result<Content> BackupWriter::close_stream(OpenFile& file) {
    if (!file.relation) return file.stream->finish();
    return file.relation->finish();
}

// What two backups read under one stamp, and read the same, is left unread by the third. Once is not enough: the kernel
// notes the time of a write before the bytes, and if the writer had to wait in between, longer than kSettled, we would have read the old ones.
void BackupWriter::note_in_map(OpenFile& file) {
    auto& map = file.relation->map();
    if (!file.carried) {
        auto const& before = file.relation->before();
        bool still = file.stamp && before.still == file.stamp, same = before.crc32c == file.crc.value();
        if (still && before.twice && !same)
            written_.findings.push_back({"file " + file.path, Finding::Verdict::suspicious,
                                         "it is not what earlier backups read, and the file system says that nobody changed it"});
        if (file.stamp && file.stamp->size == file.size && !file.faulty) map.still = file.stamp;
        map.twice = map.still && still && same;
        map.crc32c = file.crc.value();
    }
    if (options_.pages->after) options_.pages->after->add(file.path, map);
}

Result<bool> BackupWriter::carry_over(FileStamp const& stamp) {
    assert(file_ && file_->size == 0);
    if (!file_->relation) return false;
    auto settled = Time(std::chrono::seconds(stamp.ctime.seconds) + std::chrono::nanoseconds(stamp.ctime.nanoseconds)) + kSettled;
    if (settled < clock_.now()) file_->stamp = stamp;
    if (options_.pages->read_all || !file_->stamp) return false;
    file_->carried = TRY(file_->relation->carry_over(stamp));
    if (!file_->carried) return false;
    file_->size = stamp.size;
    file_->pages.reset();
    progress_.bytes += stamp.size;
    written_.bytes_unread += stamp.size;
    return true;
}

Result<void> BackupWriter::entry(UstarEntry const& tar) {
    if (tablespace_directory_missing_) TRY(add_tablespace_directory(tar));
    auto path = prefix_ + tar.path;
    TRY(leave_directory(path));
    if (auto database = database_directory_of(path); !database.empty()) database_directory_ = database;
    if (path == kManifestName) return damaged("a file has the manifest's name");
    if (tar.type != UstarEntry::Type::file) {
        auto entry = entry_of(tar);
        if (tar.type == UstarEntry::Type::symlink) ++written_.files;
        return add_entry(path, std::move(entry));
    }
    if (path == "global/pg_control") control_seen_ = clock_.now();
    file_.emplace();
    file_->path = path;
    file_->entry = entry_of(tar);
    open_stream(*file_);
    open_pages(*file_);
    if (is_kept(path)) file_->kept = &kept_[path];
    progress_.current = path;
    return {};
}

Result<void> BackupWriter::data(ByteView bytes) {
    assert(file_);
    if (file_->pages) file_->pages->update(bytes);
    return store(bytes);
}

Result<void> BackupWriter::data_in_place(ByteSpan bytes, PageVerifier::Again const& again) {
    assert(file_);
    progress_.bytes += bytes.size();
    // First: it may change them.
    if (file_->pages) file_->pages->update(bytes, again);
    return store(bytes);
}

Result<void> BackupWriter::store(ByteView bytes) {
    file_->size += bytes.size();
    file_->crc.update(bytes);
    if (file_->kept) {
        if (file_->kept->size() + bytes.size() > kKeptBytesMax)
            return damaged(fmt::format("'{}' is too large", file_->path));
        file_->kept->insert(file_->kept->end(), bytes.begin(), bytes.end());
    }
    return file_->relation ? file_->relation->append(bytes) : file_->stream->append(bytes);
}

Result<void> BackupWriter::entry_end() {
    if (!file_) return {};  // a directory
    auto file = std::move(*file_);
    file_.reset();
    file.entry.content = TRY(close_stream(file));
    if (file.pages && !file.pages->whole()) {
        add_problem(file.path, "its last page is cut short");
        file.faulty = true;
    }
    if (file.relation) note_in_map(file);
    auto crc = file.carried ? file.relation->map().crc32c : file.crc.value();
    // The manifest names everything but the log's segments, for which it has ranges.
    if (file.path.starts_with("pg_wal/") && is_wal_segment_name(file.path.substr(7)))
        wal_[file.path.substr(7)] = file.size;
    else if (!seen_.emplace(file.path, Seen{file.size, crc, file.entry.mtime_seconds}).second)
        return damaged(fmt::format("'{}' came twice", printable(file.path)));
    ++written_.files;
    written_.bytes += file.size;
    progress_.files = written_.files;
    report_progress();
    return add_entry(file.path, std::move(file.entry));
}

Result<void> BackupWriter::add_small_file(std::string const& path, std::string_view text, Owner owner) {
    UstarEntry file;
    file.path = path;
    file.size = text.size();
    file.mode = 0600;
    file.uid = owner.uid;
    file.gid = owner.gid;
    file.user = file.group = "postgres";
    file.mtime = std::chrono::floor<std::chrono::seconds>(clock_.now()).time_since_epoch().count();
    TRY(entry(file));
    if (!text.empty()) TRY(data(as_bytes(text)));
    return entry_end();
}

Result<void> BackupWriter::make_manifest(BackupEnd const& end) {
    std::vector<PgManifestFile> files;
    files.reserve(seen_.size());
    for (auto const& [path, seen] : seen_) files.push_back({path, seen.size, seen.modified, seen.crc32c});
    std::ranges::sort(files, {}, &PgManifestFile::path);
    auto text = format_pg_backup_manifest(files, {end.timeline, start_.lsn, end.lsn}, [](ByteView bytes) { return sha256(bytes); });
    return manifest_data(as_bytes(text));
}

void BackupWriter::report_progress() {
    if (options_.progress) options_.progress(progress_);
}

void BackupWriter::add_problem(std::string path, std::string message) {
    ++written_.problem_count;
    if (written_.problems.size() < kProblemsMax)
        written_.problems.push_back({std::move(path), std::move(message)});
}

void BackupWriter::add_bad_page(SuspectPage const& suspect) {
    add_problem(suspect.path, fmt::format("block {}: {}", suspect.page.block, suspect.page.detail));
    if (written_.findings.size() >= kProblemsMax) return;
    written_.findings.push_back({fmt::format("relation {} block {}", suspect.path, suspect.page.block),
                                 Finding::Verdict::damaged, suspect.page.detail});
}

Result<void> BackupWriter::check_small_files(BackupEnd const& end) {
    for (auto name : {"PG_VERSION", "backup_label", "global/pg_control"})
        if (!kept_.contains(name)) return damaged(fmt::format("'{}' is missing", name));
    auto major = TRY(parse_pg_version_file(as_text(kept_["PG_VERSION"])));
    if (major != options_.server_version / 10000)
        return damaged(fmt::format("PG_VERSION says {}, the server {}", major, options_.server_version / 10000));
    written_.label = TRY(parse_pg_backup_label(as_text(kept_["backup_label"])));
    if (written_.label.start != start_.lsn || written_.label.timeline != start_.timeline)
        return damaged("backup_label is of another backup");
    if (end.lsn < start_.lsn) return damaged("it ends before it begins");
    auto control = TRY(parse_pg_control(kept_["global/pg_control"]));
    if (control.system_identifier != options_.system_identifier)
        return damaged("pg_control is of another system");
    std::map<std::uint32_t, std::string> locations;
    if (kept_.contains("tablespace_map")) locations = TRY(parse_pg_tablespace_map(as_text(kept_["tablespace_map"])));
    for (auto const& tablespace : start_.tablespaces) {
        // Locations inside the data directory (allow_in_place_tablespaces) are no links.
        if (tablespace.oid == 0 || !tablespace.location.starts_with('/')) continue;
        if (!locations.contains(tablespace.oid) || locations[tablespace.oid] != tablespace.location)
            return damaged(fmt::format("tablespace_map does not name tablespace {}", tablespace.oid));
    }
    return {};
}

Result<void> BackupWriter::check_manifest() {
    if (manifest_.empty()) {
        if (options_.server_version >= 130000) return damaged("the manifest is missing");
        written_.findings.push_back({"backup manifest", Finding::Verdict::not_verified,
                                     "PostgreSQL 12 makes none: sizes and sums of files are not compared"});
        return {};
    }
    auto manifest = TRY(parse_pg_backup_manifest(manifest_, [](ByteView bytes) { return sha256(bytes); }));
    if (manifest.system_identifier && *manifest.system_identifier != options_.system_identifier)
        return damaged("the manifest is of another system");
    for (auto const& file : manifest.files) {
        auto seen = seen_.find(file.path);
        if (seen == seen_.end()) return damaged(fmt::format("'{}' is in the manifest and did not come", printable(file.path)));
        if (seen->second.size != file.size)
            return damaged(fmt::format("'{}' came with {} bytes; the manifest says {}", printable(file.path),
                                       seen->second.size, file.size));
        if (file.algorithm == PgBackupManifest::Algorithm::crc32c && seen->second.crc32c != file.crc32c)
            return damaged(fmt::format("'{}': checksum mismatch with the manifest", printable(file.path)));
        seen_.erase(seen);
    }
    if (!seen_.empty())
        return damaged(fmt::format("'{}' is not in the manifest", printable(seen_.begin()->first)));

    auto stream = ingest_.open_stream(ChunkKind::data, {});
    TRY(stream->append(manifest_));
    Entry entry;
    entry.name = kManifestName;
    entry.mode = 0600;
    entry.user = entry.group = "postgres";
    entry.mtime_seconds = std::chrono::floor<std::chrono::seconds>(clock_.now()).time_since_epoch().count();
    entry.content = TRY(stream->finish());
    ++written_.files;
    written_.bytes += manifest_.size();
    written_.manifest = true;
    return add_entry(std::string(kManifestName), std::move(entry));
}

// The cluster starts only with the whole log from the backup's start to its end.
Result<void> BackupWriter::check_wal(BackupEnd const& end) {
    if (end.timeline != start_.timeline) return {};  // the server checks what it sends across a switch
    std::uint64_t segment = options_.wal_segment_bytes;
    auto first = start_.lsn.value / segment;
    // An end on a border needs nothing of the next segment.
    auto last = (end.lsn.value - (end.lsn.value > start_.lsn.value ? 1 : 0)) / segment;
    for (auto number = first; number <= last; ++number) {
        auto name = wal_segment_name(start_.timeline, Lsn{number * segment}, options_.wal_segment_bytes);
        auto found = wal_.find(name);
        if (found == wal_.end()) return damaged(fmt::format("log segment {} is missing", name));
        if (found->second != segment) return damaged(fmt::format("log segment {} is cut short", name));
    }
    return {};
}

Result<WrittenBackup> BackupWriter::finish(BackupEnd const& end) {
    TRY(check_small_files(end));
    TRY(check_manifest());
    TRY(check_wal(end));
    for (auto const& suspect : torn_)
        if (suspect.page.lsn > end.lsn) add_bad_page(suspect);
    if (end.checksum_failures && written_.problem_count == 0)
        add_problem("", "the server found pages with wrong checksums: see its log");
    written_.consistent = control_seen_.value();
    written_.tree = TRY(tree_.finish());
    return std::move(written_);
}

}  // namespace holdfast::postgres
