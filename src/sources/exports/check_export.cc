#include "sources/exports/check_export.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "formats/pg_archive.h"
#include "os/file.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
constexpr std::size_t kDocumentBytesMax = 1u << 30, kGlobalsBytesMax = 1u << 30;
constexpr std::size_t kPieceBytes = 1 << 20;

Result<PgArchive> read_archive(fs::path const& path, std::stop_token stop) {
    auto file = TRY(open_file(path.native(), O_RDONLY));
    PgArchiveReader reader;
    Bytes buffer(kPieceBytes);
    for (std::uint64_t at = 0;;) {
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "validation: stopped");
        auto count = TRY(pread_full(file, buffer, at));
        TRY(reader.push(ByteView(buffer).first(count)));
        at += count;
        if (count < buffer.size()) return reader.finish();
    }
}

// What differs from what was exported; empty: nothing.
std::string difference(ExportedDatabase const& expected, PgArchive const& archive) {
    auto const tables = exported_tables(archive);
    std::uint64_t rows = 0;
    for (auto const& table : tables) rows += table.rows;
    if (archive.bytes != expected.bytes) return fmt::format("{} bytes, and {} were exported", archive.bytes, expected.bytes);
    if (archive.large_objects != expected.large_objects)
        return fmt::format("{} large objects, and {} were exported", archive.large_objects, expected.large_objects);
    return tables == expected.tables ? "" : fmt::format("{} tables with {} rows are not those that were exported", tables.size(), rows);
}

Result<Finding> check_one(ExportFiles const& files, ExportedDatabase const& database, std::stop_token stop) {
    Finding finding{"database " + database.name, Finding::Verdict::damaged, {}};
    auto archive = read_archive(files.directory / database.file, stop);
    if (!archive && archive.error().kind == ErrorKind::cancelled) return fail(std::move(archive).error());
    finding.detail = archive ? difference(database, *archive) : archive.error().message;
    if (!finding.detail.empty()) return finding;
    std::uint64_t rows = 0;
    for (auto const& table : database.tables) rows += table.rows;
    finding.verdict = Finding::Verdict::verified;
    finding.detail = fmt::format("{}, {} tables, {} rows: all that was exported is there", format_bytes(archive->bytes),
                                 database.tables.size(), rows);
    return finding;
}

}  // namespace

Result<ExportFiles> open_export(fs::path const& directory) {
    ExportFiles files{.directory = fs::absolute(directory), .document = {}, .globals = {}};
    auto document = TRY(read_file((directory / kExportDocument).native(), kDocumentBytesMax));
    files.document = TRY(parse_export_document(as_text(document)));
    auto script = TRY(read_file((directory / kExportGlobals).native(), kGlobalsBytesMax));
    files.globals = TRY(Globals::parse(as_text(script)));
    return files;
}

Result<std::vector<Finding>> check_export(fs::path const& directory, std::stop_token stop) {
    std::vector<Finding> findings;
    auto files = open_export(directory);
    if (!files) {
        findings.push_back({"export", Finding::Verdict::damaged, files.error().message});
        return findings;
    }
    for (auto const& database : files->document.databases) {
        auto finding = TRY(check_one(*files, database, stop));
        findings.push_back(std::move(finding));
    }
    for (auto const& name : files->document.left_out)
        findings.push_back({"database " + name, Finding::Verdict::not_verified, "it is not in the export: a template, or it takes no connections"});
    return findings;
}

}  // namespace holdfast::postgres
