#include "repo/rewrap.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/shard_option.h"
#include "cli/workspace_options.h"

namespace holdfast::cli {
namespace {

Result<int> run_key_rewrap(Invocation& invocation) {
    RewrapOptions options{.dry_run = invocation.has("dry-run")};
    options.shard = TRY(shard_option(invocation));
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    options.parity_percent = workspace->parity_percent(name);
    auto* repository = TRY(workspace->repository(name, Role::admin, invocation.stop));
    auto& output = invocation.output;
    auto bar = output.progress("rewrap");
    auto hear = [&](RewrapProgress const& at) {
        bar({.what = "sealing anew", .current = "", .files = at.packs, .files_total = at.packs_total,
             .bytes = at.bytes, .bytes_total = at.bytes_total});
    };
    auto done = TRY(rewrap_packs(*repository, options, hear, invocation.stop));
    output.end_progress();
    auto damaged = nlohmann::json::array();
    for (auto const& item : done.damaged) {
        damaged.push_back({{"object", item.key}, {"message", printable(item.error.message)}});
        output.line(output.styled(Style::bad, "stays as it is ") + fmt::format("{}: {}", item.key, printable(item.error.message)));
    }
    for (auto const& pair : done.refused) output.warning(fmt::format("what is sealed to {} was passed over: this key does not hold it", pair));
    output.line(fmt::format("{} {} packs, {}; {} were done before", options.dry_run ? "would seal anew" : "sealed anew",
                            done.packs, format_bytes(done.bytes), done.done_before));
    output.document(nlohmann::json{{"event", "rewrapped"},
                                   {"dry_run", options.dry_run},
                                   {"packs", done.packs},
                                   {"bytes", done.bytes},
                                   {"done_before", done.done_before},
                                   {"refused", done.refused},
                                   {"damaged", damaged}}
                        .dump());
    if (!done.damaged.empty()) return kDamaged;
    return done.refused.empty() ? kDone : kPartial;
}

}  // namespace

Command key_rewrap_command() {
    return {.name = "key rewrap",
            .summary = "seal what was stored before a rotation to the new data key",
            .details =
                "Opens every pack of an old epoch, checks every chunk, and stores it again, sealed to the newest epoch "
                "of its key pair. The old packs stay until prune takes them. It may be stopped at any time, and goes "
                "on where it was. With --shard several runs share the work. Needs an admin's key that reads: the password. "
                "Exit code 3: packs of key pairs that this key does not hold were passed over; 6: damaged packs were.",
            .arguments = {},
            .options = {shard_option_spec(),
                        {.flag = "--dry-run", .help = "say what would be sealed anew"}},
            .run = run_key_rewrap};
}

}  // namespace holdfast::cli
