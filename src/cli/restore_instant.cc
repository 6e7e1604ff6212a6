#include "cli/restore_instant.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/chunk_memory.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/tablespace_option.h"
#include "cli/workspace_options.h"
#include "datasets/instant.h"

namespace holdfast::cli {
namespace {

Result<InstantOptions> instant_options(Invocation& invocation) {
    for (auto const* option : {"in-place", "dry-run", "delete", "no-owner", "special-bits", "skip-damaged", "tensor", "as", "into", "table",
                               "schema", "database", "replace", "jobs", "scratch"}) {
        if (invocation.has(option)) return fail(ErrorKind::usage, fmt::format("--instant and --{} do not go together", option));
    }
    InstantOptions options;
    options.target = invocation.argument("TARGET");
    if (options.target.empty()) return fail(ErrorKind::usage, "say where to: TARGET");
    options.timeline = invocation.value("timeline").value_or("latest");
    options.stay = invocation.has("stay");
    options.bring_home = !invocation.has("on-demand");
    options.cache_bytes = TRY(cache_bytes(invocation));
    options.tablespaces = TRY(tablespace_map(invocation));
    return options;
}

void show_stage(Output& output, InstantRecovery const& recovery, InstantStage stage, std::string const& target) {
    auto seconds = std::chrono::duration<double>(recovery.time_to_ready()).count();
    switch (stage) {
        case InstantStage::ready: {
            output.line(fmt::format("ready at {} in {}{}: start the cluster there", target, format_duration(recovery.time_to_ready()),
                                    recovery.went_on() ? ", going on" : ""));
            auto document = nlohmann::json{{"event", "ready"}, {"target", target}, {"seconds", seconds},
                                           {"point", recovery.point().info.id.hex()}, {"went_on", recovery.went_on()}};
            if (recovery.log()) document["log"] = {{"bytes", recovery.log()->bytes}, {"end", to_text(recovery.log()->found.end)}};
            output.document(document.dump());
            return;
        }
        case InstantStage::home:
            output.line("all is home: stop the cluster, wait for this command to end, and start it on plain files");
            output.document(nlohmann::json{{"event", "home"}, {"target", target}}.dump());
            return;
        case InstantStage::landed:
            output.line(fmt::format("{} lies on plain files now: start the cluster", target));
            output.document(nlohmann::json{{"event", "landed"}, {"target", target}}.dump());
            return;
    }
}

}  // namespace

Result<int> run_instant(Invocation& invocation) {
    tune_memory_for_chunks();
    auto options = TRY(instant_options(invocation));
    auto workspace = TRY(open_workspace(invocation));
    auto& output = invocation.output;
    auto target = printable(std::filesystem::absolute(options.target).lexically_normal().native());
    auto recovery = TRY(InstantRecovery::begin(*workspace, invocation.argument("POINT"), std::move(options),
                                               output.progress("recover"), warn_to(output), invocation.stop));
    output.end_progress();
    warn_of_stand_in(recovery->point(), warn_to(output));
    auto tell = [&](InstantStage stage) {
        output.end_progress();
        show_stage(output, *recovery, stage, target);
    };
    auto stage = TRY(recovery->serve(output.progress("home"), tell, invocation.stop));
    if (stage == InstantStage::landed) return kDone;
    output.warning("not on plain files yet: the same command goes on");
    return kPartial;
}

}  // namespace holdfast::cli
