#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/workspace_options.h"
#include "datasets/create.h"
#include "os/file.h"
#include "repo/escrow_sheet.h"

namespace holdfast::cli {
namespace {

Result<int> run_init(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto name = invocation.argument("REPOSITORY");
    if (name.empty()) name = TRY(workspace->default_repository());
    auto password = TRY(new_password(*workspace));
    auto created = TRY(create(*workspace, name, password.view(), invocation.stop));

    auto& output = invocation.output;
    if (auto file = invocation.value("kit")) {
        auto page = file->ends_with(".html") ? emergency_kit_html(created.facts) : created.kit;
        TRY(write_file_durably(*file, as_bytes(page), 0600).within("emergency kit"));
        output.line(fmt::format("repository {} created at {}", created.id.brief(), printable(created.url)));
        output.line(fmt::format("the emergency kit is in '{}': print it, and write the password on it", *file));
    } else {
        output.line(created.kit);
    }
    output.document(nlohmann::json{{"event", "created"},
                                   {"repository", created.id.hex()},
                                   {"url", printable(created.url)},
                                   {"kit", created.kit}}
                        .dump());
    return kDone;
}

}  // namespace

Command init_command() {
    return {.name = "init",
            .summary = "create a repository and its keys, print the emergency kit",
            .details =
                "Creates the repository that the plan names (the first one, or REPOSITORY), or that --repo "
                "names. One key bundle with all roles is made and wrapped with the password; whoever has the "
                "password can do everything, and nobody can do anything without it. Machines that only back "
                "up get a writer's key: see key export. The emergency kit is what a stranger needs to "
                "recover; it does not hold the password.",
            .arguments = {{"REPOSITORY", "name of a repository of the plan", true}},
            .options = {{.flag = "--kit", .value = "FILE", .help = "write the emergency kit there, as a page when it ends in .html"}},
            .run = run_init};
}

}  // namespace holdfast::cli
