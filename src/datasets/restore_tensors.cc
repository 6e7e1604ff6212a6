#include "datasets/restore_tensors.h"

#include <fmt/format.h>
#include <numeric>

#include "archive/target.h"
#include "archive/tree.h"
#include "base/text.h"
#include "formats/tensor_rows.h"
#include "sources/models/model_access.h"
#include "sources/models/shard_set.h"

namespace holdfast {
namespace {

// "vit-base.safetensors" of "vit/vit-base.pth", and of "vit/vit-base.safetensors.index.json".
std::string safetensors_name(std::string const& path) {
    auto name = path.substr(path.rfind('/') + 1);
    if (is_shard_index(name)) name.resize(name.size() - std::string_view(".index.json").size());
    auto dot = name.rfind('.');
    if (dot != std::string::npos && dot > 0) name.resize(dot);
    return name + ".safetensors";
}

class TensorRestore {
  public:
    TensorRestore(RecoveryPoint const& point, Fetch& fetch, RestoreTensorsOptions const& options, ProgressCallback const& progress,
                  std::stop_token stop)
        : tree_(fetch, point.tree), fetch_(fetch), options_(options), progress_(progress), stop_(std::move(stop)) {}

    Result<RestoredTensors> run() {
        auto entry = TRY(file_at(options_.path));
        auto open = [this](std::string const& path) { return access_to(path); };
        auto set = TRY(TensorSet::open(options_.path, options_.tensors, open, {.skip_damaged = options_.skip_damaged}));
        ExportOptions to{.form = options_.form,
                         .directory = options_.target.native(),
                         .name = safetensors_name(options_.path),
                         .mode = entry.mode & 0777u,
                         .dry_run = options_.dry_run};
        std::unique_ptr<Target> target;
        if (!options_.dry_run) {
            target = TRY(Target::open(options_.target, {.create = true}));
            to.directory = std::filesystem::absolute(options_.target).lexically_normal();
        }
        Progress at;
        at.what = "restoring";
        at.current = options_.path;
        for (auto const& [file, tensor] : set.tensors()) at.bytes_total += row_bytes(tensor).value_or(0);
        auto written = [&](std::uint64_t bytes) {
            at.bytes += bytes;
            if (progress_) progress_(at);
        };
        RestoredTensors restored;
        restored.files = TRY(export_tensors(set, to, system_files(), system_random(), written, stop_));
        if (target && target->created()) TRY(target->sync());
        for (auto const& [file, tensor] : set.tensors()) restored.tensors.push_back(tensor);
        restored.findings = set.findings();
        return restored;
    }

  private:
    Result<Entry> file_at(std::string const& path) {
        auto entry = TRY(tree_.find(path, stop_));
        if (entry.type == EntryType::file) return entry;
        return fail(ErrorKind::usage, fmt::format("'{}' is a {}, not a file", printable(path), name(entry.type)),
                    "tensors are in files: POINT:PATH names one");
    }
    Result<std::unique_ptr<RandomAccess>> access_to(std::string const& path) {
        auto entry = TRY(file_at(path));
        auto access = TRY(PointAccess::open(fetch_, entry.content, stop_));
        return std::unique_ptr<RandomAccess>(std::make_unique<PointAccess>(std::move(access)));
    }

    TreeReader tree_;
    Fetch& fetch_;
    RestoreTensorsOptions const& options_;
    ProgressCallback const& progress_;
    std::stop_token stop_;
};

}  // namespace

Result<RestoredTensors> restore_tensors(Workspace& workspace, PointReference const& point, RestoreTensorsOptions const& options,
                                        ProgressCallback const& progress, Warn const& warn, std::stop_token stop) {
    auto const& info = point.info;
    auto* repository = TRY(workspace.repository(point.repository, Role::reader, stop));
    TRY(workspace.check_restore_target({.path = options.target}));
    auto fetch = TRY(repository->begin_fetch({}, stop));
    std::optional<RunRecord> run;
    if (!options.dry_run) run.emplace(workspace, catalog::RunKind::restore, info.point.dataset, warn);
    auto const started = workspace.clock().elapsed();
    auto restored = TensorRestore(info.point, *fetch, options, progress, stop).run().within(
        fmt::format("restore tensors of '{}'", printable(info.point.dataset)));
    if (!restored) return run ? fail(run->failed(std::move(restored.error()))) : std::move(restored);
    restored->took = workspace.clock().elapsed() - started;
    // A part of a point proves nothing of it: no rung is reached.
    if (run) {
        auto add = [](std::uint64_t sum, ExportedFile const& file) { return sum + file.bytes; };
        auto const& files = restored->files;
        run->finish({.outcome = catalog::RunOutcome::done,
                     .files = files.size(),
                     .bytes = std::accumulate(files.begin(), files.end(), std::uint64_t{0}, add)});
    }
    return restored;
}

}  // namespace holdfast
