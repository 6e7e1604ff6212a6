#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "base/text.h"
#include "base/units.h"
#include "cli/commands.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/workspace_options.h"
#include "datasets/receive_log.h"
#include "formats/pg_lsn.h"
#include "repo/wal_log.h"

namespace holdfast::cli {
namespace {

Result<plan::Dataset> postgres_dataset(Workspace const& workspace, Invocation const& invocation) {
    auto dataset = TRY(workspace.dataset(invocation.argument("DATASET")));
    if (dataset.kind != plan::DatasetKind::postgres)
        return fail(ErrorKind::usage, fmt::format("dataset '{}' is of kind {}: only a PostgreSQL cluster has a log",
                                                  printable(dataset.name), plan::to_text(dataset.kind)));
    if (auto name = invocation.value("name")) dataset.name = *name;
    return dataset;
}

void show(Output& output, postgres::WalEvent const& event) {
    if (event.alarm)
        output.warning(event.message);
    else if (event.kind == postgres::WalEvent::Kind::position)
        output.detail(event.message);
    else
        output.line(event.message);
    output.document(nlohmann::json{{"event", postgres::name(event.kind)},
                                   {"message", printable(event.message)},
                                   {"alarm", event.alarm},
                                   {"timeline", event.timeline},
                                   {"durable", to_text(event.durable)},
                                   {"server", to_text(event.server)},
                                 {"complete", event.complete ? nlohmann::json(to_rfc3339(*event.complete)) : nlohmann::json()}}
                        .dump());
}

// A receiver runs for months, and its buffers come and go in several threads: what it frees goes back to the system at
// once, instead of being kept for each thread.
void keep_memory_small() {
    constexpr int kLarge = 256 << 10;
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, kLarge);
    mallopt(M_TRIM_THRESHOLD, kLarge);
}

Result<int> run_receive(Invocation& invocation) {
    keep_memory_small();
    auto workspace = TRY(open_workspace(invocation));
    auto dataset = TRY(postgres_dataset(*workspace, invocation));
    postgres::WalReceiveOptions options{.conninfo = {}, .dataset = {}};
    options.slot = invocation.value("slot").value_or("");
    options.catch_up = invocation.has("catch-up");
    if (auto text = invocation.value("spool")) options.spool_bytes_max = TRY(parse_bytes(*text).within("--spool"));
    options.tell = [&](postgres::WalEvent const& event) { show(invocation.output, event); };
    TRY(receive_log(*workspace, dataset, std::move(options), invocation.stop));
    return kDone;
}

nlohmann::json span_json(std::uint64_t first, std::uint64_t end) {
    return {{"first", to_text(Lsn{first})}, {"end", to_text(Lsn{end})}, {"bytes", end - first}};
}

Result<int> run_wal_list(Invocation& invocation) {
    auto workspace = TRY(open_workspace(invocation));
    auto name = TRY(workspace->default_repository());
    auto* repository = TRY(workspace->repository(name, {}, invocation.stop));
    auto dataset = invocation.argument("DATASET");
    auto logs = TRY(list_wal(*repository, dataset, invocation.stop));
    if (logs.empty()) TRY(workspace->dataset(dataset));  // one that nobody knows is a mistake of writing

    auto& output = invocation.output;
    Table table({"timeline", "from", "to", "length", "", "until"});
    table.align_right(3);
    auto streams = nlohmann::json::array();
    std::size_t gaps = 0;
    for (auto const& log : logs) {
        auto timelines = nlohmann::json::array();
        for (auto const& [number, timeline] : log.timelines) {
            auto spans = nlohmann::json::array(), missing = nlohmann::json::array();
            auto covered = timeline.covered();
            nlohmann::json until;
            for (std::size_t i = 0; i < covered.size(); ++i) {
                auto const& span = covered[i];
                if (i > 0) {
                    auto before = covered[i - 1].end;
                    missing.push_back(span_json(before, span.first));
                    table.row({std::to_string(number), to_text(Lsn{before}), to_text(Lsn{span.first}),
                               format_bytes(span.first - before), "missing", ""});
                    ++gaps;
                }
                auto last = std::ranges::find_if(timeline.ranges, [&](auto const& range) { return range.end == span.end; });
                std::string when = "-";
                if (auto known = wal_known_time(*repository, wal_key(log.stream, *last), invocation.stop)) {
                    when = to_rfc3339(std::chrono::floor<std::chrono::milliseconds>(*known));
                    if (i + 1 == covered.size()) until = when;
                } else {
                    output.warning(known.error().message);
                }
                spans.push_back(span_json(span.first, span.end));
                table.row({std::to_string(number), to_text(Lsn{span.first}), to_text(Lsn{span.end}),
                           format_bytes(span.end - span.first), "there", when});
            }
            timelines.push_back({{"timeline", number}, {"spans", spans}, {"gaps", missing}, {"until", until},
                                 {"objects", timeline.ranges.size()}, {"stored", timeline.stored},
                                 {"history", !timeline.histories.empty()}});
        }
        streams.push_back({{"stream", log.stream.id.hex()}, {"timelines", timelines}});
    }
    if (logs.empty()) {
        output.line("no log yet: holdfast wal receive " + printable(dataset) + " brings it");
    } else {
        output.line(table.text());
        if (gaps > 0)
            output.line(output.styled(Style::warning, fmt::format("{} parts of the log are missing: what lies behind one is "
                                                                  "reached only from a base backup behind it", gaps)));
    }
    output.document(nlohmann::json{{"dataset", printable(dataset)}, {"streams", streams}}.dump());
    return kDone;
}

}  // namespace

Command wal_receive_command() {
    return {.name = "wal receive",
            .summary = "stream a PostgreSQL cluster's log into the repository",
            .details =
                "Goes on until it is stopped, through restarts of the server, of the network and of the repository, and "
                "follows the server to other timelines. The server keeps its log in a replication slot, which is made "
                "when it is missing; make the base backup after that. A position is acknowledged when the repository "
                "has it durably: with synchronous_standby_names = 'holdfast' no commit that was acknowledged is lost.",
            .arguments = {{"DATASET", "a PostgreSQL dataset of the plan, or postgres:CONNINFO"}},
            .options = {{.flag = "--slot", .value = "NAME", .help = "the replication slot (default: by the dataset)"},
                        {.flag = "--name", .value = "NAME", .help = "call the dataset so"},
                        {.flag = "--spool", .value = "BYTES",
                         .help = "keep so much here while the repository is away (1GiB; 0: nothing)"},
                        {.flag = "--catch-up", .help = "end when all that the server has is stored"}},
            .run = run_receive};
}

Command wal_list_command() {
    return {.name = "wal list",
            .summary = "show which parts of a log the repository has",
            .details = "For each timeline what is there and what is missing, and the server's clock at the end of each part.",
            .arguments = {{"DATASET", "a PostgreSQL dataset"}},
            .options = {},
            .run = run_wal_list};
}

}  // namespace holdfast::cli
