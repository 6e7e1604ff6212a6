#include "datasets/prune_logs.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "datasets/base_backup.h"
#include "repo/approval.h"
#include "repo/wal_key.h"
#include "sources/postgres/same_system.h"

namespace holdfast {
namespace {

// What the base backups of one system need of its log.
struct NeededLog {
    std::uint64_t first = UINT64_MAX;
    std::uint32_t timeline_max = 0;
};

struct NeededLogs {
    // A cluster may be under two datasets, each of which has its log.
    std::map<std::pair<DatasetTag, StreamId>, NeededLog> streams;
    std::set<DatasetTag> unknown;  // datasets with a base backup that does not say what it needs
};

Result<NeededLogs> needed_logs(Repository& repository, std::stop_token stop) {
    auto list = TRY(repository.points(stop));
    for (auto const& damaged : list.damaged) {
        if (damaged.refused || !damaged.key.starts_with(kPointsPrefix)) continue;
        return fail(ErrorKind::damaged, damaged.key + ": " + damaged.error.message,
                    "no log is removed while it cannot be told which base backups there are");
    }
    NeededLogs needed;
    for (auto const& info : list.points) {
        if (info.point.kind != "postgres") continue;
        auto base = base_backup_of(info.point);
        if (!base) {
            needed.unknown.insert(dataset_tag(repository.keys(), info.point.dataset));
            continue;
        }
        auto stream = postgres::cluster_log(repository.keys(), info.point.dataset, base->system);
        auto& log = needed.streams[{stream.dataset, stream.id}];
        // Recovery reads whole segments.
        log.first = std::min(log.first, base->start.value / base->segment_bytes * base->segment_bytes);
        log.timeline_max = std::max(log.timeline_max, base->timeline);
    }
    return needed;
}

struct Unneeded {
    WalKey wal;
    ObjectKey key;
    std::uint64_t bytes;
};

bool comes_before(Unneeded const& a, Unneeded const& b) {
    auto order = [](Unneeded const& one) { return std::tuple(one.wal.stream.dataset, one.wal.stream.id, one.wal.range->first, one.wal.range->timeline); };
    return order(a) < order(b);
}

}  // namespace

Result<PrunedLogs> prune_logs(Repository& repository, PruneLogsOptions const& options, std::stop_token stop) {
    auto& store = repository.store();
    auto const needed = TRY(needed_logs(repository, stop));
    std::vector<Unneeded> unneeded;
    auto store_time = repository.world().clock.now();
    std::vector<std::pair<Unneeded, Time>> found;
    auto visit = [&](ObjectInfo const& info) -> Result<void> {
        store_time = std::max(store_time, info.modified);
        auto wal = parse_wal_key(info.key.text());
        if (!wal || !wal->range || needed.unknown.contains(wal->stream.dataset)) return {};
        auto log = needed.streams.find({wal->stream.dataset, wal->stream.id});
        if (log == needed.streams.end()) return {};
        if (wal->range->end > log->second.first || wal->range->timeline > log->second.timeline_max) return {};
        found.push_back({{*wal, info.key, info.size}, info.modified});
        return {};
    };
    TRY(store.list(kWalPrefix, visit, stop));
    for (auto& [one, modified] : found)
        if (store_time - modified >= options.grace) unneeded.push_back(std::move(one));
    std::ranges::sort(unneeded, comes_before);

    PrunedLogs pruned;
    auto const permission = TRY(Permission::load(repository, Deletion::packs, stop));
    pruned.withheld = permission.is_needed() && !unneeded.empty();
    if (pruned.withheld) return pruned;
    for (auto const& one : unneeded) {
        if (stop.stop_requested()) return fail(ErrorKind::cancelled, "stopped");
        auto removed = options.dry_run ? Result<void>() : store.remove(one.key, stop);
        if (!removed && removed.error().kind != ErrorKind::not_found)
            return fail(std::move(removed).error().within("remove " + one.key.text()));
        ++pruned.objects;
        pruned.bytes += one.bytes;
    }
    return pruned;
}

}  // namespace holdfast
