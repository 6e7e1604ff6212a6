#include "datasets/restore_point.h"

#include <fmt/format.h>

#include "archive/diff.h"
#include "base/text.h"
#include "datasets/source_factory.h"

namespace holdfast {
namespace {

constexpr std::size_t kDifferencesMax = 1000;

bool nothing_wrong(RestoredPoint const& restored) {
    if (restored.result.problem_count > 0 || !restored.result.damaged.empty()) return false;
    for (auto const& finding : restored.findings) {
        if (finding.verdict == Finding::Verdict::damaged) return false;
    }
    return true;
}

}  // namespace

Result<RestoredPoint> restore_point(Workspace& workspace, PointReference const& point,
                                    RestorePointOptions const& options, ProgressCallback const& progress,
                                    Warn const& warn, std::stop_token stop) {
    auto const& info = point.info;
    auto* repository = TRY(workspace.repository(point.repository, Role::reader, stop));
    auto source = TRY(make_restoring_source(info.point.kind));
    auto fetch = TRY(repository->begin_fetch({}, stop));

    std::optional<RunRecord> run;
    if (!options.restore.dry_run) {
        run.emplace(workspace, catalog::RunKind::restore, info.point.dataset, warn);
    }
    auto started = workspace.clock().elapsed();
    auto work = [&]() -> Result<RestoredPoint> {
        RestoredPoint restored;
        restored.result = TRY(source->restore({.fetch = *fetch,
                                               .point = info.point,
                                               .path = options.path,
                                               .target = options.target,
                                               .options = options.restore,
                                               .tablespaces = options.tablespaces,
                                               .progress = progress,
                                               .stop = stop}));
        if (options.validate && !options.restore.dry_run) {
            restored.findings = TRY(source->validate(options.target, stop));
        }
        return restored;
    };
    auto restored = work().within(fmt::format("restore '{}'", printable(info.point.dataset)));
    if (!restored) return run ? fail(run->failed(std::move(restored.error()))) : std::move(restored);

    restored->took = workspace.clock().elapsed() - started;
    restored->verified = nothing_wrong(*restored) && info.point.unreadable == 0;
    if (!run) return restored;
    run->note([&](Catalog& catalog) -> Result<void> {
        TRY(catalog.note_point(catalog_point(*repository, info)));
        TRY(catalog.note_measure("restore", info.point.dataset, restored->took, restored->result.bytes));
        // Only the whole of it proves the point.
        if (!nothing_wrong(*restored) || !options.path.empty() || options.restore.exclude) return {};
        return catalog.reach(repository->id().hex(), info.id.hex(), catalog::Rung::restored, run->id());
    });
    run->finish({.outcome = nothing_wrong(*restored) ? catalog::RunOutcome::done
                                                     : catalog::RunOutcome::partial,
                 .files = restored->result.files,
                 .bytes = restored->result.bytes_written});
    return restored;
}

Result<std::vector<std::string>> compare_with_point(Workspace& workspace, PointReference const& point,
                                                    std::filesystem::path const& target,
                                                    std::stop_token stop) {
    auto* repository = TRY(workspace.repository(point.repository, Role::reader, stop));
    auto fetch = TRY(repository->begin_fetch({}, stop));
    std::vector<std::string> differences;
    auto visit = [&](Difference const& difference) -> Result<void> {
        if (differences.size() < kDifferencesMax) {
            differences.push_back(fmt::format("{}: {}", printable(difference.path),
                                              difference.detail.empty() ? "content" : difference.detail));
        }
        return {};
    };
    TRY(diff_live(*fetch, point.info.point.tree, target, {}, visit, stop));
    return differences;
}

}  // namespace holdfast
