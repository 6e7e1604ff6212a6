#include "sources/exports/export_cluster.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "base/text.h"
#include "os/file.h"
#include "os/users.h"
#include "sources/exports/client_programs.h"
#include "sources/postgres/cluster.h"
#include "sources/postgres/data_directory.h"

namespace holdfast::postgres {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kExportMark = ".holdfast-export";
constexpr std::string_view kServerUser = "postgres";  // on this machine, and in the cluster

Result<void> make_directory_for(fs::path const& path, std::optional<UserId> const& user) {
    std::error_code failed;
    fs::create_directories(path, failed);
    if (failed) return fail(errno_error(fmt::format("make '{}'", printable(path.native())), failed.value()));
    fs::permissions(path, fs::perms::owner_all, failed);
    if (user && ::chown(path.c_str(), user->uid, user->gid) != 0)
        return fail(errno_error(fmt::format("set the owner of '{}'", printable(path.native())), errno));
    return {};
}

Result<void> initialise(fs::path const& data, int major, std::optional<UserId> const& user, std::stop_token stop) {
    auto program = TRY(find_client_program(major, "initdb", stop));
    auto command = client_command({program, "--pgdata", data, "--username", std::string(kServerUser), "--auth-local=peer",
                                   "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums"});
    command.user = user;
    command.directory = "/";
    auto result = TRY(run(command, stop));
    if (result.success()) return {};
    return fail(client_failure("initdb", result));
}

// Each tablespace of the export gets a place of its own.
Result<std::map<std::string, std::string>> make_places(ExportFiles const& files, fs::path const& parent,
                                                       std::optional<UserId> const& user) {
    std::map<std::string, std::string> places;
    std::error_code failed;
    fs::remove_all(parent, failed);
    auto const tablespaces = files.globals.tablespaces();
    if (!tablespaces.empty()) TRY(make_directory_for(parent, user));
    for (auto const& [name, location] : tablespaces) {
        auto const place = parent / fmt::format("{}", places.size() + 1);
        TRY(make_directory_for(place, user));
        places[name] = place.native();
    }
    return places;
}

}  // namespace

Result<std::vector<Finding>> load_into_new_cluster(ExportFiles const& files, NewClusterOptions const& options,
                                                   ProgressCallback const& progress, std::stop_token stop) {
    auto const there = TRY(inspect_directory(options.data));
    using Kind = DirectoryState::Kind;
    if (there.kind != Kind::missing && there.kind != Kind::empty)
        return fail(ErrorKind::unsafe, fmt::format("'{}' is not empty", printable(options.data.native())),
                    "a cluster goes into a directory that is new or empty");
    std::optional<UserId> user;
    if (::geteuid() == 0) user = TRY(lookup_user(kServerUser));
    fs::path const loading = options.data.native() + ".loading";
    std::error_code failed;
    fs::remove_all(loading, failed);
    TRY(make_directory_for(loading, user));
    TRY(initialise(loading, std::atoi(files.document.server_version.c_str()), user, stop));
    auto places = TRY(make_places(files, options.tablespaces, user));
    std::vector<Finding> findings;
    {
        auto cluster = TRY(IsolatedCluster::start({.data = loading}, stop));
        auto const conninfo = cluster->conninfo("template1");
        LoadOptions const load{.jobs = options.jobs, .tablespaces = std::move(places)};
        findings = TRY(load_export(files, conninfo, load, progress, stop));
        for (auto const& finding : findings)
            if (finding.verdict == Finding::Verdict::damaged)
                return fail(ErrorKind::check_failed, fmt::format("{}: {}", printable(finding.object), finding.detail));
        TRY(cluster->stop());
    }
    auto const mark = (loading / kExportMark).native();
    TRY(write_file_durably(mark, as_bytes(options.mark), 0600));
    if (user && ::chown(mark.c_str(), user->uid, user->gid) != 0)
        return fail(errno_error(fmt::format("set the owner of '{}'", printable(mark)), errno));
    fs::rename(loading, options.data, failed);
    if (failed) return fail(errno_error(fmt::format("rename '{}'", printable(loading.native())), failed.value()));
    TRY(fsync_directory(parent_directory(options.data.native())));
    return findings;
}

bool holds_export(fs::path const& data, std::string_view mark) {
    auto text = read_file((data / kExportMark).native(), 4096);
    return text && as_text(*text) == mark;
}

}  // namespace holdfast::postgres
