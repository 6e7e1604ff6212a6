#include "repo/hold.h"

#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/approvals.h"
#include "datasets/point_reference.h"

namespace holdfast::cli {
namespace {

std::string scope_of(Hold const& hold) {
    if (!hold.points.empty()) {
        std::string text;
        for (auto const& point : hold.points) text += (text.empty() ? "" : " ") + point.brief();
        return text;
    }
    return hold.dataset.empty() ? "every point" : "every point of " + printable(hold.dataset);
}

nlohmann::json hold_json(Hold const& hold) {
    auto points = nlohmann::json::array();
    for (auto const& point : hold.points) points.push_back(point.hex());
    return {{"id", hold.hex()},
            {"kind", name(hold.kind)},
            {"reason", printable(hold.reason)},
            {"points", points},
            {"dataset", hold.dataset.empty() ? nlohmann::json() : nlohmann::json(printable(hold.dataset))},
            {"time", to_rfc3339(hold.time)},
            {"holder", hold.holder.hex()}};
}

Result<int> run_add(Invocation& invocation) {
    Hold hold;
    auto kind = invocation.value("kind").value_or("legal");
    if (kind != "legal" && kind != "suspicion") {
        return fail(ErrorKind::usage, fmt::format("--kind: '{}' is neither legal nor suspicion", printable(kind)));
    }
    hold.kind = kind == "legal" ? Hold::Kind::legal : Hold::Kind::suspicion;
    hold.reason = invocation.value("reason").value_or("");
    if (hold.reason.empty()) {
        return fail(ErrorKind::usage, "a hold needs a reason", "--reason 'case 2026-17, until counsel lifts it'");
    }
    hold.dataset = invocation.value("dataset").value_or("");
    auto texts = invocation.arguments("POINT");
    auto scopes = (texts.empty() ? 0 : 1) + (hold.dataset.empty() ? 0 : 1) + (invocation.has("all") ? 1 : 0);
    if (scopes != 1) {
        return fail(ErrorKind::usage, "say what is held, in one way",
                    "name points, or --dataset NAME, or --all");
    }
    auto workspace = TRY(open_workspace(invocation));
    for (auto const& text : texts) {
        auto point = TRY(find_point(*workspace, text, {}, invocation.stop));
        hold.points.push_back(point.info.id);
    }
    auto repository_name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(repository_name, Role::writer, invocation.stop));
    auto placed = TRY(place_hold(*repository, std::move(hold), invocation.stop));
    invocation.output.line(fmt::format("hold {} keeps {}", placed.hex().substr(0, 8), scope_of(placed)));
    auto json = hold_json(placed);
    json["event"] = "held";
    invocation.output.document(json.dump());
    return kDone;
}

Result<int> run_list(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto repository_name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(repository_name, Role::writer, invocation.stop));
    auto holds = TRY(list_holds(*repository, invocation.stop));
    auto json = nlohmann::json{{"holds", nlohmann::json::array()}};
    Table table({"id", "kind", "since", "keeps", "reason"});
    for (auto const& hold : holds) {
        json["holds"].push_back(hold_json(hold));
        table.row({hold.hex().substr(0, 8), std::string(name(hold.kind)),
                   to_rfc3339(std::chrono::floor<std::chrono::seconds>(hold.time)), scope_of(hold),
                   printable(hold.reason)});
    }
    invocation.output.line(holds.empty() ? "no holds" : table.text());
    invocation.output.document(json.dump());
    return kDone;
}

Result<int> run_remove(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto repository_name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(repository_name, Role::admin, invocation.stop));
    TRY(check_planned_approvals(*workspace, repository_name, *repository, invocation.stop));
    auto removed = TRY(remove_hold(*repository, invocation.argument("HOLD"), invocation.stop));
    invocation.output.line(fmt::format("hold {} ({}) is lifted", removed.hex().substr(0, 8), printable(removed.text())));
    auto json = hold_json(removed);
    json["event"] = "lifted";
    invocation.output.document(json.dump());
    return kDone;
}

}  // namespace

Command hold_add_command() {
    return {.name = "hold add",
            .summary = "keep recovery points whatever the retention says",
            .details = "For a court, or because something is suspicious. What is held can't be forgotten until an "
                       "admin lifts the hold with hold remove.",
            .arguments = {{"POINT", "the points", true, true}},
            .options = {{.flag = "--dataset", .value = "NAME", .help = "every point of it, also those to come"},
                        {.flag = "--all", .help = "every point of the repository"},
                        {.flag = "--kind", .value = "KIND", .help = "legal (default) or suspicion"},
                        {.flag = "--reason", .value = "TEXT", .help = "why: for those who find it later"}},
            .run = run_add};
}

Command hold_list_command() {
    return {.name = "hold list",
            .summary = "list what is held, and why",
            .details = "",
            .arguments = {},
            .options = {},
            .run = run_list};
}

Command hold_remove_command() {
    return {.name = "hold remove",
            .summary = "lift a hold",
            .details = "Needs an admin's key.",
            .arguments = {{"HOLD", "its id, or the beginning of it"}},
            .options = {},
            .run = run_remove};
}

}  // namespace holdfast::cli
