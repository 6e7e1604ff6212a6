#include "formats/pg_backup_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/text.h"

namespace holdfast {
namespace {

using Json = nlohmann::json;

// Turns the parser's events into the manifest. Events instead of a document: a cluster of a million
// relations must not take a gigabyte here.
class ManifestEvents : public nlohmann::json_sax<Json> {
  public:
    PgBackupManifest manifest;
    std::string checksum;
    Error error{ErrorKind::damaged, "it is no manifest", {}};

    bool null() override { return refuse("null is not expected"); }
    bool boolean(bool) override { return refuse("a truth value is not expected"); }
    bool number_float(double, std::string const&) override { return refuse("a fraction is not expected"); }
    bool binary(binary_t&) override { return refuse("binary is not expected"); }
    bool number_integer(std::int64_t) override { return refuse("a negative number is not expected"); }
    bool number_unsigned(std::uint64_t value) override {
        if (place_ == Place::top && key_ == "PostgreSQL-Backup-Manifest-Version") {
            if (value < 1 || value > 2) {
                error = {ErrorKind::usage, fmt::format("version {} is not known here", value), {}};
                return false;
            }
            manifest.version = static_cast<int>(value);
            return true;
        }
        if (place_ == Place::top && key_ == "System-Identifier") {
            manifest.system_identifier = value;
            return true;
        }
        if (place_ == Place::file && key_ == "Size") {
            file_.size = value;
            return true;
        }
        if (place_ == Place::wal_range && key_ == "Timeline") {
            if (value == 0 || value > UINT32_MAX) return refuse("a timeline is out of range");
            range_.timeline = static_cast<std::uint32_t>(value);
            return true;
        }
        return refuse(fmt::format("a number is not expected as {}", printable(key_)));
    }
    bool string(std::string& value) override {
        if (place_ == Place::top && key_ == "Manifest-Checksum") {
            checksum = std::move(value);
            return true;
        }
        if (place_ == Place::file) return file_text(value);
        if (place_ == Place::wal_range && (key_ == "Start-LSN" || key_ == "End-LSN")) {
            auto lsn = parse_lsn(value);
            if (!lsn) return refuse("a log position is malformed");
            (key_ == "Start-LSN" ? range_.start : range_.end) = *lsn;
            return true;
        }
        return refuse(fmt::format("text is not expected as {}", printable(key_)));
    }
    bool start_object(std::size_t) override {
        keys_.clear();
        switch (place_) {
            case Place::outside: place_ = Place::top; return true;
            case Place::files:
                place_ = Place::file;
                file_ = {};
                algorithm_.clear();
                file_checksum_.clear();
                return true;
            case Place::wal_ranges:
                place_ = Place::wal_range;
                range_ = {};
                return true;
            default: return refuse("an object is not expected");
        }
    }
    bool end_object() override {
        switch (place_) {
            case Place::top: place_ = Place::done; return true;
            case Place::file: place_ = Place::files; return finish_file();
            case Place::wal_range: place_ = Place::wal_ranges; return finish_range();
            default: return refuse("an object ends where none began");
        }
    }
    bool start_array(std::size_t) override {
        if (place_ == Place::top && key_ == "Files") {
            place_ = Place::files;
            return true;
        }
        if (place_ == Place::top && key_ == "WAL-Ranges") {
            place_ = Place::wal_ranges;
            return true;
        }
        return refuse("a list is not expected");
    }
    bool end_array() override {
        place_ = Place::top;
        return true;
    }
    bool key(std::string& name) override {
        key_ = name;
        auto& seen = place_ == Place::top ? top_keys_ : keys_;
        if (std::ranges::find(seen, name) != seen.end())
            return refuse(fmt::format("{} is there twice", printable(name)));
        seen.push_back(name);
        return true;
    }
    bool parse_error(std::size_t position, std::string const&, nlohmann::detail::exception const&) override {
        return refuse(fmt::format("malformed JSON at byte {}", position));
    }

    bool complete() const {
        auto has = [&](std::string_view key) { return std::ranges::find(top_keys_, key) != top_keys_.end(); };
        return place_ == Place::done && manifest.version != 0 && has("Files") && has("WAL-Ranges") &&
               has("Manifest-Checksum");
    }

  private:
    enum class Place { outside, top, files, file, wal_ranges, wal_range, done };

    bool refuse(std::string message) {
        error = {ErrorKind::damaged, std::move(message), {}};
        return false;
    }
    bool has_key(std::string_view key) const { return std::ranges::find(keys_, key) != keys_.end(); }

    bool file_text(std::string& value) {
        if (key_ == "Path") {
            file_.path = std::move(value);
        } else if (key_ == "Encoded-Path") {
            auto bytes = from_hex(value);
            if (!bytes) return refuse("an encoded path is not hexadecimal");
            file_.path = to_text(*bytes);
        } else if (key_ == "Checksum-Algorithm") {
            algorithm_ = std::move(value);
        } else if (key_ == "Checksum") {
            file_checksum_ = std::move(value);
        } else if (key_ != "Last-Modified") {
            return refuse(fmt::format("text is not expected as {}", printable(key_)));
        }
        return true;
    }

    bool finish_file() {
        auto shown = [&] { return printable(file_.path); };
        if (has_key("Path") == has_key("Encoded-Path")) return refuse("a file needs one path");
        if (!has_key("Size")) return refuse(fmt::format("'{}' has no size", shown()));
        if (file_.path.find('\0') != file_.path.npos) return refuse("a path holds a NUL");
        for (auto const& part : split(file_.path, '/'))
            if (part.empty() || part == "." || part == "..")
                return refuse(fmt::format("unsafe path '{}'", shown()));
        if (!paths_.insert(file_.path).second) return refuse(fmt::format("'{}' is there twice", shown()));
        if (algorithm_.empty() != file_checksum_.empty())
            return refuse(fmt::format("'{}' has half a checksum", shown()));
        if (algorithm_ == "CRC32C") {
            // The four bytes of the value as the server's machine keeps them: little-endian.
            auto bytes = from_hex(file_checksum_);
            if (!bytes || bytes->size() != 4)
                return refuse(fmt::format("'{}' has a malformed checksum", shown()));
            std::memcpy(&file_.crc32c, bytes->data(), 4);
            file_.algorithm = PgBackupManifest::Algorithm::crc32c;
        } else if (algorithm_.starts_with("SHA")) {
            file_.algorithm = PgBackupManifest::Algorithm::sha;
        } else if (!algorithm_.empty()) {
            return refuse(fmt::format("unknown checksum algorithm '{}'", printable(algorithm_)));
        }
        manifest.files.push_back(std::move(file_));
        return true;
    }

    bool finish_range() {
        if (!has_key("Timeline") || !has_key("Start-LSN") || !has_key("End-LSN") || range_.start > range_.end)
            return refuse("a range of the log is malformed");
        manifest.wal_ranges.push_back(range_);
        return true;
    }

    Place place_ = Place::outside;
    std::string key_;
    std::vector<std::string> top_keys_;
    std::vector<std::string> keys_;  // of the object at hand, to find repeated ones
    PgBackupManifest::File file_;
    PgBackupManifest::WalRange range_;
    std::string algorithm_, file_checksum_;
    std::unordered_set<std::string> paths_;
};

}  // namespace

Result<PgBackupManifest> parse_pg_backup_manifest(ByteView text, Sha256Function const& sha256) {
    ManifestEvents events;
    bool parsed = false;
    try {
        parsed = Json::sax_parse(text.begin(), text.end(), &events);
    } catch (std::exception const&) {
        return fail(ErrorKind::damaged, "backup manifest: malformed JSON");
    }
    if (!parsed) return fail(std::move(events.error).within("backup manifest"));
    if (!events.complete()) return fail(ErrorKind::damaged, "backup manifest: something is missing");

    // The last line holds the checksum of everything before that line.
    auto view = as_text(text);
    if (!view.ends_with('\n')) return fail(ErrorKind::damaged, "backup manifest: its last line has no end");
    auto last_line = view.rfind('\n', view.size() - 2);
    if (last_line == view.npos || !view.substr(last_line + 1).starts_with("\"Manifest-Checksum\":"))
        return fail(ErrorKind::damaged, "backup manifest: its last line is not its checksum");
    auto digest = sha256(text.first(last_line + 1));
    if (to_hex(digest) != events.checksum)
        return fail(ErrorKind::damaged, "backup manifest: checksum mismatch");
    return std::move(events.manifest);
}

}  // namespace holdfast
