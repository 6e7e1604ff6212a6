#include "repo/prune.h"

#include <algorithm>

#include "repo/collect.h"

namespace holdfast {
namespace {

// Into so many parts is divided what is copied at once, if that is no less than a part should have.
constexpr std::uint64_t kParts = 8;

// Adds what one more run did, and takes from it how things are now.
void add(Pruned& all, Pruned&& run) {
    all.deleted += run.deleted;
    all.deleted_bytes += run.deleted_bytes;
    all.repacked += run.repacked;
    all.repacked_bytes += run.repacked_bytes;
    all.copied_bytes += run.copied_bytes;
    all.swept += run.swept;
    for (auto& one : run.damaged) {
        if (std::ranges::none_of(all.damaged, [&](auto const& known) { return known.key == one.key; }))
            all.damaged.push_back(std::move(one));
    }
    all.doomed = run.doomed;
    all.doomed_bytes = run.doomed_bytes;
    all.waiting = run.waiting;
    all.waiting_bytes = run.waiting_bytes;
    all.due = run.due;
    all.unused_bytes = run.unused_bytes;
    all.postponed_bytes = run.postponed_bytes;
    all.withheld = run.withheld;
    all.requests = std::move(run.requests);
    all.segments = run.segments;
}

// Run after run: what one dooms the next deletes, if nothing needs it then. The first copies nothing, and the others only
// a part each: so what is freed makes the room for what is copied.
Result<Pruned> prune_at_once(Repository& repository, PruneOptions const& options, WalkTree const& walk,
                             PruneCallback const& progress, std::stop_token const& stop) {
    auto const lag = repository.store().listing_lag();
    auto rest = options.limits.repack_bytes_max;
    auto limited = options;
    limited.limits.repack_bytes_max = 0;
    KnownLive known;
    auto all = TRY(collect_once(repository, limited, walk, progress, known, stop));
    auto const part = std::max(options.part_bytes_min, all.postponed_bytes / kParts);
    while (all.doomed > 0 || (all.postponed_bytes > 0 && rest > 0)) {
        // What was doomed may go as soon as every listing shows that; whether it still may, only another look tells.
        TRY(pause_for(repository, lag == Duration(0) ? lag : 2 * lag + std::chrono::milliseconds(1), stop));
        limited.limits.repack_bytes_max = std::min(part, rest);
        auto run = TRY(collect_once(repository, limited, walk, progress, known, stop));
        auto const idle = run.deleted == 0 && run.doomed == 0 && run.copied_bytes == 0;
        rest -= std::min(rest, run.repacked_bytes);
        add(all, std::move(run));
        if (idle) break;
    }
    return all;
}

}  // namespace

Result<Pruned> prune_repository(Repository& repository, PruneOptions const& options, WalkTree const& walk,
                                PruneCallback const& progress, std::stop_token stop) {
    auto const& keys = repository.keys();
    if (!keys.has(Role::admin) || !keys.data_private)
        return fail(ErrorKind::key_refused,
                    "a " + to_text(keys.roles) + "'s key cannot collect garbage: it takes an admin who reads",
                    "use the password, or a key with both roles");
    if (!options.now || options.dry_run) {
        KnownLive known;
        return collect_once(repository, options, walk, progress, known, stop);
    }
    return prune_at_once(repository, options, walk, progress, stop);
}

}  // namespace holdfast
