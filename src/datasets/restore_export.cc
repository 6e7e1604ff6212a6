#include "datasets/restore_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <thread>

#include "base/text.h"
#include "base/units.h"
#include "os/file.h"
#include "os/machine.h"
#include "sources/exports/export_cluster.h"
#include "sources/postgres/private_directory.h"

namespace holdfast {
namespace {

constexpr unsigned kLoadJobsMax = 8;

unsigned jobs_of(unsigned asked) {
    return asked > 0 ? asked : std::clamp(std::thread::hardware_concurrency(), 1u, kLoadJobsMax);
}

Result<postgres::PrivateDirectory> make_scratch(std::filesystem::path const& parent) {
    std::error_code failed;
    std::filesystem::create_directories(parent, failed);
    if (failed) return fail(errno_error(fmt::format("make '{}'", printable(parent.native())), failed.value()));
    return postgres::PrivateDirectory::make(parent, {});
}

Result<void> check_space(std::filesystem::path const& directory, std::uint64_t bytes) {
    auto const space = TRY(space_of(directory.native()));
    if (space.available >= bytes) return {};
    return fail(ErrorKind::no_space,
                fmt::format("'{}' has room for {}, and the export's files have {}", printable(directory.native()),
                            format_bytes(space.available), format_bytes(bytes)),
                "make room, or name another place (--scratch)");
}

// The files of an export in a directory that goes away.
class Files {
  public:
    Files(Workspace& workspace, PointReference const& point, ProgressCallback const& progress, Warn const& warn,
          std::stop_token stop)
        : workspace_(workspace), point_(point), progress_(progress), warn_(warn), stop_(stop) {}

    Result<void> open(std::filesystem::path const& parent) {
        auto const kind = point_.info.point.kind;
        if (kind != postgres::kExportKind)
            return fail(ErrorKind::usage, fmt::format("point {} is of kind {}, no export", point_.info.id.brief(), printable(kind)));
        scratch_ = TRY(make_scratch(parent));
        directory_ = std::filesystem::path(scratch_.path()) / "export";
        return {};
    }
    // What says what the export holds; without the databases.
    Result<postgres::ExportFiles> head() {
        TRY(bring([](std::string const& path) { return path.starts_with("databases/"); }));
        return postgres::open_export(directory_);
    }
    Result<RestoredPoint> databases(std::set<std::string> const& wanted, bool all) {
        auto others = [&](std::string const& path) { return path.starts_with("databases/") && !wanted.contains(path); };
        return bring(all ? std::function<bool(std::string const&)>() : others);
    }
    std::filesystem::path const& directory() const { return directory_; }

  private:
    Result<RestoredPoint> bring(std::function<bool(std::string const&)> exclude) {
        RestorePointOptions options{.path = "", .target = directory_, .restore = {}, .tablespaces = {}, .validate = false};
        options.restore.exclude = std::move(exclude);
        options.restore.durable = false;
        auto restored = TRY(restore_point(workspace_, point_, options, progress_, warn_, stop_));
        if (!restored.result.damaged.empty())
            return fail(ErrorKind::damaged, fmt::format("'{}' of the export is damaged", printable(restored.result.damaged.front())));
        return restored;
    }

    Workspace& workspace_;
    PointReference const& point_;
    ProgressCallback const& progress_;
    Warn const& warn_;
    std::stop_token stop_;
    postgres::PrivateDirectory scratch_;
    std::filesystem::path directory_;
};

Result<LoadedExport> load(Workspace& workspace, PointReference const& point, LoadExportOptions const& options,
                          ProgressCallback const& progress, Warn const& warn, std::stop_token stop) {
    auto const started = workspace.clock().elapsed();
    Files files(workspace, point, progress, warn, stop);
    TRY(files.open(options.scratch));
    auto const exported = TRY(files.head());
    auto chosen = options.load;
    chosen.jobs = jobs_of(chosen.jobs);
    auto plan = TRY(postgres::plan_load(exported, options.conninfo, chosen, stop));
    LoadedExport loaded{.restored = {}, .server = plan.server, .globals = std::move(plan.globals), .databases = {}};
    std::set<std::string> wanted;
    std::uint64_t bytes = 0;
    for (auto const& planned : plan.databases) {
        auto const& database = *planned.exported;
        std::uint64_t rows = 0;
        for (auto const& table : database.tables) rows += table.rows;
        loaded.databases.push_back({database.name, planned.before, database.bytes, database.tables.size(), rows});
        wanted.insert(database.file);
        bytes += database.bytes;
    }
    TRY(check_space(files.directory(), bytes));
    if (options.dry_run) return loaded;
    loaded.restored = TRY(files.databases(wanted, wanted.size() == exported.document.databases.size()));
    loaded.restored.findings = TRY(postgres::load_export(exported, options.conninfo, chosen, progress, stop));
    loaded.took = workspace.clock().elapsed() - started;
    return loaded;
}

Result<RestoredPoint> load_as_cluster(Workspace& workspace, PointReference const& point,
                                      std::filesystem::path const& target, ProgressCallback const& progress,
                                      Warn const& warn, std::stop_token stop) {
    auto const started = workspace.clock().elapsed();
    TRY(workspace.check_restore_target({.path = target}));
    Files files(workspace, point, progress, warn, stop);
    auto const parent = parent_directory(std::filesystem::absolute(target).lexically_normal().native());
    TRY(files.open(parent));
    TRY(check_space(parent, point.info.point.bytes));
    auto restored = TRY(files.databases({}, true));
    auto findings = TRY(postgres::check_export(files.directory(), stop));
    auto const damaged = std::ranges::find(findings, Finding::Verdict::damaged, &Finding::verdict);
    if (damaged != findings.end())
        return fail(ErrorKind::damaged, fmt::format("{}: {}", printable(damaged->object), damaged->detail));
    auto const exported = TRY(postgres::open_export(files.directory()));
    postgres::NewClusterOptions const options{.data = target,
                                              .tablespaces = target.native() + ".tablespaces",
                                              .mark = point.info.id.hex(),
                                              .jobs = jobs_of(0)};
    auto loaded = TRY(postgres::load_into_new_cluster(exported, options, progress, stop));
    restored.findings = std::move(findings);
    restored.findings.insert(restored.findings.end(), loaded.begin(), loaded.end());
    restored.verified = point.info.point.unreadable == 0;
    restored.took = workspace.clock().elapsed() - started;
    return restored;
}

}  // namespace

Result<LoadedExport> restore_export(Workspace& workspace, PointReference const& point, LoadExportOptions const& options,
                                    ProgressCallback const& progress, Warn const& warn, std::stop_token stop) {
    return load(workspace, point, options, progress, warn, stop)
        .within(fmt::format("restore '{}'", printable(point.info.point.dataset)));
}

Result<RestoredPoint> restore_export_as_cluster(Workspace& workspace, PointReference const& point,
                                                std::filesystem::path const& target, ProgressCallback const& progress,
                                                Warn const& warn, std::stop_token stop) {
    return load_as_cluster(workspace, point, target, progress, warn, stop)
        .within(fmt::format("restore '{}'", printable(point.info.point.dataset)));
}

}  // namespace holdfast
