#include "datasets/selection.h"

#include <fmt/format.h>

#include "base/text.h"
#include "datasets/moment_cluster.h"
#include "os/process.h"
#include "sources/postgres/conninfo.h"
#include "sources/postgres/programs.h"

namespace holdfast {
namespace {

// Runs a program of PostgreSQL's to its end; anything but success is an error with what it said.
Result<void> must_run(std::vector<std::string> argv, std::string_view what, std::stop_token stop) {
    auto result = run_checked({.argv = std::move(argv), .environment = {{"LC_ALL", "C"}}}, stop);
    if (result) return {};
    auto error = std::move(result.error());
    if (error.kind == ErrorKind::io) error.kind = ErrorKind::check_failed;
    return fail(std::move(error).within(what));
}

Result<std::string> database_to_look_into(Selection const& selection) {
    if (!selection.database.empty()) return selection.database;
    auto named = TRY(postgres::database_of(selection.into));
    if (!named.empty()) return named;
    return fail(ErrorKind::usage, "which database is looked into?", "name it: --database NAME");
}

}  // namespace

Result<SelectedRestore> restore_selection(Workspace& workspace, std::string const& moment, Selection const& selection,
                                          std::filesystem::path const& scratch, ProgressCallback const& progress,
                                          Warn const& warn, std::stop_token stop) {
    auto shown = TRY(postgres::describe_conninfo(selection.into).within("--into"));
    SelectedRestore done;
    done.database = TRY(database_to_look_into(selection));
    auto started = workspace.clock().elapsed();
    auto found = TRY(find_moment(workspace, moment, {.timeline = selection.timeline}, stop));
    auto cluster = TRY(MomentCluster::start(workspace, std::move(found), {.scratch = scratch}, progress, warn, stop));
    done.point = cluster->point();
    done.time_to_ready = cluster->time_to_ready();
    auto dump = TRY(postgres::find_program(cluster->cluster().major(), "pg_dump", stop));
    auto restore = TRY(postgres::find_program(cluster->cluster().major(), "pg_restore", stop));
    auto file = TRY(cluster->private_file("selection.dump"));
    std::vector<std::string> argv{dump, "--format=custom", "--no-password", "--file=" + file};
    for (auto const& table : selection.tables) argv.push_back("--table=" + table);
    for (auto const& schema : selection.schemas) argv.push_back("--schema=" + schema);
    argv.push_back("--dbname=" + cluster->cluster().conninfo(done.database));
    TRY(must_run(std::move(argv), fmt::format("dump from '{}'", printable(done.database)), stop));
    TRY(cluster->cluster().stop());
    std::error_code unknown;
    done.dump_bytes = std::filesystem::file_size(file, unknown);
    TRY(must_run({restore, "--exit-on-error", "--single-transaction", "--no-password", "--dbname=" + selection.into, file},
                 "restore into " + shown, stop));
    cluster.reset();
    done.took = workspace.clock().elapsed() - started;
    return done;
}

}  // namespace holdfast
