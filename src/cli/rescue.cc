#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/self.h"

namespace holdfast::cli {
namespace {

Result<int> run_rescue(Invocation& invocation) {
    auto options = TRY(workspace_options(invocation));
    options.plan_file.clear();
    options.repository_url = invocation.argument("REPOSITORY");
    auto workspace = TRY(Workspace::open(std::move(options)));
    auto name = TRY(workspace->default_repository());
    auto directory = std::filesystem::path(invocation.value("to").value_or("."));
    auto rescued = TRY(rescue(*workspace, name, directory, invocation.stop));

    auto& output = invocation.output;
    output.line(fmt::format("compare with the emergency kit:\n  Id         {}\n  Admin key  {}",
                            rescued.repository_id, rescued.admin_fingerprint));
    auto files = nlohmann::json::array();
    for (auto const& file : rescued.files) {
        files.push_back(printable(file));
        output.line("wrote " + printable(file));
    }
    for (auto const& notice : rescued.notices) output.warning(notice);
    output.line(fmt::format("the plan was stored {} by {}: it can run commands, so look at it before you use it",
                            to_rfc3339(rescued.plan_time), printable(rescued.plan_signer)));
    output.line(fmt::format("\nnext: look at the points, then recover by a runbook of the plan\n"
                            "  holdfast --plan {0} points\n  holdfast --plan {0} recover RUNBOOK --dry-run",
                            printable(rescued.plan_file.native())));
    output.document(nlohmann::json{{"event", "rescued"},
                                   {"repository", rescued.repository_id},
                                   {"admin_key", rescued.admin_fingerprint},
                                   {"plan", printable(rescued.plan_file.native())},
                                   {"catalog", printable(rescued.catalog_file.native())},
                                   {"contacts", printable(rescued.contacts_file.native())},
                                   {"files", files}}
                        .dump());
    return kDone;
}

}  // namespace

Command rescue_command() {
    return {.name = "rescue",
            .summary = "from a bare machine: fetch the plan, the contacts and the catalog out of a repository",
            .details =
                "Needs the repository's address and its password (or a reader's key), and nothing else. Writes the plan "
                "with its runbooks, the contacts as text, and Holdfast's own catalog; then the commands of the plan "
                "work here. Existing files that differ are never overwritten.",
            .arguments = {{"REPOSITORY", "its URL, as the emergency kit says"}},
            .options = {{.flag = "--to", .value = "DIR", .help = "where the files go (default: here)"}},
            .run = run_rescue};
}

}  // namespace holdfast::cli
