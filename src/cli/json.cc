#include "cli/json.h"

#include <fmt/format.h>

#include "base/text.h"
#include "datasets/suspicion.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

json time_or_null(std::optional<Time> time) { return time ? json(to_rfc3339(*time)) : json(); }

json seconds_or_null(std::optional<Duration> duration) {
    return duration ? json(std::chrono::duration<double>(*duration).count()) : json();
}

json rung_json(Standing::Rung const& rung) {
    if (!rung.point) return nullptr;
    return {{"point", rung.point->hex()},
            {"time", time_or_null(rung.time)},
            {"reached", time_or_null(rung.reached)}};
}

template <typename T>
json list(std::vector<T> const& items) {
    auto array = json::array();
    for (auto const& item : items) array.push_back(to_json(item));
    return array;
}

}  // namespace

std::string state_of(PointInfo const& info) {
    if (!info.confirmed) return "unconfirmed";
    if (info.point.attributes.contains(kSuspectAttribute)) return "suspect";
    return info.point.unreadable > 0 ? "partial" : "ok";
}

json to_json(PointInfo const& info, std::optional<Time> verified_at) {
    auto attribute = [&](char const* key) {
        auto found = info.point.attributes.find(key);
        return found == info.point.attributes.end() ? json() : json(printable(found->second));
    };
    return {{"id", info.id.hex()},
            {"dataset", printable(info.point.dataset)},
            {"kind", info.point.kind},
            {"time", to_rfc3339(info.point.time)},
            {"received", time_or_null(info.received)},
            {"state", state_of(info)},
            {"files", info.point.files},
            {"bytes", info.point.bytes},
            {"stored", info.point.stored},
            {"unreadable", info.point.unreadable},
            {"root", printable(info.point.root)},
            {"suspect", attribute(kSuspectAttribute)},
            {"lsn", attribute("lsn")},
            {"timeline", attribute("timeline")},
            {"read", attribute("read")},
            {"host", info.point.host},
            {"verified_at", time_or_null(verified_at)}};
}

json to_json(Entry const& entry, std::string const& path) {
    json out = {{"path", printable(path)},
                {"type", name(entry.type)},
                {"mode", fmt::format("{:04o}", entry.mode)},
                {"uid", entry.uid},
                {"gid", entry.gid},
                {"user", entry.user},
                {"group", entry.group},
                {"size", entry.type == EntryType::file ? json(entry.content.size) : json()},
                {"mtime_seconds", entry.mtime_seconds},
                {"mtime_nanoseconds", entry.mtime_nanoseconds}};
    if (entry.type == EntryType::symlink) out["target"] = printable(entry.target);
    return out;
}

json to_json(Problem const& problem) {
    return {{"path", printable(problem.path)}, {"message", printable(problem.message)}};
}

json to_json(Finding const& finding) {
    return {{"object", printable(finding.object)},
            {"verdict", holdfast::name(finding.verdict)},
            {"detail", printable(finding.detail)}};
}

json to_json(Standing const& standing) {
    return {{"dataset", printable(standing.dataset)},
            {"tier", standing.tier},
            {"kind", standing.kind},
            {"points", standing.points},
            {"rpo_objective_seconds", seconds_or_null(standing.objective)},
            {"rpo_achieved_seconds", seconds_or_null(standing.achieved)},
            {"log_until", standing.log ? json(to_rfc3339(*standing.log)) : json()},
            {"state", holdfast::name(standing.state)},
            {"reason", standing.reason},
            {"ladder",
             {{"stored", rung_json(standing.stored)},
              {"hashed", rung_json(standing.hashed)},
              {"restored", rung_json(standing.restored)},
              {"validated", rung_json(standing.validated)}}}};
}

json to_json(RestoreResult const& result) {
    auto damaged = json::array();
    for (auto const& path : result.damaged) damaged.push_back(printable(path));
    return {{"files", result.files},
            {"directories", result.directories},
            {"bytes", result.bytes},
            {"bytes_written", result.bytes_written},
            {"files_unchanged", result.files_unchanged},
            {"deleted", result.deleted},
            {"problems", list(result.problems)},
            {"problem_count", result.problem_count},
            {"damaged", damaged}};
}

}  // namespace holdfast::cli
