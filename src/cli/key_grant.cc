#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/key_argument.h"
#include "cli/workspace_options.h"
#include "repo/key_changes.h"

namespace holdfast::cli {
namespace {

Result<int> run_key_grant(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto* repository = TRY(repository_of_keys(*workspace, Role::admin, invocation.stop));
    auto id = TRY(find_key(*repository, invocation.argument("KEY"), invocation.stop));
    auto name = invocation.argument("NAME");
    TRY(grant_pair(*repository, name, id, invocation.stop));
    invocation.output.line(fmt::format("key {} reads what is sealed to '{}' from now on", id.brief(), printable(name)));
    invocation.output.document(nlohmann::json{{"event", "granted"}, {"pair", name}, {"id", id.hex()}}.dump());
    return kDone;
}

}  // namespace

Command key_grant_command() {
    return {.name = "key grant",
            .summary = "give a dataset's own key pair to another reader",
            .details = "The key that grants must be an admin's and have the pair itself.",
            .arguments = {{"NAME", "the key pair"}, {"KEY", "the id of a reader's key, or the beginning of it"}},
            .options = {},
            .run = run_key_grant};
}

}  // namespace holdfast::cli
