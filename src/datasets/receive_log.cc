#include "datasets/receive_log.h"

#include <algorithm>
#include <charconv>

#include "datasets/log_position.h"
#include "repo/wal_log.h"
#include "sources/postgres/same_system.h"

namespace holdfast {
namespace {

// An attribute of a point that is a number; nullopt when it is not there.
template <typename Number>
std::optional<Number> number_at(RecoveryPoint const& point, std::string const& name) {
    auto found = point.attributes.find(name);
    if (found == point.attributes.end()) return std::nullopt;
    Number number = 0;
    auto end = found->second.data() + found->second.size();
    auto parsed = std::from_chars(found->second.data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end ? std::optional(number) : std::nullopt;
}

}  // namespace

Result<std::string> log_repository(Workspace const& workspace, plan::Dataset const& dataset) {
    auto targets = TRY(workspace.targets(dataset));
    return targets.front();
}

Result<void> receive_log(Workspace& workspace, plan::Dataset const& dataset, postgres::WalReceiveOptions options,
                         std::stop_token stop) {
    auto name = TRY(log_repository(workspace, dataset));
    auto* repository = TRY(workspace.repository(name, Role::writer, stop));
    options.conninfo = dataset.connect;
    options.dataset = dataset.name;
    options.pair = dataset.key;
    if (options.spool_bytes_max > 0)
        options.spool = workspace.state() / repository->id().hex() / "wal-spool" /
                        dataset_tag(repository->keys(), dataset.name).hex();
    KeptLogPosition kept(workspace, *repository, dataset.name);
    auto tell = std::move(options.tell);
    options.tell = [&](postgres::WalEvent const& event) {
        if (event.complete) kept.hear(*event.complete);
        if (tell) tell(event);
    };
    return postgres::receive_wal(*repository, options, stop);
}

Result<bool> log_is_cut_off(Repository& repository, std::string_view dataset, std::stop_token stop) {
    auto list = TRY(repository.points_of(dataset, stop));
    if (list.points.empty()) return false;
    auto const& base = list.points.back().point;
    auto system = number_at<std::uint64_t>(base, "system_identifier");
    auto timeline = number_at<std::uint32_t>(base, "timeline");
    auto found = base.attributes.find("lsn");
    auto end = found == base.attributes.end() ? fail(ErrorKind::not_found, "") : parse_lsn(found->second);
    if (!system || !timeline || !end) return false;
    auto log = TRY(list_wal(repository, postgres::cluster_log(repository.keys(), dataset, *system), stop));
    for (auto const& [number, part] : log.timelines) {
        if (number < *timeline) continue;
        auto spans = part.covered();
        auto joined = number == *timeline ? part.contiguous_from(end->value) : 0;
        // What lies before the base backup is not its concern.
        if (number == *timeline) std::erase_if(spans, [&](WalSpan const& span) { return span.end <= joined; });
        if (number == *timeline ? !spans.empty() : spans.size() > 1) return true;
    }
    return false;
}

}  // namespace holdfast
