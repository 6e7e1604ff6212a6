#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/key_argument.h"
#include "cli/workspace_options.h"
#include "datasets/approvals.h"
#include "repo/key_changes.h"

namespace holdfast::cli {
namespace {

Result<int> run_key_remove(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(name, Role::admin, invocation.stop));
    TRY(check_planned_approvals(*workspace, name, *repository, invocation.stop));
    auto id = TRY(find_key(*repository, invocation.argument("KEY"), invocation.stop));
    auto certificate = TRY(repository->certificate(id, invocation.stop));
    auto removal = TRY(remove_key(*repository, id, invocation.stop));
    auto& output = invocation.output;
    output.line(fmt::format("key {} ({}) counts no more since {}: {} entries of its log stand", id.brief(),
                            printable(certificate.label), to_second(removal.time), removal.last_entry));
    if ((certificate.roles & static_cast<Roles>(Role::reader)) != 0) {
        output.warning("it can still read what was stored so far: `holdfast key rotate`, and `holdfast key rewrap` "
                       "for what is kept long");
    } else {
        output.warning("take its credentials of the store away, too: only the store can keep it from writing there");
    }
    output.document(nlohmann::json{{"event", "key-removed"},
                                   {"id", id.hex()},
                                   {"time", to_rfc3339(removal.time)},
                                   {"log_entries", removal.last_entry}}
                        .dump());
    return kDone;
}

}  // namespace

Command key_remove_command() {
    return {.name = "key remove",
            .summary = "take a machine's or a person's key out of use",
            .details =
                "From now on nothing that the key signs counts. What its log names, and what an admin saw, stays "
                "valid; later points, log entries and parts of write-ahead logs are refused and named, and prune "
                "sweeps them away. Where the machine streams a database's log, stop it first: it hears of this within "
                "seconds, and what it stores meanwhile is refused. Removing a reader does not make it forget: rotate "
                "the data key afterwards. An admin's key can't be removed (exit code 10): its holder can make others. "
                "A removal that was cut off is completed by repeating it. Needs an admin's key.",
            .arguments = {{"KEY", "its id, or the beginning of it: see key list"}},
            .options = {},
            .run = run_key_remove};
}

}  // namespace holdfast::cli
