#include "datasets/back_up.h"

#include <fmt/format.h>

#include "base/text.h"
#include "datasets/locks.h"
#include "datasets/source_factory.h"
#include "os/machine.h"

namespace holdfast {
namespace {

// How often a backup is begun when garbage collection gets in its way.
constexpr int kAttemptsMax = 3;

// A path as a pattern that matches it and nothing else.
std::string literal_pattern(std::string const& path) {
    std::string pattern;
    for (char c : path) {
        if (c == '*' || c == '?' || c == '[' || c == '\\') pattern += '\\';
        pattern += c;
    }
    return pattern;
}

// What `latest` means, and what is enough to keep, is asked by the name alone: so a name has points that come back in one way. A
// tree of files may become one of models.
Result<void> check_kind(Repository& repository, plan::Dataset const& dataset, std::stop_token stop) {
    auto comes_back = [](std::string_view kind) { return kind == "models" ? "files" : kind; };
    auto const kind = point_kind(dataset);
    auto const list = TRY(repository.points_of(dataset.name, stop));
    if (list.points.empty() || comes_back(list.points.back().point.kind) == comes_back(kind)) return {};
    auto const& last = list.points.back();
    return fail(ErrorKind::unsafe,
                fmt::format("'{}' has points of kind {} (the last is {}), this would be one of kind {}", printable(dataset.name),
                            printable(last.point.kind), last.id.brief(), kind),
                "give it a name of its own: `backup --name NAME`, or another name in the plan");
}

// Whether another attempt may do better, when publishing failed.
struct Attempt {
    bool again = false;
};

Result<BackedUp> capture_and_publish(Workspace& workspace, plan::Dataset const& dataset,
                                     Repository& repository, IngestLimits const& limits,
                                     ProgressCallback const& progress, std::stop_token stop, Attempt& attempt) {
    auto source = TRY(make_source(dataset));
    auto ingest = TRY(repository.begin_ingest(limits, stop));
    CaptureContext context{.repository = repository,
                           .ingest = *ingest,
                           .dataset = dataset.name,
                           .forbidden = workspace.repository_paths(),
                           .progress = progress,
                           .stop = stop};
    auto capture = TRY(source->capture(context));
    TRY(ingest->flush());

    auto point = std::move(capture.point);
    point.dataset = dataset.name;
    point.kind = point_kind(dataset);
    point.stored = ingest->statistics().bytes_stored;
    point.unreadable = capture.problem_count;
    point.host = host_name();
    point.version = HOLDFAST_VERSION;

    BackedUp done;
    done.suspicion = TRY(find_suspicion(repository, point, stop).within("compare with the points before"));
    if (done.suspicion) {
        point.attributes[kSuspectAttribute] = done.suspicion->reason;
        if (done.suspicion->fresh) TRY(hold_clean_points(repository, dataset.name, *done.suspicion, stop));
    }
    auto published = repository.publish(*ingest, std::move(point), stop);
    attempt.again = !published && published.error().kind == ErrorKind::unsafe;
    done.point = TRY(std::move(published));
    done.statistics = ingest->statistics();
    done.relied_on = ingest->relied_on();
    done.problems = std::move(capture.problems);
    done.problem_count = capture.problem_count;
    done.findings = std::move(capture.findings);
    // The point stands; a cache that can't be kept costs the next run time and nothing else.
    if (auto kept = source->committed(repository); !kept) {
        done.cache_warning = kept.error().message;
    }
    return done;
}

}  // namespace

Result<BackedUp> back_up(Workspace& workspace, plan::Dataset const& dataset, std::string_view name,
                         ProgressCallback const& progress, Warn const& warn, std::stop_token stop) {
    auto* repository = TRY(workspace.repository(name, Role::writer, stop));
    auto captured = dataset;
    for (auto const& own : {workspace.state(), workspace.cache()}) {
        captured.exclude.push_back(literal_pattern(std::filesystem::absolute(own).lexically_normal()));
    }
    RunRecord run(workspace, catalog::RunKind::backup, dataset.name, warn);
    auto started = workspace.clock().elapsed();
    IngestLimits limits{.parity_percent = workspace.parity_percent(name), .pair = dataset.key};
    auto context = fmt::format("backup of '{}'", printable(dataset.name));
    Attempt attempt;
    auto capture = [&] {
        return capture_and_publish(workspace, captured, *repository, limits, progress, stop, attempt).within(context);
    };
    auto fits = check_kind(*repository, dataset, stop).within(context);
    auto done = fits ? capture() : Result<BackedUp>(fail(std::move(fits.error())));
    // Garbage collection may take what a backup relied on that began before it. Of the next attempt it
    // takes nothing: that one relies on nothing that is doomed.
    for (int i = 1; attempt.again && i < kAttemptsMax; ++i) {
        warn(done.error().message + ": doing it again");
        attempt = {};
        done = capture();
    }
    if (!done) return fail(run.failed(std::move(done.error())));

    done->repository = name;
    done->locked_until = keep_locked(workspace, name, *repository, dataset.name, done->relied_on, warn, stop);
    done->took = workspace.clock().elapsed() - started;
    auto const& point = done->point.point;
    if (!done->cache_warning.empty()) {
        warn("the next backup will read everything again: " + done->cache_warning);
    }
    run.note([&](Catalog& catalog) -> Result<void> {
        TRY(catalog.note_point(catalog_point(*repository, done->point)));
        TRY(catalog.reach(repository->id().hex(), done->point.id.hex(), catalog::Rung::stored, run.id()));
        return catalog.note_measure("backup", dataset.name, done->took, point.bytes);
    });
    run.finish({.outcome = done->problem_count > 0 ? catalog::RunOutcome::partial
                                                   : catalog::RunOutcome::done,
                .files = point.files,
                .bytes = point.bytes,
                .stored = point.stored});
    return done;
}

}  // namespace holdfast
