#include <charconv>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/key_argument.h"
#include "cli/workspace_options.h"
#include "repo/approval.h"

namespace holdfast::cli {
namespace {

// "point 3fa2b1c4 (database, 2026-11-22T10:31:07Z)"; of what is unknown by now, its id.
std::vector<std::string> subjects_of(Repository& repository, DeletionRequest const& request, std::stop_token stop) {
    std::map<std::string, std::string> known;
    if (request.what == Deletion::points) {
        if (auto list = repository.points(std::move(stop))) {
            for (auto const& info : list->points)
                known[info.id.hex()] = fmt::format("{}, {}", printable(info.point.dataset), to_second(info.point.time));
        }
    }
    std::vector<std::string> texts;
    for (auto const& subject : request.subjects) {
        auto found = known.find(subject);
        texts.push_back(found == known.end() ? subject : fmt::format("{} ({})", subject.substr(0, 8), found->second));
    }
    return texts;
}

std::string state_of_request(DeletionRequest const& request, ApprovalRules const& rules, Time now) {
    if (request.used) return "used";
    if (request.expires <= now) return "expired";
    if (request.approved_by.size() >= rules.others) return "approved";
    return fmt::format("{} of {} approved", request.approved_by.size(), rules.others);
}

nlohmann::json request_json(DeletionRequest const& request, std::string const& state) {
    auto approved = nlohmann::json::array();
    for (auto const& id : request.approved_by) approved.push_back(id.hex());
    return {{"id", request.hex()},
            {"what", name(request.what)},
            {"subjects", request.subjects},
            {"by", request.by.hex()},
            {"time", to_rfc3339(request.time)},
            {"expires", to_rfc3339(request.expires)},
            {"approved_by", approved},
            {"state", state}};
}

Result<int> run_approvals_list(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto* repository = TRY(repository_of_keys(*workspace, {}, invocation.stop));
    auto rules = approval_rules(TRY(repository->ring(invocation.stop)).ring);
    auto requests = TRY(list_requests(*repository, invocation.stop));
    auto now = workspace->clock().now();
    auto& output = invocation.output;
    auto approvers = nlohmann::json::array();
    std::string people;
    for (auto const& id : rules.approvers) {
        auto certificate = repository->certificate(id, invocation.stop);
        auto label = certificate ? printable(certificate->label) : std::string("?");
        people += fmt::format("{}{} ({})", people.empty() ? "" : ", ", id.hex().substr(0, 8), label);
        approvers.push_back({{"id", id.hex()}, {"label", label}});
    }
    output.line(rules.others == 0 ? "nobody has to agree before something is deleted"
                                  : fmt::format("{} of these have to agree, besides who asks: {}", rules.others, people));
    auto list = nlohmann::json::array();
    Table table({"id", "what", "how many", "asked by", "expires", "state"});
    for (auto const& request : requests) {
        auto state = state_of_request(request, rules, now);
        table.row({request.hex().substr(0, 8), std::string(name(request.what)), std::to_string(request.subjects.size()),
                   request.by.hex().substr(0, 8), to_second(request.expires), state});
        list.push_back(request_json(request, state));
    }
    if (!requests.empty()) output.line(table.text());
    output.document(
        nlohmann::json{{"others", rules.others}, {"approvers", approvers}, {"requests", list}}.dump());
    return kDone;
}

Result<int> run_approvals_set(Invocation& invocation) {
    auto text = invocation.argument("NUMBER");
    ApprovalRules rules;
    auto parsed = std::from_chars(text.data(), text.data() + text.size(), rules.others);
    if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() || rules.others > 9)
        return fail(ErrorKind::usage, fmt::format("'{}' is no number of people", printable(text)), "0 to 9");
    auto workspace = TRY(open_workspace(invocation));
    auto* repository = TRY(repository_of_keys(*workspace, Role::admin, invocation.stop));
    for (auto const& key : invocation.all("approver")) {
        rules.approvers.insert(TRY(find_key(*repository, key, invocation.stop)));
    }
    TRY(set_approvals(*repository, rules, invocation.stop));
    invocation.output.line(rules.others == 0 ? "from now on nobody has to agree before something is deleted"
                                             : fmt::format("from now on {} others have to agree before something is deleted",
                                                           rules.others));
    invocation.output.document(nlohmann::json{{"event", "approvals"}, {"others", rules.others}}.dump());
    return kDone;
}

Result<int> run_approve(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto* repository = TRY(repository_of_keys(*workspace, {}, invocation.stop));
    auto prefix = invocation.argument("REQUEST");
    auto dry_run = invocation.has("dry-run");
    auto& output = invocation.output;
    auto requests = TRY(list_requests(*repository, invocation.stop));
    for (auto const& request : requests) {
        if (!request.hex().starts_with(prefix)) continue;
        output.line(fmt::format("request {}: {} asks that these {} go:", request.hex().substr(0, 8),
                                request.by.hex().substr(0, 8), name(request.what)));
        for (auto const& subject : subjects_of(*repository, request, invocation.stop)) output.line("  " + subject);
    }
    if (dry_run) return kDone;
    auto request = TRY(approve_deletion(*repository, prefix, invocation.stop));
    auto rules = approval_rules(TRY(repository->ring(invocation.stop)).ring);
    auto state = state_of_request(request, rules, workspace->clock().now());
    output.line(fmt::format("request {}: {}", request.hex().substr(0, 8), state));
    auto json = request_json(request, state);
    json["event"] = "approval";
    output.document(json.dump());
    return kDone;
}

}  // namespace

Command approvals_list_command() {
    return {.name = "approvals list",
            .summary = "list who approves deletions, and what is asked for",
            .details = "Any key will do.",
            .arguments = {},
            .options = {},
            .run = run_approvals_list};
}

Command approvals_set_command() {
    return {.name = "approvals set",
            .summary = "say how many others have to agree before something is deleted",
            .details =
                "From then on forget, prune, hold remove and key remove delete only what a request names that so many "
                "approvers have signed, besides who asks; they ask by themselves (exit code 10), and are repeated "
                "when the others have agreed. To change it later takes their approval, too. Needs an admin's key.",
            .arguments = {{"NUMBER", "how many others; 0: nobody"}},
            .options = {{.flag = "--approver", .value = "KEY",
                         .help = "the key of somebody who may agree: a reader's or an admin's (several: repeat)", .many = true}},
            .run = run_approvals_set};
}

Command approve_command() {
    return {.name = "approve",
            .summary = "agree to a request to delete something",
            .details =
                "Shows exactly what goes by the request, and signs it with this key, which must be an approver's and "
                "not the one that asked (exit code 10). A request lives for 7 days and is used once.",
            .arguments = {{"REQUEST", "its id, or the beginning of it: see approvals list"}},
            .options = {{.flag = "-n,--dry-run", .help = "only show what would go"}},
            .run = run_approve};
}

}  // namespace holdfast::cli
