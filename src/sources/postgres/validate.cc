#include "sources/postgres/validate.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/text.h"
#include "base/units.h"
#include "crypto/crypto.h"
#include "formats/crc32c.h"
#include "formats/pg_backup_label.h"
#include "formats/pg_backup_manifest.h"
#include "formats/pg_control.h"
#include "formats/pg_path.h"
#include "os/file.h"
#include "os/process.h"
#include "sources/postgres/data_directory.h"
#include "sources/postgres/page_verifier.h"
#include "sources/postgres/programs.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kReadBytes = 1 << 20;
constexpr std::size_t kFindingsMax = 1000;

// What pg_verifybackup leaves out, too: the log has ranges instead of files, and these are rewritten by
// whoever sets a restored cluster up.
bool is_outside_manifest(std::string_view path) {
    return path == "backup_manifest" || path.starts_with("pg_wal/") || path == "postgresql.auto.conf" ||
           path == "recovery.signal" || path == "standby.signal";
}

class Validation {
  public:
    Validation(fs::path target, std::stop_token stop) : target_(std::move(target)), stop_(stop) {}

    Result<std::vector<Finding>> run() {
        TRY(read_identity());
        fresh_ = fs::exists(target_ / "backup_label");
        if (fresh_) TRY(read_label());
        TRY(read_manifest());
        check_pages_ = control_.checksums() && (fresh_ || control_.state == PgControl::State::shut_down);
        TRY(walk(target_, ""));
        if (manifest_) report_missing();
        summarise();
        TRY(run_verifybackup());
        return std::move(findings_);
    }

  private:
    Result<void> read_identity() {
        auto version = read_file(target_ / "PG_VERSION", 64);
        if (!version && version.error().kind == ErrorKind::not_found)
            return fail(ErrorKind::not_found, fmt::format("'{}' holds no PostgreSQL cluster", printable(target_.native())));
        if (!version) return fail(std::move(version).error());
        major_ = TRY(parse_pg_version_file(as_text(*version)));
        auto control = TRY(read_file(target_ / "global/pg_control", 1 << 16));
        control_ = TRY(parse_pg_control(control));
        return {};
    }

    Result<void> read_label() {
        auto text = TRY(read_file(target_ / "backup_label", 1 << 20));
        auto label = TRY(parse_pg_backup_label(as_text(text)));
        backup_start_ = label.start;
        return {};
    }

    Result<void> read_manifest() {
        if (!fresh_) {
            add("backup manifest", Finding::Verdict::not_verified,
                "the cluster was started after the restore: its files are not those of the backup any more");
            return {};
        }
        auto text = read_file(target_ / "backup_manifest", kManifestBytesMax);
        if (!text && text.error().kind == ErrorKind::not_found) {
            add("backup manifest", Finding::Verdict::not_verified, "the backup has none (PostgreSQL 12)");
            return {};
        }
        if (!text) return fail(std::move(text).error());
        auto manifest = parse_pg_backup_manifest(*text, [](ByteView bytes) { return sha256(bytes); });
        if (!manifest) {
            add("backup manifest", Finding::Verdict::damaged, manifest.error().message);
            return {};
        }
        manifest_ = true;
        for (auto const& range : manifest->wal_ranges) backup_end_ = std::max(backup_end_.value_or(range.end), range.end);
        for (auto& file : manifest->files) expected_.emplace(file.path, Expected{file, false});
        // A restore that moved tablespaces wrote a map of its own.
        if (auto map = expected_.find("tablespace_map"); map != expected_.end()) map_moved_ = check_tablespace_map();
        return {};
    }

    // Whether the map is not the server's; what it says must be what the links say.
    bool check_tablespace_map() {
        auto text = read_file(target_ / "tablespace_map", 1 << 20);
        if (!text) return false;  // reported as missing
        auto const& file = expected_.at("tablespace_map").file;
        if (text->size() == file.size && crc32c(*text) == file.crc32c) return false;
        auto locations = parse_pg_tablespace_map(as_text(*text));
        bool right = locations.has_value();
        if (right)
            for (auto const& [oid, location] : *locations) {
                std::error_code error;
                auto link = fs::read_symlink(target_ / "pg_tblspc" / fmt::format("{}", oid), error);
                right = right && !error && link.native() == location;
            }
        add("tablespace_map", right ? Finding::Verdict::verified : Finding::Verdict::damaged,
            right ? "tablespaces were moved; the map agrees with the links" : "it does not agree with the links in pg_tblspc");
        expected_.at("tablespace_map").seen = true;
        return true;
    }

    Result<void> walk(fs::path const& directory, std::string const& prefix) {
        std::error_code error;
        auto iterator = fs::directory_iterator(directory, error);
        for (; !error && iterator != fs::directory_iterator(); iterator.increment(error)) {
            auto name = iterator->path().filename().native();
            auto path = prefix + name;
            if (name == kRestoreMark) continue;
            auto type = iterator->symlink_status(error).type();
            if (error) break;
            // Links are followed where PostgreSQL has them: tablespaces.
            bool linked = type == fs::file_type::symlink && prefix == "pg_tblspc/";
            if (type == fs::file_type::directory || linked) {
                TRY(walk(iterator->path(), path + "/"));
            } else if (type == fs::file_type::regular) {
                TRY(check_file(iterator->path(), path));
            }
        }
        if (error)
            return fail(errno_error(fmt::format("look into '{}'", printable(directory.native())), error.value()));
        return {};
    }

    Result<void> check_file(fs::path const& file, std::string const& path) {
        Expected* expected = nullptr;
        if (manifest_ && !is_outside_manifest(path) && !(path == "tablespace_map" && map_moved_)) {
            auto found = expected_.find(path);
            if (found == expected_.end()) {
                add("file " + printable(path), Finding::Verdict::suspicious, "it is not in the backup manifest");
                ++bad_files_;
            } else {
                expected = &found->second;
                expected->seen = true;
            }
        }
        auto relation = parse_pg_relation_path(path);
        if (!expected && !(relation && check_pages_)) return {};
        return read_and_check(file, path, relation, expected);
    }

    struct Expected {
        PgBackupManifest::File file;
        bool seen = false;
    };

    Result<void> read_and_check(fs::path const& file, std::string const& path,
                                std::optional<PgRelationFile> const& relation, Expected const* expected) {
        std::optional<PageVerifier> pages;
        if (relation && check_pages_) {
            PageVerifierOptions options;
            if (fresh_) options.backup_start = backup_start_;
            if (fresh_) options.backup_end = backup_end_;
            options.first_block = relation->segment * control_.segment_blocks;
            pages.emplace(options, [&](BadPage const& page) {
                if (page.torn) return;
                ++bad_pages_;
                add(fmt::format("relation {} block {}", path, page.block), Finding::Verdict::damaged, page.detail);
            });
        }
        Crc32c crc;
        auto size = TRY(read_through(file, [&](ByteView bytes) {
            crc.update(bytes);
            if (pages) pages->update(bytes);
        }));
        bytes_ += size;
        if (pages) pages_ += pages->pages();
        if (expected) compare(path, *expected, size, crc.value());
        return {};
    }

    Result<std::uint64_t> read_through(fs::path const& file, std::function<void(ByteView)> const& take) {
        auto opened = TRY(open_file(file, O_RDONLY));
        buffer_.resize(kReadBytes);
        for (std::uint64_t size = 0;;) {
            if (stop_.stop_requested()) return fail(ErrorKind::cancelled, "validation: stopped");
            auto count = TRY(pread_full(opened, buffer_, size));
            take(ByteView(buffer_).first(count));
            size += count;
            if (count < buffer_.size()) return size;
        }
    }

    void compare(std::string const& path, Expected const& expected, std::uint64_t size, std::uint32_t crc) {
        auto object = "file " + printable(path);
        if (size != expected.file.size) {
            add(object, Finding::Verdict::damaged, fmt::format("{} bytes; the manifest says {}", size, expected.file.size));
        } else if (expected.file.algorithm == PgBackupManifest::Algorithm::crc32c && crc != expected.file.crc32c) {
            add(object, Finding::Verdict::damaged,
                fmt::format("CRC-32C {:08x}; the manifest says {:08x}", crc, expected.file.crc32c));
        } else {
            ++good_files_;
            return;
        }
        ++bad_files_;
    }

    void report_missing() {
        for (auto const& [path, expected] : expected_) {
            if (expected.seen || is_outside_manifest(path)) continue;
            ++bad_files_;
            add("file " + printable(path), Finding::Verdict::damaged, "it is missing");
        }
    }

    void summarise() {
        if (manifest_ && bad_files_ == 0)
            add("backup manifest", Finding::Verdict::verified,
                fmt::format("{} files, {}: sizes and CRC-32C are right, nothing is missing or extra", good_files_,
                            format_bytes(bytes_)));
        if (!control_.checksums())
            add("data pages", Finding::Verdict::not_verified, "the cluster has no page checksums");
        else if (!check_pages_)
            add("data pages", Finding::Verdict::not_verified,
                fmt::format("the cluster is {}: its pages may be changing", name(control_.state)));
        else if (bad_pages_ == 0)
            add("data pages", Finding::Verdict::verified, fmt::format("{} pages have the right checksum", pages_));
    }

    Result<void> run_verifybackup() {
        if (!manifest_) return {};
        auto program = find_program(major_, "pg_verifybackup", stop_);
        if (!program) {
            add("pg_verifybackup", Finding::Verdict::not_verified, program.error().message);
            return {};
        }
        Command command{.argv = {*program, "--quiet"}};
        if (map_moved_) command.argv.push_back("--ignore=tablespace_map");
        command.argv.push_back(fs::absolute(target_));
        command.environment["LC_ALL"] = "C";
        auto result = TRY(holdfast::run(command, stop_));
        if (result.success())
            add("pg_verifybackup", Finding::Verdict::verified, "the backup and its log are whole");
        else
            add("pg_verifybackup", Finding::Verdict::damaged,
                fmt::format("exit code {}: {}", result.exit_code, printable(result.err.substr(0, 500))));
        return {};
    }

    void add(std::string object, Finding::Verdict verdict, std::string detail) {
        // The first ones name where to look; summaries come through in any case.
        if (findings_.size() < kFindingsMax || verdict != Finding::Verdict::damaged)
            findings_.push_back({std::move(object), verdict, std::move(detail)});
    }

    fs::path target_;
    std::stop_token stop_;
    int major_ = 0;
    PgControl control_;
    bool fresh_ = false;        // not started since it was restored
    bool manifest_ = false;     // there is one to compare with
    bool map_moved_ = false;    // tablespace_map is the restore's own
    bool check_pages_ = false;
    std::optional<Lsn> backup_start_, backup_end_;
    std::unordered_map<std::string, Expected> expected_;
    std::uint64_t good_files_ = 0, bad_files_ = 0, pages_ = 0, bad_pages_ = 0, bytes_ = 0;
    Bytes buffer_;
    std::vector<Finding> findings_;
};

}  // namespace

Result<std::vector<Finding>> validate_data_directory(fs::path const& target, std::stop_token stop) {
    return Validation(target, stop).run();
}

}  // namespace holdfast::postgres
