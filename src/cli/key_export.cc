#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/workspace_options.h"
#include "os/file.h"
#include "os/machine.h"

namespace holdfast::cli {
namespace {

Result<int> run_key_export(Invocation& invocation) {
    auto roles = TRY(parse_roles(invocation.value("role").value_or("writer")).within("--role"));
    auto file = invocation.argument("FILE");
    std::error_code ignored;
    if (std::filesystem::exists(file, ignored)) {
        return fail(ErrorKind::unsafe, fmt::format("'{}' exists: a key is never overwritten", printable(file)),
                    "choose another file, or remove that one");
    }
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(name, Role::admin, invocation.stop));
    auto label = invocation.value("label").value_or(fmt::format("{} of {}", to_text(roles), host_name()));
    // The place first: a key that could not be written is one that counts and that nobody has.
    TRY(write_file_durably(file, {}, 0600).within(fmt::format("key file '{}'", printable(file))));
    auto made = add_bundle(*repository, {.roles = roles, .label = label, .pairs = invocation.all("pair")}, invocation.stop);
    if (!made) {
        std::filesystem::remove(file, ignored);
        return fail(std::move(made.error()));
    }
    auto const& bundle = *made;
    auto text = to_key_file(bundle);
    auto written = write_file_durably(file, as_bytes(text), 0600);
    wipe(text);
    TRY(std::move(written).within(fmt::format("key file '{}'", printable(file))));

    invocation.output.line(fmt::format("key {} with role {} is in '{}' (mode 0600)", bundle.id.brief(),
                                       to_text(roles), printable(file)));
    invocation.output.document(nlohmann::json{{"event", "key"},
                                              {"id", bundle.id.hex()},
                                              {"role", to_text(roles)},
                                              {"file", printable(file)}}
                                   .dump());
    return kDone;
}

}  // namespace

Command key_export_command() {
    return {.name = "key export",
            .summary = "make a key file for a machine or a person",
            .details =
                "Makes a new key with the roles that are asked for, has the repository's admin certify it, and "
                "writes it to FILE (mode 0600). Roles: writer backs up and cannot read what anyone wrote; "
                "reader restores and verifies; admin adds keys. Join them with '+': writer+reader.",
            .arguments = {{"FILE", "where the key goes; it must not exist"}},
            .options = {{.flag = "--role", .value = "ROLE", .help = "writer (default), reader, admin, or joined by +"},
                        {.flag = "--pair", .value = "NAME", .help = "a reader's: also a dataset's own key pair", .many = true},
                        {.flag = "--label", .value = "TEXT", .help = "what the key is called in lists"}},
            .run = run_key_export};
}

}  // namespace holdfast::cli
