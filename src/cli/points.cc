#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"

namespace holdfast::cli {
namespace {

// When each point was last read in full and found whole, from the catalog; empty without one.
std::map<std::string, Time> verified_times(Workspace& workspace, Repository const& repository) {
    std::map<std::string, Time> times;
    auto catalog = workspace.catalog();
    if (!catalog) return times;
    auto points = (*catalog)->points({.repository = repository.id().hex()});
    if (!points) return times;
    for (auto const& point : *points) {
        auto rungs = (*catalog)->rungs(point.repository, point.id);
        if (!rungs) continue;
        for (auto const& rung : *rungs) {
            if (rung.rung == catalog::Rung::hashed) times[point.id] = rung.reached;
        }
    }
    return times;
}

Result<int> run_points(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(name, {}, invocation.stop));
    auto dataset = invocation.argument("DATASET");
    auto list = dataset.empty() ? TRY(repository->points(invocation.stop))
                                : TRY(repository->points_of(dataset, invocation.stop));
    auto verified = verified_times(*workspace, *repository);

    auto& output = invocation.output;
    auto json = nlohmann::json{{"points", nlohmann::json::array()}, {"damaged", nlohmann::json::array()}};
    Table table({"id", "dataset", "kind", "time", "state", "files", "size", "new", "verified"});
    for (std::size_t column : {5, 6, 7}) table.align_right(column);
    for (auto const& info : list.points) {
        auto seen = verified.find(info.id.hex());
        auto when = seen == verified.end() ? std::optional<Time>() : seen->second;
        json["points"].push_back(to_json(info, when));
        table.row({info.id.brief(), printable(info.point.dataset), info.point.kind,
                   to_rfc3339(std::chrono::floor<std::chrono::seconds>(info.point.time)), state_of(info),
                   std::to_string(info.point.files), format_bytes(info.point.bytes),
                   format_bytes(info.point.stored), when ? to_rfc3339(std::chrono::floor<std::chrono::seconds>(*when)) : "-"});
    }
    for (auto const& damaged : list.damaged) {
        json["damaged"].push_back({{"object", damaged.key}, {"message", printable(damaged.error.message)}});
        output.warning(fmt::format("damaged point {}: {}", damaged.key, damaged.error.message));
    }
    if (list.points.empty() && list.damaged.empty() && !dataset.empty()) {
        TRY(workspace->dataset(dataset));  // one that nobody knows is a mistake of writing
    }
    if (list.points.empty()) {
        output.line(dataset.empty() ? "no recovery points yet"
                                    : fmt::format("no recovery points of '{}' yet", printable(dataset)));
    } else {
        output.line(table.text());
    }
    output.document(json.dump());
    return list.damaged.empty() ? kDone : kDamaged;
}

}  // namespace

Command points_command() {
    return {.name = "points",
            .summary = "list recovery points, oldest first",
            .details = "A point is named by its id (any unique prefix), NAME@latest, NAME@2026-11-22T10:31:07Z or "
                       "NAME~2 (the second before the latest).",
            .arguments = {{"DATASET", "only points of this dataset", true}},
            .options = {},
            .run = run_points};
}

}  // namespace holdfast::cli
