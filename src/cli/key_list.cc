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

std::string state_of(ListedKey const& key) {
    auto const& removed = key.certificate.removed;
    if (!removed) return key.own ? "this one" : "";
    // A removal that was cut off.
    if (removed->closing) return "being removed: repeat key remove";
    return "removed " + to_second(removed->time);
}

Result<int> run_key_list(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto* repository = TRY(repository_of_keys(*workspace, {}, invocation.stop));
    auto list = TRY(list_keys(*repository, invocation.stop));
    auto keys = nlohmann::json::array();
    Table table({"id", "roles", "password", "key pairs", "state", "label"});
    for (auto const& one : list.keys) {
        auto const& key = one.certificate;
        table.row({key.id.hex().substr(0, 8), to_text(key.roles), key.has_password ? "yes" : "",
                   join(one.pairs, " "), state_of(one), printable(key.label)});
        keys.push_back({{"id", key.id.hex()},
                        {"roles", to_text(key.roles)},
                        {"label", printable(key.label)},
                        {"password", key.has_password},
                        {"pairs", one.pairs},
                        {"own", one.own},
                        {"removed", key.removed ? nlohmann::json(to_rfc3339(key.removed->time)) : nlohmann::json()}});
    }
    auto& output = invocation.output;
    output.line(table.text());
    auto pairs = nlohmann::json::array();
    for (auto const& pair : list.pairs) {
        auto id = data_key_id(pair.public_key).hex();
        output.line(fmt::format("{} {} since {}", pair.name.empty() ? "data key" : "key pair '" + pair.name + "'", id,
                                to_second(pair.created)));
        pairs.push_back({{"name", pair.name}, {"id", id}, {"created", to_rfc3339(pair.created)}});
    }
    auto damaged = nlohmann::json::array();
    for (auto const& one : list.damaged) {
        output.warning(fmt::format("{}: {}", one.key, one.error.message));
        damaged.push_back({{"object", one.key}, {"message", printable(one.error.message)}});
    }
    output.document(nlohmann::json{{"keys", keys}, {"pairs", pairs}, {"damaged", damaged}}.dump());
    return list.damaged.empty() ? kDone : kDamaged;
}

}  // namespace

Command key_list_command() {
    return {.name = "key list",
            .summary = "list the keys of a repository, and what each may do",
            .details = "Any key will do. Exit code 6 when a key object is damaged beyond its copy.",
            .arguments = {},
            .options = {},
            .run = run_key_list};
}

}  // namespace holdfast::cli
