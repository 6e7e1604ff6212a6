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

Result<int> run_key_pair(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto* repository = TRY(repository_of_keys(*workspace, Role::admin, invocation.stop));
    std::vector<BundleId> readers;
    for (auto const& text : invocation.all("reader")) {
        readers.push_back(TRY(find_key(*repository, text, invocation.stop)));
    }
    auto name = invocation.argument("NAME");
    auto id = TRY(add_pair(*repository, name, readers, invocation.stop));
    invocation.output.line(
        fmt::format("key pair '{}' is made: write `key: {}` at the datasets that it protects", name, name));
    invocation.output.document(nlohmann::json{{"event", "pair"}, {"pair", name}, {"id", id.hex()}}.dump());
    return kDone;
}

}  // namespace

Command key_pair_command() {
    return {.name = "key pair",
            .summary = "make a key pair of their own for datasets",
            .details =
                "Datasets of the plan that say `key: NAME` are sealed to it, and only the keys that are named here can "
                "read them: everybody else, admins included, meets exit code 5. Who is named gives it on with key "
                "grant or key export --pair. Needs an admin's key.",
            .arguments = {{"NAME", "what the plan calls it"}},
            .options = {{.flag = "--reader", .value = "KEY", .help = "a reader's key that is given it (several: repeat)", .many = true}},
            .run = run_key_pair};
}

}  // namespace holdfast::cli
