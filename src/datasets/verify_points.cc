#include "datasets/verify_points.h"

#include <fmt/format.h>
#include <unistd.h>

#include "repo/verify.h"
#include "base/text.h"
#include "datasets/restore_point.h"
#include "datasets/walk_tree.h"

namespace holdfast {
namespace {

// A directory that goes away with everything in it.
class Scratch {
  public:
    static Result<Scratch> make(std::filesystem::path const& parent) {
        std::error_code error;
        std::filesystem::create_directories(parent, error);
        auto pattern = (parent / "verify-XXXXXX").native();
        if (mkdtemp(pattern.data()) == nullptr) {
            return fail(errno_error(fmt::format("make a directory in '{}'", printable(parent.native())), errno));
        }
        return Scratch(pattern);
    }
    Scratch(Scratch&& other) noexcept : path_(std::move(other.path_)) { other.path_.clear(); }
    ~Scratch() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    std::filesystem::path const& path() const { return path_; }

  private:
    explicit Scratch(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
};

// Restores the point for real and compares: what is different, as damage of the point.
Result<std::vector<DamageReport>> restore_and_compare(Workspace& workspace, PointReference const& point,
                                                      std::filesystem::path const& parent,
                                                      ProgressCallback const& progress, Warn const& warn,
                                                      std::stop_token stop) {
    auto scratch = TRY(Scratch::make(parent));
    auto target = scratch.path() / "restored";
    RestorePointOptions options{.path = "", .target = target, .restore = {}, .tablespaces = {}};
    options.restore.set_special_bits = true;
    // Tablespaces must not go to where the originals are.
    for (auto const& [name, value] : point.info.point.attributes) {
        constexpr std::string_view kPrefix = "tablespace.";
        if (name.starts_with(kPrefix)) {
            options.tablespaces[value] = scratch.path() / ("tablespace-" + name.substr(kPrefix.size()));
        }
    }
    auto restored = TRY(restore_point(workspace, point, options, progress, warn, stop));
    std::vector<DamageReport> reports;
    auto object = fmt::format("point {} of '{}'", point.info.id.brief(), printable(point.info.point.dataset));
    for (auto const& path : restored.result.damaged) {
        reports.push_back({object, fmt::format("'{}' did not restore", printable(path))});
    }
    for (auto const& problem : restored.result.problems) {
        reports.push_back({object, fmt::format("'{}': {}", printable(problem.path), problem.message)});
    }
    for (auto const& finding : restored.findings) {
        if (finding.verdict != Finding::Verdict::damaged) continue;
        reports.push_back({object, fmt::format("'{}': {}", printable(finding.object), finding.detail)});
    }
    auto differences =
        TRY(compare_with_point(workspace, point, target, {.tablespaces = options.tablespaces}, stop));
    for (auto const& difference : differences) reports.push_back({object, difference});
    return reports;
}

// The latest point of each dataset that can be read.
std::vector<PointReference> latest_points(Repository const& repository, std::string_view name, PointList list) {
    std::map<std::string, PointInfo> latest;
    for (auto& info : list.points) latest.insert_or_assign(info.point.dataset, std::move(info));
    std::vector<PointReference> points;
    for (auto& [dataset, info] : latest) {
        auto newer = find_newer_damaged(repository, list.damaged, info);
        points.push_back({std::string(name), std::move(info), std::move(newer)});
    }
    return points;
}

Result<VerifyReport> verify(Workspace& workspace, Repository& repository, std::string_view name,
                            VerifyPointsOptions const& options, RunRecord& run,
                            ProgressCallback const& progress, Warn const& warn, std::stop_token stop) {
    auto shown = [&](VerifyRepositoryProgress const& at) {
        progress({.what = "checking",
                  .current = at.current,
                  .files = at.objects,
                  .files_total = at.objects_total,
                  .bytes = at.bytes,
                  .bytes_total = at.bytes_total});
    };
    auto found = TRY(verify_repository(repository, {.data = options.data,
                                              .suspects = options.suspects,
                                              .older_than = options.older_than,
                                              .budget_bytes = options.budget_bytes,
                                              .budget_share = options.budget_share}, walk_tree, shown, stop));
    VerifyReport report{.repository = std::string(name),
                        .points = found.points,
                        .packs = found.packs,
                        .chunks = found.chunks,
                        .bytes_read = found.bytes_read,
                        .packs_proven = found.packs_proven,
                        .proven_since = found.proven_since,
                        .damage = {},
                        .files = {},
                        .file_count = found.affected_count,
                        .restored = {},
                        .sealed = {found.sealed_points.begin(), found.sealed_points.end()}};
    for (auto const& damaged : found.damaged) report.damage.push_back({damaged.key, damaged.error.message});
    for (auto const& key : found.unknown) report.damage.push_back({key, "it is not known what this object is"});
    for (auto const& path : found.affected) report.files.push_back({path.dataset, path.point, path.path});

    if (found.unremembered) warn("what was proven could not be noted: " + found.unremembered->message);

    auto list = TRY(repository.points(stop));
    if (options.data) {
        run.note([&](Catalog& catalog) -> Result<void> {
            for (auto const& info : list.points) {
                TRY(catalog.note_point(catalog_point(repository, info)));
                auto id = info.id.hex();
                if (found.sealed_points.contains(info.id)) continue;
                if (found.affected_points.contains(info.id)) {
                    TRY(catalog.set_point_state(repository.id().hex(), id, catalog::PointState::damaged));
                } else if (!found.unproven_points.contains(info.id)) {
                    TRY(catalog.reach(repository.id().hex(), id, catalog::Rung::hashed, run.id()));
                }
            }
            return {};
        });
    }
    auto latest = latest_points(repository, name, std::move(list));
    std::erase_if(latest, [&](PointReference const& point) { return found.sealed_points.contains(point.info.id); });
    for (auto const& point : latest) warn_of_stand_in(point, warn);
    if (options.restore) {
        auto parent = options.scratch.empty() ? workspace.state() / "scratch" : std::filesystem::path(options.scratch);
        for (auto const& point : latest) {
            auto differences = TRY(restore_and_compare(workspace, point, parent, progress, warn, stop));
            report.damage.insert(report.damage.end(), differences.begin(), differences.end());
            report.restored.push_back({.dataset = point.info.point.dataset,
                                       .point = point.info.id,
                                       .files = point.info.point.files,
                                       .bytes = point.info.point.bytes,
                                       .differences = differences.size()});
        }
    }
    return report;
}

}  // namespace

Result<VerifyReport> verify_points(Workspace& workspace, std::string_view name,
                                   VerifyPointsOptions const& options, ProgressCallback const& progress,
                                   Warn const& warn, std::stop_token stop) {
    auto* repository = TRY(workspace.repository(name, Role::reader, stop));
    RunRecord run(workspace, catalog::RunKind::verify, std::string(name), warn);
    auto report = verify(workspace, *repository, name, options, run, progress, warn, stop)
                      .within(fmt::format("verify '{}'", printable(name)));
    if (!report) return fail(run.failed(std::move(report.error())));
    run.finish({.outcome = report->whole() ? catalog::RunOutcome::done : catalog::RunOutcome::failed,
                .error = report->whole() ? "" : fmt::format("{} damaged objects", report->damage.size()),
                .files = report->points,
                .bytes = report->bytes_read});
    return report;
}

}  // namespace holdfast
