#include "datasets/selection.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include "base/text.h"
#include "os/process.h"
#include "sources/postgres/cluster.h"
#include "sources/postgres/conninfo.h"
#include "sources/postgres/private_directory.h"
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

// A server in an isolated place that ends before its files do.
class ServedRecovery {
  public:
    explicit ServedRecovery(InstantRecovery& recovery)
        : thread_([&recovery](std::stop_token stop) { std::ignore = recovery.serve({}, [](InstantStage) {}, stop); }) {}

  private:
    std::jthread thread_;
};

}  // namespace

Result<SelectedRestore> restore_selection(Workspace& workspace, std::string const& moment, Selection const& selection,
                                          std::filesystem::path const& scratch, ProgressCallback const& progress,
                                          Warn const& warn, std::stop_token stop) {
    auto shown = TRY(postgres::describe_conninfo(selection.into).within("--into"));
    SelectedRestore done;
    done.database = TRY(database_to_look_into(selection));
    auto started = workspace.clock().elapsed();
    // The server's user passes through it to the data directory, which is his.
    auto place = TRY(postgres::PrivateDirectory::make(scratch, {}));
    if (::chmod(place.path().c_str(), 0711) != 0) return fail(errno_error("set the mode of '" + place.path() + "'", errno));
    std::filesystem::path const data = place.path() + "/data";
    InstantOptions options{.target = data, .timeline = selection.timeline, .bring_home = false};
    // Tablespaces come to lie beside it, never where production has its own.
    options.tablespaces_beside = true;
    auto recovery = TRY(InstantRecovery::begin(workspace, moment, std::move(options), progress, warn, stop));
    done.point = recovery->point();
    {
        ServedRecovery served(*recovery);
        auto cluster = TRY(postgres::IsolatedCluster::start({.data = data, .disposable = true}, stop));
        done.time_to_ready = workspace.clock().elapsed() - started;
        auto dump = TRY(postgres::find_program(cluster->major(), "pg_dump", stop));
        auto restore = TRY(postgres::find_program(cluster->major(), "pg_restore", stop));
        // 0600 before anything is in it: others can pass through the place.
        constexpr char kDump[] = "selection.dump";
        TRY(place.write(kDump, "", {}));
        auto file = place.path() + "/" + kDump;
        std::vector<std::string> argv{dump, "--format=custom", "--no-password", "--file=" + file};
        for (auto const& table : selection.tables) argv.push_back("--table=" + table);
        for (auto const& schema : selection.schemas) argv.push_back("--schema=" + schema);
        argv.push_back("--dbname=" + cluster->conninfo(done.database));
        TRY(must_run(std::move(argv), fmt::format("dump from '{}'", printable(done.database)), stop));
        TRY(cluster->stop());
        std::error_code unknown;
        done.dump_bytes = std::filesystem::file_size(file, unknown);
        TRY(must_run({restore, "--exit-on-error", "--single-transaction", "--no-password", "--dbname=" + selection.into, file},
                     "restore into " + shown, stop));
    }
    recovery.reset();
    done.took = workspace.clock().elapsed() - started;
    return done;
}

}  // namespace holdfast
