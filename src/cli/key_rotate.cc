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

Result<int> run_key_rotate(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto* repository = TRY(repository_of_keys(*workspace, Role::admin, invocation.stop));
    auto name = invocation.value("pair").value_or("");
    auto id = TRY(rotate_pair(*repository, name, invocation.stop));
    invocation.output.line(fmt::format("{} is {} now: backups that begin from here on are sealed to it",
                                       name.empty() ? "the data key" : "key pair '" + printable(name) + "'", id.hex()));
    invocation.output.document(
        nlohmann::json{{"event", "rotated"}, {"pair", printable(name)}, {"id", id.hex()}}.dump());
    return kDone;
}

}  // namespace

Command key_rotate_command() {
    return {.name = "key rotate",
            .summary = "begin a new epoch of the data key",
            .details =
                "Makes a new key pair, gives its private half to every reader's key that was not removed, and has "
                "everything that is stored from now on sealed to it. What was stored before stays readable, and is "
                "still relied upon; key rewrap seals it anew. Needs an admin's key.",
            .arguments = {},
            .options = {{.flag = "--pair", .value = "NAME", .help = "a dataset's own key pair instead"}},
            .run = run_key_rotate};
}

}  // namespace holdfast::cli
