#include "sources/postgres/capture.h"

#include <fmt/format.h>

#include <array>
#include <filesystem>

#include "base/text.h"
#include "sources/postgres/backup_writer.h"
#include "sources/postgres/connection.h"
#include "sources/postgres/file_backup.h"
#include "sources/postgres/same_system.h"
#include "sources/postgres/wal_protocol.h"
#include "sources/postgres/wal_receive.h"

namespace holdfast::postgres {
namespace {

struct Settings {
    bool checksums = false;
    std::uint32_t wal_segment_bytes = 0;
    std::uint32_t segment_blocks = 0;
    std::string data_directory_mode;
    std::string data_directory;  // empty: the role may not see it
};

Result<Settings> read_settings(Connection& connection, std::stop_token stop) {
    Settings settings;
    auto block = TRY(connection.query_value("SHOW block_size", stop));
    if (block != "8192")
        return fail(ErrorKind::usage, fmt::format("the cluster has blocks of {} bytes; only 8192 are supported", block));
    settings.checksums = TRY(connection.query_value("SHOW data_checksums", stop)) == "on";
    settings.wal_segment_bytes = TRY(show_segment_bytes(connection, stop));
    auto segment = TRY(connection.query_value("SHOW segment_size", stop));
    auto segment_bytes = TRY(parse_setting_bytes(segment));
    if (segment_bytes < 8192 || segment_bytes / 8192 > UINT32_MAX)
        return fail(ErrorKind::damaged, fmt::format("the server reports relation files of {}", segment));
    settings.segment_blocks = static_cast<std::uint32_t>(segment_bytes / 8192);
    settings.data_directory_mode = TRY(connection.query_value("SHOW data_directory_mode", stop));
    // Only superusers and pg_read_all_settings may see where the cluster lies.
    if (auto directory = connection.query_value("SHOW data_directory", stop))
        settings.data_directory = *directory;
    else if (directory.error().kind == ErrorKind::cancelled)
        return fail(std::move(directory).error());
    return settings;
}

bool lies_within(std::string const& path, std::string const& directory) {
    std::error_code ignored;
    auto outer = std::filesystem::weakly_canonical(directory, ignored);
    auto inner = std::filesystem::weakly_canonical(path, ignored);
    auto relative = inner.lexically_relative(outer);
    return !relative.empty() && *relative.begin() != "..";
}

// A repository inside the cluster would be captured into itself. Only on this machine do the server's
// paths mean anything here.
Result<void> check_forbidden(CaptureContext const& context, Connection const& connection, std::string const& directory) {
    if (!connection.is_local() || !directory.starts_with('/')) return {};
    for (auto const& forbidden : context.forbidden)
        if (lies_within(forbidden, directory))
            return fail(ErrorKind::unsafe, fmt::format("'{}' lies inside what is backed up: '{}'", forbidden, directory),
                        "move the repository (or Holdfast's state) out of the cluster's directories");
    return {};
}

// Refuses a repository in a tablespace as soon as the server names its tablespaces.
class CheckedWriter : public BackupWriter {
  public:
    CheckedWriter(CaptureContext const& context, Connection const& connection, BackupWriterOptions options)
        : BackupWriter(context.ingest, context.repository.world().clock, std::move(options)),
          context_(context), connection_(connection) {}
    Result<void> start(BackupStart const& start) override {
        for (auto const& tablespace : start.tablespaces)
            TRY(check_forbidden(context_, connection_, tablespace.location));
        backup = start;
        return BackupWriter::start(start);
    }
    BackupStart backup;

  private:
    CaptureContext const& context_;
    Connection const& connection_;
};

std::string new_slot_name(Random& random) {
    std::array<std::uint8_t, 8> bytes;
    random.fill(bytes);
    return "holdfast_" + to_hex(bytes);
}

// A line of backup_label: nothing in it may look like another line.
std::string backup_label(std::string const& dataset) { return ("holdfast " + printable(dataset)).substr(0, 200); }

std::string on_off(bool value) { return value ? "on" : "off"; }

void add_server_warnings(Connection& connection, Capture& capture) {
    for (auto& notice : connection.take_notices())
        if (notice.warning)
            capture.findings.push_back({"server", Finding::Verdict::suspicious, std::move(notice.message)});
}

}  // namespace

Result<Capture> capture_base_backup(std::string const& conninfo, CaptureOptions const& options,
                                    CaptureContext const& context) {
    auto& world = context.repository.world();
    Capture capture;
    capture.point.dataset = context.dataset;
    capture.point.kind = "postgres";
    capture.point.started = world.clock.now();

    auto connection = TRY(Connection::connect(conninfo, {.replication = true}, context.stop));
    auto identity = TRY(identify_system(connection, context.stop));
    TRY(check_same_system(context.repository, context.dataset, identity.system_identifier, connection.name(), context.stop));
    auto settings = TRY(read_settings(connection, context.stop));
    TRY(check_forbidden(context, connection, settings.data_directory));

    if (options.keep_log)
        TRY(keep_log(connection, slot_name(context.repository.keys(), context.dataset), context.stop));
    // The slot comes first: from here on the log that the backup's checkpoint needs can't be recycled.
    auto slot = new_slot_name(world.random);
    TRY(connection.query(create_slot_command(connection.server_version(), slot), context.stop));
    auto pages = PageMaps::open(context.repository, context.dataset);
    CheckedWriter writer(context, connection,
                         {.server_version = connection.server_version(),
                          .system_identifier = identity.system_identifier,
                          .checksums = settings.checksums,
                          .segment_blocks = settings.segment_blocks,
                          .wal_segment_bytes = settings.wal_segment_bytes,
                          .pages = pages ? &*pages : nullptr,
                          .progress = context.progress});
    auto files = TRY(FileBackup::open({conninfo, settings.data_directory, slot, identity.timeline, settings.wal_segment_bytes},
                                      connection, context.stop));
    auto label = backup_label(context.dataset);
    // The slot lives as long as its connection, which has nothing to do meanwhile.
    auto still_there = [&]() -> Result<void> {
        TRY(identify_system(connection, context.stop));
        return {};
    };
    auto ended = files ? files->run(label, writer, world.clock, still_there, context.stop)
                       : run_base_backup(connection, {.label = label}, writer, context.stop);
    auto end = TRY(std::move(ended));
    auto written = TRY(writer.finish(end));
    if (pages && pages->after) pages->after->finish();

    auto& point = capture.point;
    point.time = written.consistent;
    point.root = settings.data_directory.empty() ? "/" : settings.data_directory;
    point.tree = std::move(written.tree);
    point.files = written.files;
    point.bytes = written.bytes;
    point.unreadable = written.problem_count;
    auto& attributes = point.attributes;
    attributes["system_identifier"] = fmt::format("{}", identity.system_identifier);
    attributes["timeline"] = fmt::format("{}", end.timeline);
    attributes["lsn_start"] = to_text(writer.backup.lsn);
    attributes["lsn"] = to_text(end.lsn);
    attributes["server_version"] = connection.version_text();
    attributes["wal_segment_bytes"] = fmt::format("{}", settings.wal_segment_bytes);
    attributes["checksums"] = on_off(settings.checksums);
    attributes["connection"] = connection.name();
    attributes["read"] = files ? "files" : "connection";
    attributes["unread"] = fmt::format("{}", written.bytes_unread);
    attributes["from_standby"] = written.label.from_standby ? "yes" : "no";
    attributes["data_directory_mode"] = settings.data_directory_mode;
    for (auto const& tablespace : writer.backup.tablespaces)
        if (tablespace.oid != 0) attributes[fmt::format("tablespace.{}", tablespace.oid)] = tablespace.location;
    capture.problems = std::move(written.problems);
    capture.problem_count = written.problem_count;
    capture.findings = std::move(written.findings);
    if (!settings.checksums)
        capture.findings.push_back({"data pages", Finding::Verdict::not_verified,
                                    "the cluster has no page checksums (data_checksums is off)"});
    add_server_warnings(connection, capture);
    return capture;
}

}  // namespace holdfast::postgres
