#include "datasets/bisect.h"

#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/chunk_memory.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"

namespace holdfast::cli {
namespace {

std::string state_shown(BisectState const& state) {
    if (state.transaction) return fmt::format("transaction {}, committed {}", *state.transaction, to_rfc3339(state.time));
    return fmt::format("{}, of {}", printable(state.moment), to_rfc3339(state.time));
}

nlohmann::json to_json(BisectState const& state) {
    nlohmann::json json{{"moment", printable(state.moment)}, {"time", to_rfc3339(state.time)},
                        {"point", state.point.info.id.hex()}, {"lsn", to_text(state.lsn)}};
    if (state.transaction) json["transaction"] = *state.transaction;
    return json;
}

Result<BisectOptions> bisect_options(Invocation& invocation) {
    BisectOptions options;
    options.dataset = invocation.argument("DATASET");
    auto sql = invocation.value("check");
    if (!sql || sql->empty()) return fail(ErrorKind::usage, "which question is asked?", "--check 'select count(*) > 1000 from orders'");
    options.check.sql = *sql;
    options.check.database = invocation.value("database").value_or("postgres");
    auto timeout = TRY(invocation.duration("timeout"));
    if (timeout) options.check.timeout = *timeout;
    options.timeline = invocation.value("timeline").value_or("latest");
    auto probes = TRY(invocation.number("probes"));
    if (probes && *probes < 2) return fail(ErrorKind::usage, "--probes: the oldest and the newest moment take two");
    if (probes) options.probes = *probes;
    options.scratch = invocation.value("scratch").value_or(std::filesystem::temp_directory_path());
    return options;
}

void show_probe(Output& output, BisectProbe const& probe) {
    auto const& answer = probe.answer;
    output.end_progress();
    output.line(fmt::format("{:>3}  {}  {}{}, in {}", probe.number, answer.held ? "holds" : "fails", state_shown(probe.state),
                            answer.said.empty() ? "" : ": " + printable(answer.said), format_duration(probe.took)));
    auto json = to_json(probe.state);
    json["event"] = "probe";
    json["number"] = probe.number;
    json["held"] = answer.held;
    json["said"] = printable(answer.said);
    json["seconds"] = std::chrono::duration<double>(probe.took).count();
    output.document(json.dump());
}

Result<int> run_bisect(Invocation& invocation) {
    tune_memory_for_chunks();
    auto options = TRY(bisect_options(invocation));
    auto workspace = TRY(open_workspace(invocation));
    auto& output = invocation.output;
    auto on_probe = [&](BisectProbe const& probe) { show_probe(output, probe); };
    auto found = TRY(bisect(*workspace, options, on_probe, output.progress("log"), warn_to(output), invocation.stop));
    output.end_progress();
    output.line(fmt::format("it held last at {} ({})", state_shown(found.held), to_text(found.held.lsn)));
    output.line(fmt::format("it failed first at {} ({})", state_shown(found.failed), to_text(found.failed.lsn)));
    if (!found.between.empty()) output.warning("there may be more between the two: " + found.between);
    output.line(fmt::format("bring it back: holdfast restore {} DIR --instant", printable(found.held.moment)));
    output.document(nlohmann::json{{"event", "bisected"}, {"held", to_json(found.held)}, {"failed", to_json(found.failed)},
                                   {"said", printable(found.answer.said)}, {"probes", found.probes},
                                   {"exact", found.between.empty()}, {"between", printable(found.between)}}
                        .dump());
    return found.between.empty() ? kDone : kPartial;
}

}  // namespace

Command bisect_command() {
    return {.name = "bisect",
            .summary = "find the last moment at which a check of a PostgreSQL dataset held",
            .details = "Starts the cluster on the repository, isolated and for reading alone, as of one moment after the other, and asks it "
                       "the check: over base backups first, then over the commits in the streamed log, halving what is left each "
                       "time. Names the last commit with which the check held and the first one with which it did not. What the check "
                       "names and is not there (a table that was dropped) counts as failed. Exit code 3: only nearly, and why; "
                       "4: it holds at the newest moment, or fails at the oldest already.",
            .arguments = {{"DATASET", "a PostgreSQL dataset"}},
            .options = {{.flag = "--check", .value = "SQL", .help = "a query that gives true or false: one row, one column"},
                        {.flag = "--database", .value = "NAME", .help = "which database is asked (default: postgres)"},
                        {.flag = "--timeout", .value = "DURATION", .help = "how long an answer may take (default: 10m)"},
                        {.flag = "--timeline", .value = "N", .help = "along which timeline (latest, current, or its number)"},
                        {.flag = "--probes", .value = "N", .help = "clusters that are started at most (default: 64)"},
                        {.flag = "--scratch", .value = "DIR", .help = "where the log and what clusters write is meanwhile (default: $TMPDIR)"}},
            .run = run_bisect};
}

}  // namespace holdfast::cli
