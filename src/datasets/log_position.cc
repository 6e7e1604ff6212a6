#include "datasets/log_position.h"

#include <algorithm>

#include "datasets/base_backup.h"
#include "os/file.h"
#include "repo/wal_log.h"
#include "sources/postgres/same_system.h"

namespace holdfast {
namespace {

constexpr Duration kKeptEvery = std::chrono::seconds(10);
constexpr std::size_t kPositionBytesMax = 256;

std::filesystem::path position_path(Workspace const& workspace, Repository const& repository, std::string_view dataset) {
    return workspace.state() / repository.id().hex() / "wal-complete" / dataset_tag(repository.keys(), dataset).hex();
}

// The last object of the log that goes on from the base backup.
std::optional<WalRangeName> last_after(WalLog const& log, BaseBackup const& base) {
    std::optional<WalRangeName> last;
    std::uint64_t reached = base.end.value;
    for (auto const& [number, part] : log.timelines) {
        if (number < base.timeline || part.ranges.empty()) continue;
        auto spans = part.covered();
        // It begins at the border of the segment in which it left the other: perhaps before the base backup's end.
        if (number > base.timeline && spans.front().first < base.end.value) return std::nullopt;
        // What lies before the base backup is not its concern.
        std::erase_if(spans, [&](WalSpan const& span) { return span.end <= base.end.value; });
        if (spans.empty()) continue;
        if (spans.size() > 1 || spans.front().first > reached) return std::nullopt;
        reached = spans.front().end;
        for (auto const& range : part.ranges)
            if (range.end == reached) last = range;
    }
    return last;
}

}  // namespace

KeptLogPosition::KeptLogPosition(Workspace const& workspace, Repository const& repository, std::string_view dataset)
    : path_(position_path(workspace, repository, dataset).native()), clock_(workspace.clock()) {}

void KeptLogPosition::hear(Time complete) {
    auto const now = clock_.elapsed();
    if (kept_ && now - *kept_ < kKeptEvery) return;
    std::error_code ignored;
    std::filesystem::create_directories(parent_directory(path_), ignored);
    if (write_file_durably(path_, as_bytes(to_rfc3339(complete)), 0600)) kept_ = now;
}

Result<std::optional<Time>> log_complete_until(Workspace const& workspace, Repository& repository, RecoveryPoint const& point,
                                               std::stop_token stop) {
    std::optional<Time> complete;
    auto const base = base_backup_of(point);
    if (!base) return complete;
    auto const log = TRY(list_wal(repository, postgres::cluster_log(repository.keys(), point.dataset, base->system), stop));
    auto const last = last_after(log, *base);
    if (!last) return complete;
    if (auto known = wal_known_time(repository, wal_key(log.stream, *last), stop)) complete = *known;
    auto kept = read_file(position_path(workspace, repository, point.dataset).native(), kPositionBytesMax);
    auto time = kept ? parse_rfc3339(as_text(*kept)) : Result<Time>(fail(ErrorKind::not_found, ""));
    if (time && (!complete || *time > *complete)) complete = *time;
    return complete;
}

}  // namespace holdfast
