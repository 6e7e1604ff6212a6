#include "datasets/restore_point.h"

#include <fmt/format.h>
#include <unistd.h>

#include "archive/diff.h"
#include "archive/tree.h"
#include "base/text.h"
#include "datasets/source_factory.h"
#include "sources/exports/export_document.h"
#include "sources/postgres/restore.h"
#include "sources/postgres/tablespaces.h"

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

// A path as a pattern that matches nothing else.
std::string literal(std::string_view path) {
    std::string pattern;
    for (char c : path) {
        auto const special = c == '*' || c == '?' || c == '[';
        pattern += special ? fmt::format("[{}]", c) : std::string(1, c);
    }
    return pattern;
}

class Comparison {
  public:
    Comparison(Fetch& fetch, std::stop_token stop) : fetch_(fetch), stop_(stop) {}

    Result<void> tree(Content const& tree, std::filesystem::path const& live, CompareOptions const& options,
                      std::string const& prefix = "") {
        auto visit = [&](Difference const& difference) -> Result<void> {
            if (differences_.size() < kDifferencesMax) {
                differences_.push_back(fmt::format("{}: {}", printable(prefix + difference.path),
                                                   difference.detail.empty() ? "content" : difference.detail));
            }
            return {};
        };
        return diff_live(fetch_, tree, live, options, visit, stop_);
    }

    Result<void> cluster(RecoveryPoint const& point, std::filesystem::path const& target,
                         ComparePointOptions const& restored) {
        auto const now = TRY(postgres::plan_tablespaces(point, restored.tablespaces, target));
        auto const before = TRY(postgres::original_tablespaces(point));
        auto base = target.native();
        while (base.ends_with('/')) base.pop_back();
        base = literal(base) + "/";
        CompareOptions const as_restored{.owners = ::geteuid() == 0, .times = false, .special_bits = true};
        auto options = as_restored;
        options.exclude = {base + "standby.signal", base + "recovery.signal"};
        if (restored.with_log) {
            options.exclude.push_back(base + "pg_wal/*");
            options.exclude.push_back(base + "postgresql.auto.conf");
        }
        if (now != before) options.exclude.push_back(base + "tablespace_map");
        for (auto const& [oid, location] : now) options.exclude.push_back(fmt::format("{}pg_tblspc/{}", base, oid));
        TRY(tree(point.tree, target, options));
        for (auto const& [oid, location] : now) {
            auto const name = fmt::format("pg_tblspc/{}", oid);
            auto const entry = TRY(TreeReader(fetch_, point.tree).find(name, stop_));
            TRY(tree(entry.content, location, as_restored, name + "/"));
        }
        return {};
    }

    std::vector<std::string> take() { return std::move(differences_); }

  private:
    Fetch& fetch_;
    std::stop_token stop_;
    std::vector<std::string> differences_;
};

}  // namespace

Result<RestoredPoint> restore_point(Workspace& workspace, PointReference const& point,
                                    RestorePointOptions const& options, ProgressCallback const& progress,
                                    Warn const& warn, std::stop_token stop) {
    auto const& info = point.info;
    auto* repository = TRY(workspace.repository(point.repository, Role::reader, stop));
    TRY(workspace.check_restore_target({.path = options.target,
                                        .deletes_foreign = options.restore.delete_extra}));
    for (auto const& [from, to] : options.tablespaces) TRY(workspace.check_restore_target({.path = to}));
    auto source = TRY(make_restoring_source(info.point.kind));
    auto fetch = TRY(repository->begin_fetch({}, stop));

    std::optional<RunRecord> run;
    if (!options.restore.dry_run) {
        run.emplace(workspace, catalog::RunKind::restore, info.point.dataset, warn);
    }
    auto started = workspace.clock().elapsed();
    auto work = [&]() -> Result<RestoredPoint> {
        RestoredPoint restored;
        RestoreContext context{.fetch = *fetch,
                               .point = info.point,
                               .path = options.path,
                               .target = options.target,
                               .options = options.restore,
                               .tablespaces = options.tablespaces,
                               .progress = progress,
                               .stop = stop};
        if (options.log) {
            auto place = [&](std::filesystem::path const& data) -> Result<void> {
                restored.log = TRY(postgres::place_log(*repository, *options.log, data, progress, stop));
                return {};
            };
            restored.result = TRY(postgres::restore_data_directory(context, place));
        } else {
            restored.result = TRY(source->restore(context));
        }
        // A part of a cluster or of an export is none: there is nothing to hold it against.
        auto const whole = info.point.kind == "postgres" || info.point.kind == postgres::kExportKind;
        auto const part_of_whole = whole && !options.path.empty();
        if (options.validate && !options.restore.dry_run && !part_of_whole) {
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
                                                    ComparePointOptions const& options, std::stop_token stop) {
    auto* repository = TRY(workspace.repository(point.repository, Role::reader, stop));
    auto fetch = TRY(repository->begin_fetch({}, stop));
    Comparison comparison(*fetch, stop);
    if (point.info.point.kind == "postgres") {
        TRY(comparison.cluster(point.info.point, target, options));
    } else if (point.info.point.kind == postgres::kExportKind) {
        // Its files belong to whoever restores them.
        TRY(comparison.tree(point.info.point.tree, target, {.owners = false}));
    } else {
        TRY(comparison.tree(point.info.point.tree, target, {.special_bits = options.special_bits}));
    }
    return comparison.take();
}

}  // namespace holdfast
