#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/key_argument.h"
#include "cli/workspace_options.h"
#include "os/machine.h"

namespace holdfast::cli {
namespace {

Result<int> run_key_add(Invocation& invocation) {
    auto roles = TRY(parse_roles(invocation.value("role").value_or("reader")).within("--role"));
    auto workspace = TRY(open_workspace(invocation));
    auto* repository = TRY(repository_of_keys(*workspace, Role::admin, invocation.stop));
    auto label = invocation.value("label").value_or(fmt::format("{} of {}", to_text(roles), host_name()));
    auto password = TRY(second_password(invocation, "Password of the new key"));
    AddBundle const options{.roles = roles, .label = label, .password = password.view(), .pairs = invocation.all("pair")};
    auto bundle = TRY(add_bundle(*repository, options, invocation.stop));
    invocation.output.line(
        fmt::format("key {} with role {} opens with its password", bundle.id.brief(), to_text(roles)));
    invocation.output.document(
        nlohmann::json{{"event", "key"}, {"id", bundle.id.hex()}, {"role", to_text(roles)}}.dump());
    return kDone;
}

}  // namespace

Command key_add_command() {
    return {.name = "key add",
            .summary = "make another key that a password of its own opens",
            .details =
                "For a second person: a key with its own roles and its own password, kept in the repository. For a "
                "machine, key export makes a key file. Needs an admin's key.",
            .arguments = {},
            .options = {{.flag = "--role", .value = "ROLE", .help = "reader (default), writer, admin, or joined by +"},
                        {.flag = "--label", .value = "TEXT", .help = "what the key is called in lists"},
                        {.flag = "--pair", .value = "NAME", .help = "a reader's: also a dataset's own key pair", .many = true},
                        {.flag = "--new-password-file", .value = "FILE",
                         .help = "the password of the new key (else it is asked for, twice)"}},
            .run = run_key_add};
}

}  // namespace holdfast::cli
